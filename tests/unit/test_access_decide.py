"""The decision on a request's facts: what holds for every combination of them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.access.areas import API, base_of, below, place, token_path
from web.access.decide import Area, Denial, Facts, Ground, Scope, decide

ALL = st.builds(
    Facts,
    area=st.sampled_from(Area),
    needs=st.sampled_from(Scope),
    unsafe=st.booleans(),
    host_ours=st.booleans(),
    host_home=st.booleans(),
    near=st.booleans(),
    forwarded=st.booleans(),
    cross_site=st.booleans(),
    set_up=st.booleans(),
    play_without_login=st.booleans(),
    login=st.booleans(),
    csrf=st.booleans(),
    token=st.none() | st.sampled_from(Scope),
    bad_token=st.booleans(),
)

STRANGER = Facts(
    area=Area.PLAY,
    needs=Scope.PLAY,
    unsafe=False,
    host_ours=True,
    host_home=True,
    near=True,
    forwarded=False,
    cross_site=False,
    set_up=True,
    play_without_login=True,
)


@given(ALL)
def test_a_strange_host_gets_nothing_but_with_a_token(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, host_ours=False))
    assert isinstance(verdict, Denial) or verdict is Ground.TOKEN


@given(ALL)
def test_api_and_pages_need_a_login_or_a_token_that_covers_them(facts: Facts) -> None:
    verdict = decide(facts)
    if facts.area in (Area.API, Area.PAGE) and isinstance(verdict, Ground):
        covered = facts.token is not None and facts.token.covers(facts.needs) and facts.area is Area.API
        assert covered or facts.login


@given(ALL)
def test_nothing_is_changed_by_cookie_without_the_form_token_or_from_another_site(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, unsafe=True))
    if verdict is Ground.LOGIN and facts.area is not Area.PLAY:
        assert facts.csrf
        assert not facts.cross_site


@given(ALL)
def test_a_token_never_opens_a_page(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, area=Area.PAGE, login=False))
    assert isinstance(verdict, Denial)


@given(ALL)
def test_before_set_up_only_open_places_the_set_up_and_tokens_answer(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, set_up=False))
    if isinstance(verdict, Ground) and verdict is not Ground.TOKEN:
        assert facts.area in (Area.OPEN, Area.SETUP)


@given(ALL)
def test_after_set_up_nobody_sets_up_again(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, area=Area.SETUP, set_up=True))
    assert isinstance(verdict, Denial)


@given(ALL)
def test_a_wrong_token_is_refused_even_beside_a_login(facts: Facts) -> None:
    wrong = dataclasses.replace(facts, area=Area.API, token=None, bad_token=True)
    assert decide(wrong) is Denial.BAD_TOKEN


@pytest.mark.parametrize("gone", ["host_home", "near", "play_without_login", "set_up", "forwarded"])
def test_playing_without_a_login_needs_every_condition(gone: str) -> None:
    assert decide(STRANGER) is Ground.NEARNESS
    changed: dict[str, bool] = {gone: not getattr(STRANGER, gone)}
    assert isinstance(decide(dataclasses.replace(STRANGER, **changed)), Denial)  # type: ignore[arg-type]


@given(ALL)
def test_nearness_alone_opens_nothing_but_what_plays(facts: Facts) -> None:
    if decide(facts) is Ground.NEARNESS:
        assert facts.area in (Area.PLAY, Area.DLNA)


@given(ALL)
def test_the_media_server_answers_nobody_but_the_network_at_home(facts: Facts) -> None:
    verdict = decide(dataclasses.replace(facts, area=Area.DLNA))
    if isinstance(verdict, Ground):
        assert verdict is Ground.NEARNESS
        assert facts.near
        assert facts.host_home
        assert facts.play_without_login
        assert not facts.forwarded
        assert not facts.cross_site


def test_scopes_include_each_other_in_order() -> None:
    assert Scope.ADMIN.covers(Scope.PIN)
    assert Scope.PIN.covers(Scope.READ)
    assert Scope.READ.covers(Scope.PLAY)
    assert not Scope.PLAY.covers(Scope.READ)
    assert not Scope.READ.covers(Scope.PIN)


@pytest.mark.parametrize(
    ("method", "path", "area", "scope"),
    [
        ("GET", "/health", Area.OPEN, Scope.PLAY),
        ("GET", "/static/app.css", Area.OPEN, Scope.PLAY),
        ("GET", "/media/x/master.m3u8", Area.PLAY, Scope.PLAY),
        ("GET", "/library.m3u", Area.PLAY, Scope.PLAY),
        ("SUBSCRIBE", "/dlna/event/ContentDirectory", Area.DLNA, Scope.PLAY),
        ("GET", f"{API}/videos", Area.API, Scope.READ),
        ("GET", f"{API}/tokens", Area.API, Scope.ADMIN),
        ("GET", f"{API}/settings/", Area.API, Scope.ADMIN),
        ("POST", f"{API}/pins", Area.API, Scope.PIN),
        ("DELETE", f"{API}/pins/x", Area.API, Scope.PIN),
        ("POST", f"{API}/plan/preview", Area.API, Scope.READ),
        ("POST", f"{API}/plan/run", Area.API, Scope.ADMIN),
        ("PUT", f"{API}/bandwidth", Area.API, Scope.ADMIN),
        ("PATCH", f"{API}/settings", Area.API, Scope.ADMIN),
        ("GET", "//api/v1/videos", Area.PAGE, Scope.ADMIN),
        ("GET", "/", Area.PAGE, Scope.ADMIN),
        ("GET", "/statically", Area.PAGE, Scope.ADMIN),
        ("GET", "/mediaeval", Area.PAGE, Scope.ADMIN),
    ],
)
def test_an_address_lies_in_one_area(method: str, path: str, area: Area, scope: Scope) -> None:
    assert place(method, path) == (area, scope)


@given(st.text(max_size=60))
def test_what_is_not_named_as_open_is_a_page(path: str) -> None:
    area, _ = place("GET", "/" + path)
    named = path.startswith(("static/", "media/", "api/", "health", "library.m3u", "setup", "login")) or path == "api"
    assert area is Area.PAGE or named or path in ("favicon.ico", "robots.txt")


def test_the_base_path_is_cut_off_whole_steps_only() -> None:
    base = base_of("seedkeep/")
    assert base == "/seedkeep"
    assert below("/seedkeep/videos", base) == "/videos"
    assert below("/seedkeep", base) == "/"
    assert below("/seedkeeper", base) is None
    assert below("/videos", base_of("")) is None


def test_a_token_in_the_path_is_one_step() -> None:
    assert token_path("/t/abc/media/x.mp4") == ("abc", "/media/x.mp4")
    assert token_path("/t//media/x.mp4") is None
    assert token_path("/t/abc") is None
    assert token_path("/tabc/x") is None
