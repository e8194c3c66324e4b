"""What pages say: numbers, times, states, the tray, traffic, rules as forms, and the colours they stand in."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import printout
from appliance.book import load
from appliance.domain.catalogue import VideoLine, VideoPage, VideoSort
from appliance.domain.channel import Channel, ChannelAddress, ChannelInfo, ChannelKind, ChannelState, Trouble
from appliance.domain.pin import PinState, Wish
from appliance.domain.plan import Decision, Disk, Filters, Reason, ReasonCode, Rule, RuleKind, Verdict, Watched
from appliance.domain.traffic import Budget, TrafficClass
from appliance.domain.units import ByteCount, BytesPerSecond, ChannelId, Origin, RuleId, VideoId, video_id
from appliance.domain.video import Storyboard, Upstream
from appliance.errors import BadInput
from appliance.seed.schedule import Allowance, Schedule, Span, Used, in_force
from appliance.settings import Settings
from policies.explain import sentence
from web.pages import theatre
from web.services import Option, Ration, Source, YieldsNow
from web.views import disk, home, player, rule_form, rules, settings, shelf, states, traffic, video, week, words

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
WEB = Path(theatre.__file__).resolve().parent.parent
GB = 10**9


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_449, "1.4 kB"),
        (999_949, "1 MB"),
        (99_940_000, "99.9 MB"),
        (123_456_789, "123 MB"),
        (999_600_000, "1 GB"),
        (1_400_000_000, "1.4 GB"),
        (10**18, "1,000 PB"),
    ],
)
def test_sizes_are_read_in_three_digits(count: int, shown: str) -> None:
    assert words.size(count).replace("\u00a0", " ") == shown


@given(st.integers(min_value=0, max_value=10**17))
def test_a_size_is_never_longer_than_a_tile(count: int) -> None:
    assert len(words.size(count)) <= 9


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (247, "4:07"), (3600, "1:00:00"), (3729, "1:02:09"), (-5, "0:00")]
)
def test_durations_are_shown_as_players_do(seconds: int, shown: str) -> None:
    assert words.length(seconds) == shown


def test_times_are_told_from_now() -> None:
    def ago(**back: float) -> str:
        return words.ago(NOW - timedelta(**back), NOW).replace("\u00a0", " ")

    assert [ago(seconds=10), ago(minutes=1), ago(hours=5), ago(days=1), ago(days=45), ago(days=800)] == [
        "just now",
        "1 minute ago",
        "5 hours ago",
        "1 day ago",
        "45 days ago",
        "2 years ago",
    ]
    assert words.ago(None, NOW) == "never"
    assert words.ahead(NOW - timedelta(hours=1), NOW) == "now"
    assert words.ahead(NOW + timedelta(minutes=38), NOW) == "in 38\u00a0minutes"


def test_limits_say_what_none_and_zero_mean() -> None:
    assert [words.limit(None), words.limit(0), words.limit(2_500_000)] == ["unlimited", "stopped", "2.5\u00a0MB/s"]
    assert [words.limit(n) for n in (1_250_000, 12_500_000, 800)] == [
        "1.25\u00a0MB/s",
        "12.5\u00a0MB/s",
        "0.8\u00a0kB/s",
    ]


def test_what_is_not_whole_never_shows_as_100_percent() -> None:
    assert words.percent(999_999, 1_000_000) == "99\u00a0%"
    assert words.percent(10, 10) == "100\u00a0%"


@given(
    st.integers(1, 10**14),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.integers(0, 10**14),
)
def test_a_tray_always_has_a_hundred_seeds(
    total: int, full: float, ours: float, watched: float, floor: float, coming: int
) -> None:
    free = int(total * (1 - full))
    used = int((total - free) * ours)
    cached = int((total - free - used) * watched)
    space = Disk(ByteCount(total), ByteCount(free), ByteCount(int(total * floor)), ByteCount(used), ByteCount(cached))
    tray = disk.tray(space, coming)
    assert len(tray.cells) == disk.CELLS
    assert used == 0 or "held" in tray.cells
    assert sum(part.cells for part in tray.parts) == disk.CELLS


def test_a_nearly_full_disk_says_so() -> None:
    space = Disk(ByteCount(1000 * GB), ByteCount(51 * GB), ByteCount(50 * GB), ByteCount(900 * GB))
    assert disk.tray(space).tight
    roomy = disk.tray(replace(space, used=ByteCount(800 * GB), cached=ByteCount(100 * GB)))
    assert not roomy.tight
    assert "100 GB only because it was watched" in roomy.sentence.replace("\u00a0", " ")
    assert "1 GB free to use" in disk.tray(space).sentence.replace("\u00a0", " ")


def test_history_has_every_day_and_adds_up() -> None:
    today = date(2026, 11, 21)
    ledger = {
        today: {TrafficClass.INTERNET_PEERS: (ByteCount(3 * GB), ByteCount(GB))},
        today - timedelta(days=29): {TrafficClass.ORIGINS: (ByteCount(0), ByteCount(GB))},
        today - timedelta(days=30): {TrafficClass.ORIGINS: (ByteCount(0), ByteCount(GB))},
    }
    seen = traffic.history(ledger, today)
    assert (seen.up, seen.down, seen.ratio) == ("3\u00a0GB", "2\u00a0GB", "1.5")
    assert len(seen.days) == 30
    assert seen.days[0].name == "21 Nov"
    plot = json.loads(seen.plot)
    assert len(plot["days"]) == 30
    assert {series["key"] for series in plot["series"]} == {"internet_peers", "origins"}
    assert traffic.history({}, today).empty


def _line(**changes: object) -> VideoLine:
    plain: dict[str, object] = {
        "id": video_id(Origin("tube.example"), "1"),
        "title": "Tides",
        "origin": "tube.example",
        "channel_title": "Harbour",
        "duration": 61,
        "published_at": NOW - timedelta(days=3),
        "views": 1,
        "upstream": Upstream.PUBLISHED,
        "thumbnail_url": "https://tube.example/x.jpg",
        "decision": None,
        "pin_state": None,
        "done": ByteCount(0),
        "size": ByteCount(0),
        "wish": None,
        "trouble": None,
        "copies": None,
    }
    return VideoLine(**{**plain, **changes})  # type: ignore[arg-type]


def test_a_card_never_names_an_address_outside_the_house() -> None:
    for state in (None, *PinState):
        card = video.card(_line(pin_state=state), NOW, sentence)
        assert card.thumb is not None
        assert card.thumb.startswith("media/")
        for upstream in (Upstream.HIDDEN, Upstream.GONE):
            gone = video.card(_line(pin_state=state, upstream=upstream), NOW, sentence)
            assert (gone.thumb is not None) == (state is PinState.PINNED)
        assert video.card(_line(thumbnail_url=None), NOW, sentence).thumb is None


def test_every_state_of_a_pin_and_every_verdict_has_a_word_and_a_tone() -> None:
    tones = {"good", "busy", "calm", "warn", "bad"}
    badges = [states.pin_badge(state) for state in PinState] + [states.verdict_badge(v) for v in Verdict]
    assert all(badge.word and badge.tone in tones and badge.hint.endswith(".") for badge in badges)
    assert states.video_badge(PinState.PINNED, Verdict.RELEASE).word == "going"
    assert states.video_badge(None, None).word == "skipped"


def test_a_video_says_in_one_sentence_why() -> None:
    chosen = Reason(
        ReasonCode.CHOSEN, {"rule": "Recent", "rank": 2, "of": 9, "kind": "recent", "published": "2026-11-18"}
    )
    kept = Reason(ReasonCode.MIN_LIFETIME, {"rule": "Recent", "until": "2026-12-01T00:00:00Z"})
    decision = Decision(VideoId("x"), Verdict.KEEP, (kept, chosen))
    trouble = Trouble("no_space", "Waits for space on the disk.")
    assert "Recent" in video.why(_line(decision=decision), sentence)
    assert "number 2" in video.why(_line(decision=decision), sentence)
    assert video.why(_line(decision=decision, pin_state=PinState.WAITING, trouble=trouble), sentence) == trouble.message
    assert video.why(_line(wish=Wish.PIN), sentence) == "Pinned by hand."
    assert video.why(_line(upstream=Upstream.GONE), sentence) == "The origin no longer has this video."
    assert video.why(_line(), sentence).endswith(".")


@pytest.mark.parametrize("page", ["0", "-3", "x", "²", "99999999999999999999"])
def test_an_odd_page_number_does_no_harm(page: str) -> None:
    asked = shelf.question({"page": page, "state": "nonsense", "sort": "sideways", "q": "  tide  "})
    assert asked.page >= 1
    assert (asked.state, asked.sort, asked.query) == ("", VideoSort.NEWEST, "tide")
    assert asked.filter.offset <= 10**7


def test_the_pages_of_a_list_keep_what_was_asked() -> None:
    asked = shelf.question({"q": "a&b", "state": "going", "sort": "views", "page": "2"})
    assert asked.filter.verdict is Verdict.RELEASE
    view = shelf.shelf(asked, VideoPage((), 60), {}, NOW, sentence)
    assert (view.pages, view.previous, view.next) == (
        3,
        "videos?q=a%26b&state=going&sort=views",
        "videos?q=a%26b&state=going&sort=views&page=3",
    )


RULE = Rule(
    RuleId("r"),
    "Films",
    RuleKind.MOST_VIEWED,
    channels=frozenset({ChannelId("c")}),
    budget=ByteCount(12_500_000_000),
    min_lifetime=timedelta(days=7),
    max_lifetime=timedelta(days=30.5),
    max_height=540,
    filters=Filters(min_views=500),
    weight=2.5,
    paused=True,
)


FULL = Rule(
    RuleId("f"),
    "Everything set",
    RuleKind.TRENDING,
    tags=frozenset({"film", "sea"}),
    budget_share=0.123456,
    channel_budget=ByteCount(3_333_333_333),
    most=40,
    per_channel=3,
    min_lifetime=timedelta(seconds=100),
    max_lifetime=timedelta(days=10, seconds=7),
    smallest=True,
    filters=Filters(
        min_views=1,
        max_views=10**9,
        min_age=timedelta(hours=1),
        max_age=timedelta(days=9),
        min_duration=timedelta(seconds=61),
        max_duration=timedelta(hours=3),
        min_size=ByteCount(1_234_567),
        max_size=ByteCount(2_000_000_000),
        languages=frozenset({"en", "fr"}),
        categories=frozenset({"Films"}),
        tags=frozenset({"boat"}),
        nsfw=False,
        include=("news", "part * of"),
        exclude=("*trailer*",),
    ),
    half_life=timedelta(hours=7),
    keep_below=3,
    ratio=1.75,
    seed_below=5,
    watched=Watched.DROP,
)


def _sent(form: rule_form.RuleForm) -> rule_form.Draft:
    """Return what a browser would send of a form that nobody touched."""
    sent = {
        "name": form.name,
        "kind": next(k.value for k in form.kinds if k.chosen),
        "scope": "all" if form.all_channels else "some",
        "budget_kind": form.budget_kind,
        "max_height": next(h.value for h in form.heights if h.chosen),
        "filters.nsfw": next(s.value for s in form.sensitive if s.chosen),
        "watched": next(w.value for w in form.watched if w.chosen),
        **{name: field.value.replace("\n", "\r\n") for name, field in form.inputs.items()},
        **({"paused": "on"} if form.paused else {}),
    }
    return rule_form.Draft(sent, [c.value for c in form.channels if c.chosen])


@pytest.mark.parametrize("rule", [RULE, FULL, Rule(RuleId("r"), "All", RuleKind.EVERYTHING, budget_share=0.25)])
def test_a_rule_survives_its_form_also_where_that_shows_it_rounded(rule: Rule) -> None:
    wrong: dict[str, str] = {}
    form = rule_form.of_rule(rule, {ChannelId("c"): "Harbour"})
    assert rule_form.read(rule.id, _sent(form), wrong, rule) == rule
    again = rule_form.again(rule.id, _sent(form), {ChannelId("c"): "Harbour"}, {})
    assert rule_form.read(rule.id, _sent(again), wrong, rule) == rule
    assert wrong == {}


def test_a_form_has_a_place_for_every_field_of_a_rule() -> None:
    form = rule_form.blank({ChannelId("c"): "Harbour"})
    others = {"id", "name", "kind", "channels", "max_height", "smallest", "paused", "watched", "filters.nsfw"}
    places = {*form.inputs, *others}
    assert places == {*Rule.__slots__, *(f"filters.{name}" for name in Filters.__slots__)} - {"filters"}
    in_groups = {field.name for group in form.groups for field in group.inputs} | {f.name for f in form.common}
    assert set(form.inputs) - in_groups == {"budget", "budget_share", "tags"}


def test_what_means_nothing_for_a_kind_is_not_read() -> None:
    wrong: dict[str, str] = {}
    sent = {"name": "R", "kind": "recent", "half_life": "nonsense", "budget_kind": "disk", "budget": "x"}
    made = rule_form.read(RuleId("r"), rule_form.Draft(sent), wrong)
    assert wrong == {}
    assert made is not None
    assert (made.half_life, made.budget, made.weight) == (None, None, 1.0)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("most", "2.5", "whole number"),
        ("most", "-1", "not below zero"),
        ("ratio", "1e400", "not below zero"),
        ("min_lifetime", "40000", "hundred years"),
        ("channel_budget", "much", "number"),
        ("filters.min_duration", "٣x", "number"),
        ("max_height", "²", "Choose"),
    ],
)
def test_a_field_that_is_not_understood_keeps_what_was_typed_and_says_why(field: str, text: str, words: str) -> None:
    wrong: dict[str, str] = {}
    draft = rule_form.Draft({"name": "R", "kind": "recent", "budget_kind": "disk", field: text})
    assert rule_form.read(RuleId("r"), draft, wrong) is None
    assert list(wrong) == [field]
    assert words in wrong[field]
    if field != "max_height":
        shown = rule_form.again("r", draft, {}, wrong).inputs[field]
        assert (shown.value, shown.error) == (text, wrong[field])


@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "kind", "scope", "budget_kind", "budget", "min_lifetime", "max_height", "filters.include", "tags"]
        ),
        st.text() | st.sampled_from(["trending", "bytes", "share", "smallest", "1e300", "some"]),
    )
)
def test_whatever_is_sent_a_rule_form_answers_with_words(sent: dict[str, str]) -> None:
    wrong: dict[str, str] = {}
    draft = rule_form.Draft(sent)
    rule = rule_form.read(RuleId("r"), draft, wrong)
    assert (rule is None) == bool(wrong)
    rule_form.again("r", draft, {}, wrong)


def test_a_rule_that_no_plan_has_measured_says_its_share() -> None:
    share = Rule(RuleId("r"), "Half", RuleKind.RECENT, budget_share=0.5, paused=True)
    assert rules.rule_card(share, None, {}).budget == "50\u00a0% of the space"
    assert rules.rule_card(replace(share, budget_share=None), None, {}).budget == "all the disk may hold"


def test_the_first_page_says_why_nothing_comes() -> None:
    address = ChannelAddress("https://a.example", Origin("a.example"), ChannelKind.CHANNEL, "a")
    read = Channel(ChannelId("a"), ChannelInfo(address, "A"), ChannelState.FOLLOWED, NOW, listed=3)
    assert [home.reading([read]), home.reading([read, replace(read, state=ChannelState.SYNCING)])] == [False, True]
    assert "No rule is in force" in home.nothing([read], ruled=False)
    assert "lists no videos" in home.nothing([replace(read, listed=0)], ruled=True)
    assert "the rules want nothing" in home.nothing([read], ruled=True)


def _option(path: str, value: object, default: object, source: Source = Source.DEFAULT) -> Option:
    locked = "SEEDKEEP_X" if source is Source.ENVIRONMENT else None
    return Option(path, value, default, type(default).__name__, "Words, in bytes.", source, locked, False, False)


def test_a_setting_fixed_outside_is_locked_and_says_by_what() -> None:
    group = settings.groups([_option("swarm.dht", False, True, Source.ENVIRONMENT)])[0]
    assert (group.name, group.fields[0].locked, group.fields[0].source) == ("Swarm", True, "fixed by SEEDKEEP_X")


def test_settings_are_read_back_as_they_are_shown() -> None:
    floor = _option("library.floor_bytes", 2_147_483_648, 2_147_483_648)
    shown = settings.groups([floor])[0].fields[0]
    assert shown.value == "2.147"
    assert "in bytes" not in shown.sentence
    assert settings.parse(floor, "3,5") == 3_500_000_000
    assert settings.parse(_option("swarm.dht", True, True), "") is False
    with pytest.raises(ValueError, match="number"):
        settings.parse(floor, "much")
    for endless in ("inf", "nan", "1e400"):
        with pytest.raises(ValueError, match="too large"):
            settings.parse(floor, endless)


def test_a_size_that_may_be_empty_is_set_in_gb_and_emptied_again() -> None:
    daily = _option("follow.origin_daily_bytes", None, None)
    daily = replace(daily, optional=True, description="Bytes of media taken from one server.")
    shown = settings.groups([daily])[0].fields[0]
    assert (shown.kind, shown.value, shown.sentence) == ("number", "", "GB of media taken from one server.")
    assert "GB" in shown.label
    assert (settings.parse(daily, "0.5"), settings.parse(daily, " ")) == (500_000_000, None)
    assert settings.untouched(daily, "")


def test_every_setting_says_its_unit_and_its_bounds_in_it() -> None:
    options = {o.path: o for o in load({}, None).options()}
    shown = {f.key: f for group in settings.groups(options.values()) for f in group.fields}
    for path, field in shown.items():
        assert ("GB" in field.label) == path.endswith("_bytes"), path
        if field.kind == "number":
            with pytest.raises(ValueError, match="Write a number from"):
                settings.parse(options[path], "-1")
            with pytest.raises(ValueError, match="number"):
                settings.parse(options[path], "9" * 25)
    with pytest.raises(ValueError, match="from 5 to 86,400"):
        settings.parse(options["pin.patience"], "2")
    with pytest.raises(ValueError, match="from 0 on"):
        settings.parse(options["pin.cache_bytes"], "-3")


def test_a_refused_text_is_told_without_what_stands_beside_the_field_already() -> None:
    options = {o.path: o for o in load({}, None).options()}
    for path, text, said in (
        ("lan.name", "-1", "“-1” cannot be used."),
        ("tv.copies", "always", "“always” is none of its words."),
        ("lan.allow_interfaces", "<b>", "“<b>” is not an interface. Write names as"),
    ):
        with pytest.raises(BadInput) as wrong:
            load({}, None, saved={path: text})
        assert settings.refused(options[path], wrong.value).startswith(said)


def test_the_first_password_is_never_shown() -> None:
    secret = Option("setup.admin_password", "hush", "", "str", "", Source.FILE, None, False, True)
    assert settings.groups([secret]) == ()
    assert Settings().setup.admin_password == ""


@pytest.mark.parametrize(("typed", "limit"), [("", None), ("0", 0), ("1,5", 1_500_000), (" 12 ", 12_000_000)])
def test_limits_are_typed_in_megabytes(typed: str, limit: int | None) -> None:
    assert settings.bytes_per_second(typed) == limit


@pytest.mark.parametrize("typed", ["-1", "nan", "inf", "fast", "1e9"])
def test_a_limit_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="Write a number"):
        settings.bytes_per_second(typed)


@pytest.mark.parametrize(
    ("path", "root"), [("/", "./"), ("/channels", "./"), ("/channels/x", "../"), ("/a/b/c", "../../"), ("/a/", "../")]
)
def test_addresses_count_from_the_page_itself(path: str, root: str) -> None:
    assert theatre.root_of(path) == root


def test_data_inside_a_page_cannot_end_its_script() -> None:
    assert "</script>" not in theatre.for_script(json.dumps({"name": "</script><script>alert(1)"}))
    assert json.loads(theatre.for_script('{"a": "<&"}')) == {"a": "<&"}


# The look


def _tokens() -> tuple[dict[str, str], dict[str, str]]:
    text = (WEB / "assets/src/tokens.css").read_text()
    light, _, dark = text.partition("@media")

    def read(part: str) -> dict[str, str]:
        return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", part))

    return read(light), read(light) | read(dark)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((ink, ground) for ink in ("ink", "ink-2") for ground in ("paper", "surface", "sunken")),
        *((ink, ground) for ink in ("leaf", "rust") for ground in ("paper", "surface")),
        *(("ink", ground) for ground in ("leaf-soft", "amber-soft", "rust-soft", *(f"tint-{n}" for n in range(8)))),
        ("on-leaf", "leaf"),
        ("leaf-strong", "leaf-soft"),
        ("sky", "sky-soft"),
        ("amber", "amber-soft"),
        ("rust", "rust-soft"),
        ("leaf", "leaf-soft"),
        ("on-pine", "pine"),
        ("on-pine-2", "pine"),
        ("on-pine-2", "pine-2"),
        ("sprout", "pine"),
    ],
)
def test_words_stand_out_from_their_ground(scheme: int, ink: str, ground: str) -> None:
    tokens = _tokens()[scheme]
    lighter, darker = sorted((_luminance(tokens[ink]), _luminance(tokens[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_colours_stand_in_the_tokens_alone() -> None:
    for sheet in (WEB / "assets/src").glob("*.css"):
        if sheet.name != "tokens.css":
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b", sheet.read_text())
            assert found == [], f"{sheet.name}: {found}"


def test_no_page_needs_anything_from_another_server() -> None:
    for template in (WEB / "templates").rglob("*.html"):
        text = re.sub(r'placeholder="[^"]*"', "", template.read_text())
        assert re.findall(r"https?://|//cdn|style=|onclick=|<style", text) == [], template.name


def test_a_storyboard_is_drawn_only_where_its_numbers_make_sense() -> None:
    told = Storyboard("https://tube.example/b.jpg", 1920, 1080, 192, 108, 7.5)
    drawn = player.board("video", told, 600)
    assert drawn is not None
    assert (drawn.columns, drawn.count, drawn.step, drawn.src) == (10, 80, 8, "media/video/storyboard.jpg")
    # More moments than tiles: the last tile stands for the rest.
    long = player.board("video", told, 100_000)
    assert long is not None
    assert long.count == 100
    for nonsense in (
        replace(told, tile_width=0),
        replace(told, interval=0.0),
        replace(told, tile_height=-1),
        replace(told, total_width=100),
    ):
        assert player.board("video", nonsense, 600) is None
    assert player.board("video", told, 0) is None
    assert player.board("video", None, 600) is None


@pytest.mark.parametrize(
    ("yielding", "limit", "said"),
    [
        (YieldsNow(), None, ""),
        (YieldsNow("wait", BytesPerSecond(480_000), 0.08), None, "480 kB/s: packets wait 80 ms in your router."),
        (YieldsNow("wait", BytesPerSecond(480_000), 0.002), None, "each second: packets waited in your router."),
        (YieldsNow("wait", BytesPerSecond(480_000), None), None, "each second: packets waited in your router."),
        (YieldsNow("player", BytesPerSecond(480_000)), None, "480 kB/s while a screen in the house plays."),
        (YieldsNow("listening", BytesPerSecond(8_192), 0.5), None, "how long packets take while nothing is sent."),
        (YieldsNow("wait", BytesPerSecond(480_000), 0.08), 480_000, ""),
        (YieldsNow("listening", BytesPerSecond(8_192)), 0, ""),
    ],
)
def test_what_is_held_back_is_one_sentence_unless_a_limit_is_lower(
    yielding: YieldsNow, limit: int | None, said: str
) -> None:
    most = None if limit is None else BytesPerSecond(limit)
    schedule = Schedule(full=Budget(upload=most))
    ration = Ration(schedule, in_force(schedule, {}, None, NOW), {}, {}, NOW, yielding)
    spoken = week.yields(ration).replace("\u00a0", " ")
    assert spoken.endswith(said)
    assert bool(spoken) is bool(said)


@pytest.mark.parametrize("count", [0, 49, 50, 800, 3_200_000])
def test_the_command_line_writes_rates_as_the_pages_do(count: int) -> None:
    assert printout.rate(count) == words.rate(count).replace("\u00a0", " ")


def _ration(schedule: Schedule, used: Used, quiet_until: datetime | None = None) -> Ration:
    return Ration(schedule, in_force(schedule, used, quiet_until, NOW), used, {}, NOW, YieldsNow())


def test_why_nothing_may_come_is_said_by_its_reason() -> None:
    gigabyte = ByteCount(10**9)
    bounded = Schedule(allowances={Span.DAY: Allowance(up=gigabyte, down=gigabyte)})
    assert week.none_down(_ration(bounded, {Span.DAY: (0, 0)})) == ""
    assert week.none_down(_ration(bounded, {Span.DAY: (10**9, 0)})) == "", "what may be given is another matter"
    said = week.none_down(_ration(bounded, {Span.DAY: (10**9, 10**9)}))
    assert said.startswith("Today's download is used up until ")
    assert "upload" not in said
    quiet = week.none_down(_ration(bounded, {Span.DAY: (10**9, 0)}, NOW + timedelta(hours=2)))
    assert quiet.startswith("Nothing may come from the internet: Quiet until ")
    assert "upload" not in quiet
