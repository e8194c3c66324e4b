"""The command line: exit codes, one sentence for each error, and what each sub-command prints."""

import fcntl
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import cli
from tests.world.http import Server
from tests.world.media import make
from tests.world.origin import Origin
from tests.world.published import json_reply
from tests.world.service import Service
from tests.world.service import seedkeep as process


@pytest.fixture(scope="module")
def tube() -> Iterator[Origin]:
    with Origin(limit=None) as running:
        yield running


@pytest.fixture(scope="module")
def service(tube: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service")) as running:
        film = tube.add_video(make(), title="Harbour at dawn")
        running.ask("POST", "/api/v1/pins", {"url": film.address})
        running.until("/api/v1/pins", lambda pins: pins["items"] and pins["items"][0]["state"] == "pinned")
        yield running


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("SEEDKEEP_") and not n.startswith("SEEDKEEP_TEST")]:
        monkeypatch.delenv(name)


class Ran:
    """What a sub-command answered."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def seedkeep(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Ran:
        code = cli.main([str(a) for a in arguments])
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return run


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["frobnicate"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("Seedkeep ")


@pytest.mark.parametrize(
    "command", [["status"], ["pins"], ["follow", "x"], ["health"], ["scrub"], ["plan"], ["rules"], ["export", "c", "d"]]
)
def test_without_a_service_it_is_4(tmp_path: Path, seedkeep: Run, command: list[str]) -> None:
    ran = seedkeep(*command, "--data", tmp_path)
    assert ran.code == 4
    assert ran.err.startswith("seedkeep: No service is running with the data folder")
    assert len(ran.err.splitlines()) == 2
    assert not ran.out


def test_what_a_killed_service_left_behind_is_no_service(tmp_path: Path, seedkeep: Run) -> None:
    (tmp_path / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": 1}))
    (tmp_path / "cli.token").write_text("secret")
    (tmp_path / "lock").touch()
    assert seedkeep("status", "--data", tmp_path).code == 4


def test_a_wrong_setting_is_2(tmp_path: Path, seedkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDKEEP_WEB__PORT", "many")
    for command in (["run"], ["config"], ["check"]):
        ran = seedkeep(*command)
        assert ran.code == 2
        assert ran.err.startswith("seedkeep: web.port:")


def test_config_lists_every_setting_without_a_service(tmp_path: Path, seedkeep: Run) -> None:
    ran = seedkeep("config", "--data", tmp_path)
    assert ran.code == 0
    assert "SEEDKEEP_WEB__PORT" in ran.out
    rows = json.loads(seedkeep("config", "--json").out)
    assert {"path", "value", "default", "source", "variable"} <= rows[0].keys()


def test_one_video_is_explained_by_its_id_and_history_says_what_changed(service: Service, seedkeep: Run) -> None:
    service.until("/api/v1/plan", lambda plan: [line["word"] for line in plan["items"]] == ["kept"])
    ident = service.ask("GET", "/api/v1/pins")["items"][0]["video_id"]
    told = seedkeep("plan", "--explain", ident, "--data", service.data).out.splitlines()
    assert told[0].startswith("Harbour at dawn (")
    assert told[1].startswith("  kept, ")
    assert told[2] == "  You pinned it by hand."
    assert any(line.startswith("  Copies  ") for line in told)
    assert json.loads(seedkeep("plan", "--explain", ident, "--json", "--data", service.data).out)["id"] == ident
    assert seedkeep("plan", "--explain", "nosuchvideo", "--data", service.data).code == 2
    history = seedkeep("plan", "--history", "--data", service.data).out
    assert "UTC, 1 change" in history
    assert "Harbour at dawn" in history


OLD_RULES = """
[[rule]]
id = "films"
name = "Films"
kind = "recent"
min_views = 5
max_lifetime_days = 30
"""


def test_rules_are_previewed_imported_and_exported_as_files(service: Service, seedkeep: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "rules.toml", tmp_path / "out.toml"
    file.write_text(OLD_RULES)
    previewed = seedkeep("rules", "preview", file, "--data", service.data)
    assert previewed.code == 0, previewed.err
    assert previewed.out.startswith("Comes    0 videos")
    assert "Nothing is changed yet" in previewed.out
    assert "Films" not in seedkeep("rules", "--data", service.data).out
    assert seedkeep("rules", "import", file, "--data", service.data).out.startswith("1 rule in force")
    assert "Films" in seedkeep("rules", "--data", service.data).out
    assert seedkeep("rules", "export", out, "--data", service.data).code == 0
    assert "min_views = 5" in out.read_text()
    assert 'max_lifetime = "30d"' in out.read_text()
    assert seedkeep("rules", "export", "--data", service.data).out == out.read_text()
    assert seedkeep("rules", "export", out, "--data", service.data).code == 2
    assert seedkeep("rules", "import", out, "--json", "--data", service.data).code == 0
    for text, words in (
        (OLD_RULES + "budgett = 1", "budgett"),
        (OLD_RULES.replace('"recent"', '"odd"'), "kind"),
        ("version = 99", "version 99"),
        ("\x00", "not TOML"),
    ):
        file.write_text(text)
        for action in ("preview", "import"):
            ran = seedkeep("rules", action, file, "--data", service.data)
            assert ran.code == 2
            assert words in ran.err
            assert "Traceback" not in ran.err
    file.write_bytes(b"\xff\xfe")
    assert "UTF-8" in seedkeep("rules", "import", file, "--data", service.data).err
    assert seedkeep("rules", "import", tmp_path / "nowhere", "--data", service.data).code == 2
    assert seedkeep("rules", "preview", "--data", service.data).code == 2
    service.ask("PUT", "/api/v1/rules", {"rules": []})


def test_listings_and_their_json(service: Service, seedkeep: Run) -> None:
    for command in ("channels", "videos", "pins"):
        assert seedkeep(command, "--data", service.data).code == 0
        answer = json.loads(seedkeep(command, "--json", "--data", service.data).out)
        assert answer.keys() >= {"total", "items"}
    assert "Harbour at dawn" in seedkeep("pins", "--data", service.data).out


def test_the_plan_is_explained_line_by_line(service: Service, seedkeep: Run) -> None:
    service.until("/api/v1/plan", lambda plan: [line["word"] for line in plan["items"]] == ["kept"])
    plain, why = seedkeep("plan", "--data", service.data), seedkeep("plan", "--explain", "--data", service.data)
    (line,) = plain.out.splitlines()
    assert line.startswith("kept")
    assert line.endswith("Harbour at dawn")
    assert why.out.splitlines()[0] == line
    assert "by hand" in why.out.splitlines()[1]


def test_status_health_check_token_and_scrub(service: Service, seedkeep: Run) -> None:
    assert json.loads(seedkeep("status", "--json", "--data", service.data).out)["holdings"]["pins"] == {"pinned": 1}
    told = seedkeep("status", "--data", service.data).out
    assert "Uplink   Full speed, all week.\n" in told
    assert "Kept     1 video, " in told
    assert "To come  nothing" in told
    assert seedkeep("health", "--data", service.data).out == "ok\n"
    checked = seedkeep("check", "--data", service.data)
    assert checked.code == 0
    assert all(line.startswith("ok") for line in checked.out.splitlines())
    token = seedkeep("token", "create", "tv", "--scope", "play", "--data", service.data).out.strip()
    assert len(token) > 20
    scrubbing = json.loads(seedkeep("scrub", "--json", "--data", service.data).out)
    assert scrubbing["queued"] == 1


def test_a_forgotten_password_is_set_anew_by_who_may_read_the_local_token(
    service: Service, seedkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, code, words in (("short", 2, "10 characters"), ("quite another one", 0, "is changed")):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{said}\n"))
        ran = seedkeep("password", "--data", service.data)
        assert ran.code == code
        assert words in ran.out + ran.err


def test_a_box_that_works_in_part_is_1_and_still_runs(tmp_path: Path, seedkeep: Run) -> None:
    told = {"status": "degraded", "troubles": ["The disk is full.", "The clock is\x1b[2J wrong."]}
    server = Server(lambda _: json_reply(told), "127.0.0.1", (0,))
    server.start()
    (tmp_path / "service.json").write_text(json.dumps({"url": f"http://127.0.0.1:{server.ports[0]}"}))
    (tmp_path / "cli.token").write_text("secret")
    try:
        with open(tmp_path / "lock", "w", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            ran = seedkeep("health", "--data", tmp_path)
            assert (ran.code, ran.out) == (1, "degraded: The disk is full. The clock is[2J wrong.\n")
            assert seedkeep("health", "--running", "--data", tmp_path).code == 0
    finally:
        server.close()
    assert seedkeep("health", "--running", "--data", tmp_path).code == 4


def test_what_cannot_be_is_2_and_says_why(service: Service, seedkeep: Run) -> None:
    ran = seedkeep("pin", "nosuchvideo", "--data", service.data)
    assert ran.code == 2
    assert ran.err.startswith("seedkeep: ")
    assert "Traceback" not in ran.err
    assert seedkeep("unfollow", "nosuchchannel", "--data", service.data).code == 2
    assert seedkeep("follow", "not an address", "--data", service.data).code == 2


def test_an_origin_that_fails_is_1(service: Service, seedkeep: Run) -> None:
    ran = seedkeep("follow", "http://127.0.0.1:1/c/nobody", "--data", service.data)
    assert ran.code == 1
    assert "cannot be reached" in ran.err


def test_a_backup_is_made_while_running_and_put_back_while_not(
    service: Service,
    seedkeep: Run,
    tmp_path: Path,
) -> None:
    copy = tmp_path / "copy.db"
    made = seedkeep("backup", copy, "--data", service.data)
    assert made.code == 0
    assert "1 video, 1 pin." in made.out
    assert seedkeep("backup", copy, "--data", service.data).code == 2
    looked = seedkeep("restore", copy, "--dry-run", "--data", tmp_path / "other")
    assert looked.code == 0
    assert not (tmp_path / "other").exists()
    refused = seedkeep("restore", copy, "--data", service.data)
    assert refused.code == 2
    assert "is running" in refused.err
    assert seedkeep("restore", copy, "--data", tmp_path / "other").code == 0
    again = seedkeep("restore", copy, "--data", tmp_path / "other")
    assert "The catalogue before is" in again.out


def test_what_is_no_backup_is_2_and_one_of_a_newer_program_is_3(tmp_path: Path, seedkeep: Run) -> None:
    (tmp_path / "text").write_text("no database")
    assert seedkeep("restore", tmp_path / "text", "--dry-run", "--data", tmp_path).code == 2
    assert seedkeep("restore", tmp_path / "nowhere", "--dry-run", "--data", tmp_path).code == 2
    newer = sqlite3.connect(tmp_path / "newer.db")
    for table in ("channels", "videos", "pins"):
        newer.execute(f"CREATE TABLE {table} (id TEXT)")
    newer.execute("CREATE TABLE alembic_version (version_num TEXT)")
    newer.execute("INSERT INTO alembic_version VALUES ('9999')")
    newer.commit()
    newer.close()
    ran = seedkeep("restore", tmp_path / "newer.db", "--data", tmp_path)
    assert ran.code == 3
    assert "newer" in ran.err


def test_a_catalogue_of_a_newer_program_is_3_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    newer = sqlite3.connect(data / "catalogue.db")
    newer.execute("CREATE TABLE alembic_version (version_num TEXT)")
    newer.execute("INSERT INTO alembic_version VALUES ('9999')")
    newer.commit()
    newer.close()
    ran = process("run", "--data", data)
    assert ran.returncode == 3
    assert "Traceback" not in ran.stderr


def test_a_channel_is_exported_as_a_folder_below_the_one_for_exports(
    service: Service, tube: Origin, seedkeep: Run
) -> None:
    channel = service.ask("POST", "/api/v1/channels", {"url": tube.add_channel("exported")})["id"]
    service.ask("PUT", "/api/v1/rules", {"rules": [{"name": "All", "kind": "everything", "channels": [channel]}]})
    assert "held whole" in seedkeep("export", channel, "Films", "--data", service.data).err
    tube.add_video(make(), title="../Tide: tables", channel="exported")
    service.ask("POST", f"/api/v1/channels/{channel}/refresh")
    service.until(f"/api/v1/channels/{channel}", lambda found: found["held"] == 1)
    done = seedkeep("export", channel, "Films", "--data", service.data)
    assert done.code == 0, done.err
    folder = service.data / "exports" / "Films"
    assert done.out.startswith(f"{folder}: 1 video, ")
    films = [path for path in folder.iterdir() if path.suffix == ".mp4"]
    assert films
    assert all(" Tide tables [" in path.name for path in films)
    assert all(path.stat().st_nlink == 2 for path in films)
    assert (folder / "index.html").is_file()
    again = json.loads(seedkeep("export", channel, "Films", "--json", "--data", service.data).out)
    assert (again["state"], again["linked"], again["left"]) == ("done", 0, [])
    assert again["present"] > 0
    assert seedkeep("export", channel, "../escape", "--data", service.data).code == 2
    assert seedkeep("export", "nosuchchannel", "x", "--data", service.data).code == 2
    assert not (service.data / "escape").exists()
    service.ask("PUT", "/api/v1/rules", {"rules": []})
    service.ask("DELETE", f"/api/v1/channels/{channel}")
