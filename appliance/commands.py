"""What ``seedkeep`` does: this module has one function for each sub-command; it returns the exit code."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from appliance import plan_printout, printout
from appliance.client import Service, is_running
from appliance.clock import RealClock
from appliance.errors import BadInput, SeedkeepError

DONE, FAILED = 0, 1
_LOOK_AGAIN = 0.3
"""Seconds between two looks at how far an export is."""
_LARGEST_FILE = 1_000_000


def run(args: argparse.Namespace) -> int:
    """Run the appliance in the foreground."""
    import asyncio
    import logging

    from appliance import book
    from appliance.host import process

    process.settle()
    process.spare()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("alembic", "apscheduler", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    given = {} if args.data is None else {"data_dir": str(args.data)}
    file = _config_file(args)
    page = book.load(os.environ, file, given)
    from appliance import daemon

    start = daemon.Start(page, dict(os.environ), file, given)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(daemon.run(start))
    return DONE


def follow(args: argparse.Namespace) -> int:
    """Follow a channel, an account or an instance; pin a single video."""
    answer = _service(args).ask("POST", "/api/v1/channels", {"url": args.url})
    became = "Pinned by hand" if answer.get("kind") == "video" else "Following"
    _print(args, answer, f"{became}: {printout.plain(str(answer.get('title') or args.url))}.")
    return DONE


def unfollow(args: argparse.Namespace) -> int:
    """Leave a channel."""
    _service(args).ask("DELETE", f"/api/v1/channels/{args.id}")
    _print(args, {"id": args.id}, "Left. What no rule wants any more goes with the next plan.")
    return DONE


def channels(args: argparse.Namespace) -> int:
    """List followed channels."""
    answer = _service(args).ask("GET", "/api/v1/channels", query={"limit": args.limit})
    _print(args, answer, printout.channels(answer))
    return DONE


def videos(args: argparse.Namespace) -> int:
    """List videos and what was decided of each."""
    query = {"channel": args.channel, "state": args.state, "q": args.q, "limit": args.limit}
    answer = _service(args).ask("GET", "/api/v1/videos", query=query)
    _print(args, answer, printout.videos(answer))
    return DONE


def pin(args: argparse.Namespace) -> int:
    """Pin one video by hand."""
    body = {"url": args.what} if "/" in args.what or "." in args.what else {"video_id": args.what}
    answer = _service(args).ask("POST", "/api/v1/pins", body)
    _print(args, answer, "Pinned by hand; it is fetched in its turn.")
    return DONE


def unpin(args: argparse.Namespace) -> int:
    """Withdraw a hand pin; --never bars the video from every rule."""
    query = {"never": "true"} if args.never else None
    _service(args).ask("DELETE", f"/api/v1/pins/{args.id}", query=query)
    _print(args, {"id": args.id}, "Withdrawn." if not args.never else "Never to be kept.")
    return DONE


def pins(args: argparse.Namespace) -> int:
    """List pins."""
    answer = _service(args).ask("GET", "/api/v1/pins", query={"limit": args.limit})
    _print(args, answer, printout.pins(answer))
    return DONE


def plan(args: argparse.Namespace) -> int:
    """Show the present plan; --explain says why, of every video or of the one with this ID; --history what changed."""
    service = _service(args)
    if args.history:
        answer = service.ask("GET", "/api/v1/plan/history", query={"limit": min(args.limit, 100)})
        _print(args, answer, plan_printout.plan_history(answer))
    elif isinstance(args.explain, str):
        answer = service.ask("GET", f"/api/v1/videos/{quote(args.explain, safe='')}")
        _print(args, answer, plan_printout.explained(answer, RealClock().now()))
    else:
        answer = service.ask("GET", "/api/v1/plan", query={"limit": args.limit, "state": args.state})
        _print(args, answer, plan_printout.plan(answer, explain=args.explain))
    return DONE


def rules(args: argparse.Namespace) -> int:
    """Show the rules; preview FILE says what those of a file would do, import FILE has them in force instead.

    export writes those in force, to FILE or to the screen.
    """
    service = _service(args)
    if args.action in ("preview", "import") and args.file is None:
        raise BadInput(f"Name the file of rules: seedkeep rules {args.action} FILE.")
    match args.action:
        case "preview":
            answer = service.ask("POST", "/api/v1/plan/preview", {"file": _rule_file(args.file)}, {"limit": 500})
            _print(args, answer, plan_printout.preview(answer))
        case "import":
            answer = service.ask("PUT", "/api/v1/rules", {"file": _rule_file(args.file)})
            now = printout.many(answer["total"], "rule")
            _print(args, answer, f"{now} in force, in place of those before. The plan follows in a moment.")
        case "export":
            text = service.text("/api/v1/rules/file")
            if args.file is None:
                print(text, end="")
            else:
                _write_new(args.file, text)
                _print(args, {"file": str(args.file)}, f"The rules are in {args.file}.")
        case _:
            answer = service.ask("GET", "/api/v1/rules")
            _print(args, answer, plan_printout.rules(answer, service.ask("GET", "/api/v1/plan", query={"limit": 1})))
    return DONE


def export(args: argparse.Namespace) -> int:
    """Write what is held of a channel as a folder DIR that plays without Seedkeep; waits until it is done.

    DIR is a name below library.export_dir. Done again, it adds what is new and overwrites nothing.
    """
    service = _service(args)
    made = service.ask("POST", "/api/v1/exports", {"channel": args.channel, "folder": args.dir or ""})
    shown = -1
    while made["state"] in ("queued", "running"):
        if made["done"] != shown and not args.json and sys.stderr.isatty():
            shown = made["done"]
            print(f"{shown} of {printout.many(made['videos'], 'video')}", file=sys.stderr)
        time.sleep(_LOOK_AGAIN)
        every = service.ask("GET", "/api/v1/exports")["items"]
        made = next((one for one in every if one["folder"] == made["folder"]), made)
    _print(args, made, plan_printout.exported(made))
    return DONE if made["state"] == "done" else FAILED


def status(args: argparse.Namespace) -> int:
    """Show what is held, what happens now and how the disk is."""
    service = _service(args)
    answer = service.ask("GET", "/api/v1/status")
    arriving = service.ask("GET", "/api/v1/videos", query={"state": "pinning", "limit": 20})["items"]
    _print(args, answer, printout.status(answer, arriving, RealClock().now()))
    return DONE


def health(args: argparse.Namespace) -> int:
    """Tell whether the service is well: 0, else 1; --running counts one that works in part as well.

    A box with a full disk is not mended by a restart, so what restarts it asks with --running.
    """
    answer = _service(args).ask("GET", "/api/v1/health")
    told = answer if isinstance(answer, dict) else {}
    well = told.get("status") == "ok"
    troubles = " ".join(printout.plain(str(trouble)) for trouble in told.get("troubles", []))
    _print(args, answer, "ok" if well else f"degraded: {troubles}")
    return DONE if well or args.running else FAILED


def check(args: argparse.Namespace) -> int:
    """Check settings, folders and the service, each finding with its cure; with lan the network and its screens."""
    from appliance import book, lan_check

    if args.what == "lan":
        given = {} if args.data is None else {"data_dir": str(args.data)}
        answer = lan_check.examined(_service(args), book.load(os.environ, _config_file(args), given).settings)
        _print(args, answer, lan_check.printed(answer, RealClock().now()))
        return FAILED if lan_check.in_the_way(answer) else DONE
    findings: list[tuple[bool, str]] = []
    page = book.load(os.environ, _config_file(args), {} if args.data is None else {"data_dir": str(args.data)})
    findings.append((True, "The settings are right."))
    data = Path(page.settings.data_dir)
    library = Path(page.settings.library_dir) if page.settings.library_dir else data / "library"
    findings.append((data.is_dir(), f"The data folder is {data}."))
    findings.append(((library / ".seedkeep").is_file(), f"The library is {library}, with its marker file."))
    try:
        answer = Service(data).ask("GET", "/api/v1/health")
        troubles = answer.get("troubles", []) if isinstance(answer, dict) else []
        findings.append((not troubles, "The service is running." + "".join(f" {t}" for t in troubles)))
    except SeedkeepError as error:
        findings.append((False, f"{error.message} {error.hint}"))
    if args.json:
        print(json.dumps([{"ok": ok, "text": text} for ok, text in findings], ensure_ascii=False))
    else:
        for ok, text in findings:
            print(f"{'ok  ' if ok else 'FAIL'} {text}")
    return DONE if all(ok for ok, _ in findings) else FAILED


def config(args: argparse.Namespace) -> int:
    """List every setting with its value, its source and what it means."""
    from appliance import book

    page = book.load(os.environ, _config_file(args), {} if args.data is None else {"data_dir": str(args.data)})
    if args.json:
        rows = [
            {
                "path": o.path,
                "value": o.value,
                "default": o.default,
                "source": o.source,
                "variable": book.variable(o.path),
            }
            for o in page.options()
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return DONE
    for option in page.options():
        value = "(secret)" if option.secret else json.dumps(option.value)
        print(f"{option.path} = {value}  [{option.source.value}]")
        print(f"    {option.description} {book.variable(option.path)}")
    return DONE


def token(args: argparse.Namespace) -> int:
    """Make a token for a program or a player; it is shown once."""
    answer = _service(args).ask("POST", "/api/v1/tokens", {"name": args.name, "scope": args.scope})
    _print(args, answer, str(answer.get("token", "")) if isinstance(answer, dict) else "")
    return DONE


def password(args: argparse.Namespace) -> int:
    """Set a new password for the dashboard, also where the old one is forgotten; every browser is logged out."""
    import getpass

    asked = sys.stdin.isatty()
    new = getpass.getpass("New password: ") if asked else sys.stdin.readline().rstrip("\n")
    if asked and getpass.getpass("The same again: ") != new:
        raise BadInput("The two passwords are not the same.")
    _service(args).change_password(new)
    _print(args, {"changed": True}, "The password is changed. Log in with it.")
    return DONE


def scrub(args: argparse.Namespace) -> int:
    """Hash everything we hold again, and fetch what is rotten once more."""
    answer = _service(args).ask("POST", "/api/v1/scrub")
    _print(
        args,
        answer,
        f"Checking {printout.many(answer['queued'], 'video')} against their hashes; what is rotten is fetched again.",
    )
    return DONE


def backup(args: argparse.Namespace) -> int:
    """Write a copy of the catalogue, rules and settings, while the service runs or not."""
    from appliance.store import backup as copies

    made = copies.write(_data(args) / "catalogue.db", args.file)
    _print(args, {"file": str(args.file)}, _copied(args.file, made))
    return DONE


def restore(args: argparse.Namespace) -> int:
    """Put a backup back; the service must be stopped. --dry-run only says what is in it."""
    from appliance.store import backup as copies

    found = copies.look(args.file)
    text = _copied(args.file, found)
    if args.dry_run:
        _print(args, {"file": str(args.file), "channels": found.channels, "videos": found.videos}, text)
        return DONE
    if is_running(_data(args)):
        raise BadInput("The service is running.", hint="Stop it first.")
    kept = copies.restore(args.file, _data(args) / "catalogue.db")
    _print(args, {"kept": str(kept)}, text + (f" The catalogue before is {kept}." if kept else ""))
    return DONE


# Inside


def _config_file(args: argparse.Namespace) -> Path | None:
    if args.config is not None:
        return Path(args.config)
    named = os.environ.get("SEEDKEEP_CONFIG")
    return Path(named) if named else None


def _data(args: argparse.Namespace) -> Path:
    if args.data is not None:
        return Path(args.data)
    from appliance import book

    return Path(book.load(os.environ, _config_file(args)).settings.data_dir)


def _rule_file(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadInput(f"{path} is too large to be a file of rules.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a text in UTF-8.") from error


def _write_new(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise BadInput(f"{path} is there already.", hint="Choose another name, or remove it first.") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from error


def _service(args: argparse.Namespace) -> Service:
    return Service(_data(args))


def _print(args: argparse.Namespace, answer: Any, text: str) -> None:
    print(json.dumps(answer, ensure_ascii=False) if args.json else text)


def _copied(file: Path, copy: Any) -> str:
    counts = ((copy.channels, "channel"), (copy.videos, "video"), (copy.pins, "pin"))
    return f"{file}: {', '.join(printout.many(count, thing) for count, thing in counts)}."
