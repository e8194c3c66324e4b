"""The book of settings: where a value comes from, what is locked, and what is wrong with it."""

from pathlib import Path

import pytest

from appliance.book import FIELDS, Source, check_changes, from_environment, load, variable
from appliance.errors import BadInput


def test_without_anything_the_defaults_are_in_force() -> None:
    page = load({}, None)
    assert page.settings.web.port == 7333
    assert all(option.source is Source.DEFAULT for option in page.options())


def test_the_environment_wins_over_the_file_the_file_over_what_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "seedkeep.toml"
    file.write_text("[web]\nport = 2\n[swarm]\nlisten_port = 2\n")
    saved = {"web.port": 3, "swarm.listen_port": 3, "lan.name": "saved"}
    page = load({"SEEDKEEP_WEB__PORT": "1"}, file, saved=saved)
    assert (page.settings.web.port, page.settings.swarm.listen_port, page.settings.lan.name) == (1, 2, "saved")
    known = {o.path: (o.source, o.locked_by) for o in page.options()}
    assert known["web.port"] == (Source.ENVIRONMENT, "SEEDKEEP_WEB__PORT")
    assert known["swarm.listen_port"] == (Source.FILE, str(file))
    assert known["lan.name"] == (Source.SAVED, None)


def test_the_command_line_wins_over_all() -> None:
    page = load({"SEEDKEEP_DATA_DIR": "/one"}, None, {"data_dir": "/two"})
    assert page.settings.data_dir == "/two"
    assert page.sources["data_dir"][1] == "the command line"


def test_what_is_fixed_elsewhere_cannot_be_changed_in_the_dashboard() -> None:
    page = load({"SEEDKEEP_BANDWIDTH__UPLOAD": "5"}, None)
    with pytest.raises(BadInput, match="fixed by SEEDKEEP_BANDWIDTH__UPLOAD") as locked:
        check_changes(page, {"bandwidth.upload": 7})
    assert (locked.value.code, locked.value.field) == ("locked", "bandwidth.upload")
    with pytest.raises(BadInput, match="not a setting"):
        check_changes(page, {"bandwidth.uplaod": 7})
    with pytest.raises(BadInput):
        check_changes(page, {"data_dir": "/elsewhere"})
    check_changes(page, {"bandwidth.download": 7})


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("week", "f" * 167, "167 hours"),
        ("week", "x" * 168, "'x' is not one of"),
        ("timezone", "Paris", "Did you mean Europe/Paris?"),
        ("timezone", "../etc/passwd", "is not a time zone"),
        ("timezone", "Europe", "is not a time zone"),
        ("billing_day", "0", "“0” is too small"),
        ("monthly_upload", "-5", "“-5” is too small. Bytes that may go up each month. It is at least 0."),
        ("monthly_upload", "9" * 30, "is too large"),
        ("probe_host", "a b", "“a b” cannot be used"),
        ("probe_host", "x" * 300, "longer than 253 letters"),
    ],
)
def test_a_bandwidth_that_cannot_be_is_refused_by_its_path(path: str, text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        load({f"SEEDKEEP_BANDWIDTH__{path.upper()}": text}, None)
    assert refused.value.field == f"bandwidth.{path}"
    assert said in f"{refused.value.message} {refused.value.hint}"


def test_a_first_password_that_is_too_short_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="shorter than 10 characters") as refused:
        load({"SEEDKEEP_SETUP__ADMIN_PASSWORD": "hunter2"}, None)
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"
    assert load({"SEEDKEEP_SETUP__ADMIN_PASSWORD": ""}, None).settings.setup.admin_password == ""


@pytest.mark.parametrize("name", ["SEEDKEEP_WEB__PROT", "SEEDKEEP_WEBPORT", "SEEDKEEP_WEB__PORT_FILE"])
def test_an_unknown_variable_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is not a setting"):
        load({name: "1"}, None)


@pytest.mark.parametrize(("text", "path"), [("prot = 1", "prot"), ("[web]\nprot = 1", "web.prot"), ("web = 1", "web")])
def test_an_unknown_key_of_the_file_is_named(tmp_path: Path, text: str, path: str) -> None:
    file = tmp_path / "seedkeep.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match="is not a setting") as wrong:
        load({}, file)
    assert wrong.value.field == path


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("SEEDKEEP_WEB__PORT", "70000", "between 0 and 65535"),
        ("SEEDKEEP_WEB__PORT", "many", "between 0 and 65535"),
        ("SEEDKEEP_SWARM__ENCRYPTION", "sometimes", "one of enabled, forced, disabled"),
        ("SEEDKEEP_LAN__MDNS", "perhaps", "Announce"),
        ("SEEDKEEP_LIBRARY__FLOOR_BYTES", "-1", "at least 0"),
        ("SEEDKEEP_TV__COPIES", "always", "one of off, when_needed"),
        ("SEEDKEEP_PIN__CACHE_BYTES", "many", "at least 0"),
        ("SEEDKEEP_LAN__NAME", "-1", "letters, digits, hyphens between them"),
        ("SEEDKEEP_LAN__NAME", "", "letters, digits, hyphens between them"),
    ],
)
def test_a_wrong_value_says_where_and_what_it_may_be(name: str, text: str, hint: str) -> None:
    with pytest.raises(BadInput) as wrong:
        load({name: text}, None)
    assert variable(wrong.value.field) == name
    assert hint in wrong.value.hint
    for word in ("`int`", "`str`", "enum", "regex", "e+"):
        assert word not in f"{wrong.value.message} {wrong.value.hint}"


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("swarm.dht_bootstrap", "nonsense", "“nonsense” has no port"),
        ("swarm.dht_bootstrap", "router.example:6881, 2001:db8::1:6881", "“2001:db8::1:6881” has no port"),
        ("swarm.dht_bootstrap", "router.example:0", "not a number from 1 to 65535"),
        ("swarm.dht_bootstrap", "router.example:99999999999999999999", "not a number from 1 to 65535"),
        ("swarm.dht_bootstrap", "router.example:٣", "not a number from 1 to 65535"),
        ("swarm.dht_bootstrap", "two words:6881", "“two words” is not a host name"),
        ("swarm.dht_bootstrap", "999.1.1.1:6881", "“999.1.1.1” is not a host name"),
        ("swarm.dht_bootstrap", "a.example:1,,b.example:2", "nothing between two commas"),
        ("swarm.dht_bootstrap", ",".join(["a.example:1"] * 33), "more than 32"),
        ("swarm.interfaces", "eth0:6881", "“eth0:6881” is not an address or an interface"),
        ("swarm.interfaces", "192.168.1.300", "is not an address or an interface"),
        ("swarm.interfaces", "a\nb", "“ab” is not an address or an interface"),
        ("web.host", "", "“” is not an address"),
        ("web.host", "http://0.0.0.0", "“http://0.0.0.0” is not an address"),
    ],
)
def test_an_address_that_is_none_is_named_with_its_remedy(path: str, text: str, message: str) -> None:
    with pytest.raises(BadInput) as wrong:
        load({variable(path): text}, None)
    assert wrong.value.field == path
    assert wrong.value.message.startswith(f"{path}: ")
    assert message in wrong.value.message
    assert wrong.value.hint.startswith("Write ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("swarm.dht_bootstrap", ""),
        ("swarm.dht_bootstrap", "router.bittorrent.com:6881 , 10.0.0.1:1,[2001:db8::1]:65535,localhost:6881"),
        ("swarm.interfaces", "eth0, wlan0.5,192.168.1.5,[fe80::1%eth0],::1"),
        ("web.host", "::"),
        ("web.host", "localhost"),
        ("web.host", "box.local"),
    ],
)
def test_an_address_may_be_written_in_every_usual_form(path: str, text: str) -> None:
    load({variable(path): text}, None)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("no", False), ("TRUE", True), ("0", False)])
def test_switches_are_read_as_people_write_them(text: str, value: bool) -> None:
    assert load({"SEEDKEEP_LAN__MDNS": text}, None).settings.lan.mdns is value


@pytest.mark.parametrize(("text", "value"), [("unlimited", None), ("", None), ("0", 0), (" 1000 ", 1000)])
def test_a_limit_is_none_nothing_or_a_number(text: str, value: int | None) -> None:
    assert load({"SEEDKEEP_BANDWIDTH__UPLOAD": text}, None).settings.bandwidth.upload == value


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("tell nobody\n")
    page = load({"SEEDKEEP_SETUP__ADMIN_PASSWORD_FILE": str(secret)}, None)
    assert page.settings.setup.admin_password == "tell nobody"
    option = next(o for o in page.options() if o.secret)
    assert option.value is None
    assert "tell nobody" not in repr(page.options())
    with pytest.raises(BadInput, match="cannot be read"):
        load({"SEEDKEEP_SETUP__ADMIN_PASSWORD_FILE": str(tmp_path / "nowhere")}, None)


@pytest.mark.parametrize("content", [b"[web", b"\xff\xfe", b"web = {port = 1"])
def test_a_file_that_is_not_toml_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "seedkeep.toml"
    file.write_bytes(content)
    with pytest.raises(BadInput, match="is not TOML"):
        load({}, file)
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        load({}, tmp_path / "nowhere.toml")
    file.write_text("[web]\nport = " + "9" * 5000)
    with pytest.raises(BadInput, match="is not TOML"):
        load({}, file)
    file.write_text("[web]\nport = [1, 2]")
    with pytest.raises(BadInput, match="this is no single value"):
        load({}, file)


def test_every_setting_has_a_sentence_and_a_variable_of_its_own() -> None:
    assert all(field.description.endswith(".") for field in FIELDS.values())
    assert len({variable(path) for path in FIELDS}) == len(FIELDS)
    every = {variable(path): "x" for path, field in FIELDS.items() if field.kind == "text"}
    assert len(from_environment(every | {"PATH": "/bin", "SEEDKEEP_CONFIG": "x"})) == len(every)
