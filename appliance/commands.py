"""What ``seedkeep`` does: this module has one function for each sub-command; it returns the exit code."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from appliance import printout
from appliance.client import Service, is_running
from appliance.clock import RealClock
from appliance.errors import BadInput, SeedkeepError

DONE, FAILED = 0, 1


def run(args: argparse.Namespace) -> int:
    """Run the appliance in the foreground."""
    import asyncio
    import logging

    from appliance import book
    from appliance.host import process

    process.settle()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("alembic.runtime.plugins", "apscheduler", "httpx", "httpcore"):
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
    """Show the present plan; --explain says why, line by line."""
    from policies.explain import human_size

    answer = _service(args).ask("GET", "/api/v1/plan", query={"limit": args.limit})
    if args.json:
        _print(args, answer, "")
        return DONE
    lines = answer["items"]
    for line in lines:
        print(f"{line['word']:8} {human_size(line['size']):>9}  {printout.plain(line['title'])}")
        if args.explain:
            for reason in line["reasons"]:
                print(f"{'':20}{printout.plain(reason['text'])}")
    if not lines:
        print("Nothing to decide yet: follow a channel first.")
    if (left := answer["total"] - len(lines)) > 0:
        print(f"… and {left:,} more; --limit shows more of them.")
    return DONE


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
    """Check settings, folders and the service, each finding with its cure."""
    from appliance import book

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


def _service(args: argparse.Namespace) -> Service:
    return Service(_data(args))


def _print(args: argparse.Namespace, answer: Any, text: str) -> None:
    print(json.dumps(answer, ensure_ascii=False) if args.json else text)


def _copied(file: Path, copy: Any) -> str:
    counts = ((copy.channels, "channel"), (copy.videos, "video"), (copy.pins, "pin"))
    return f"{file}: {', '.join(printout.many(count, thing) for count, thing in counts)}."
