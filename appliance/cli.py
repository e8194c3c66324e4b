"""``seedkeep``: this module reads the command line, runs one sub-command, and makes errors one sentence.

Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 schema too new, 4 service not running.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from appliance import commands
from appliance.client import NotRunning
from appliance.commands import FAILED
from appliance.errors import BadInput, SchemaTooNew, SeedkeepError

USAGE, TOO_NEW, NOT_RUNNING = 2, 3, 4


_Add = Callable[[str, Any], argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    """Return the parser of every sub-command."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, help="the service's data folder")
    shared.add_argument("--config", type=Path, help="a TOML file with settings")
    shared.add_argument("--json", action="store_true", help="answer in JSON")
    top = argparse.ArgumentParser(
        prog="seedkeep",
        description="Keeps video channels alive.",
        epilog="`seedkeep COMMAND --help` says more of each.",
    )
    top.add_argument("--version", action="version", version=f"Seedkeep {_version()}")
    kinds = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Any) -> argparse.ArgumentParser:
        summary = (function.__doc__ or "").split(".")[0].split(";")[0]
        made = kinds.add_parser(name, parents=[shared], help=summary, description=function.__doc__)
        made.set_defaults(function=function)
        return made

    add("run", commands.run)
    _add_wishes(add)
    _add_plans(add)
    _add_service(add)
    return top


def _add_wishes(add: _Add) -> None:
    """Add what is followed, and what a person wants of single videos."""
    add("follow", commands.follow).add_argument("url")
    add("unfollow", commands.unfollow).add_argument("id")
    add("channels", commands.channels).add_argument("--limit", type=int, default=100)
    listing = add("videos", commands.videos)
    for option in ("--channel", "--state", "--q"):
        listing.add_argument(option)
    listing.add_argument("--limit", type=int, default=50)
    add("pin", commands.pin).add_argument("what", metavar="URL|ID")
    withdrawing = add("unpin", commands.unpin)
    withdrawing.add_argument("id")
    withdrawing.add_argument("--never", action="store_true")
    add("pins", commands.pins).add_argument("--limit", type=int, default=100)


def _add_plans(add: _Add) -> None:
    """Add what should be, by which rules, and taking it away."""
    planning = add("plan", commands.plan)
    planning.add_argument("--explain", nargs="?", const=True, default=False, metavar="ID", help="say why")
    planning.add_argument("--history", action="store_true", help="what the last plans changed")
    planning.add_argument("--state", choices=["kept", "wanted", "going", "skipped"])
    planning.add_argument("--limit", type=int, default=100)
    ruling = add("rules", commands.rules)
    ruling.add_argument("action", nargs="?", choices=["list", "preview", "import", "export"], default="list")
    ruling.add_argument("file", nargs="?", type=Path, metavar="FILE")
    exporting = add("export", commands.export)
    exporting.add_argument("channel", metavar="CHANNEL", help="its id")
    exporting.add_argument("dir", nargs="?", metavar="DIR", help="a folder's name; else the channel's title")


def _add_service(add: _Add) -> None:
    """Add what concerns the service itself."""
    for name, function in (
        ("status", commands.status),
        ("config", commands.config),
        ("scrub", commands.scrub),
    ):
        add(name, function)
    add("check", commands.check).add_argument(
        "what", nargs="?", choices=["all", "lan"], default="all", help="lan: why a screen does not find or play"
    )
    asking = add("health", commands.health)
    asking.add_argument("--running", action="store_true", help="0 also when it works only in part")
    add("password", commands.password)
    tokens = add("token", commands.token)
    tokens.add_argument("action", choices=["create"])
    tokens.add_argument("name")
    tokens.add_argument("--scope", choices=["play", "read", "pin", "admin"], required=True)
    add("backup", commands.backup).add_argument("file", type=Path)
    restoring = add("restore", commands.restore)
    restoring.add_argument("file", type=Path)
    restoring.add_argument("--dry-run", action="store_true")


def _version() -> str:
    try:
        return version("seedkeep")
    except PackageNotFoundError:
        return "of a bare tree"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code; errors are one sentence on standard error."""
    args = parser().parse_args(arguments)
    try:
        return int(args.function(args))
    except SeedkeepError as error:
        return _fail(error)
    except BaseExceptionGroup as several:
        if (first := _first(several)) is None:
            raise
        return _fail(first)
    except (BrokenPipeError, KeyboardInterrupt):
        return FAILED


def _first(several: BaseExceptionGroup[BaseException]) -> SeedkeepError | None:
    """Return the error of ours that ended a group of tasks, None where one was not of ours."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [several]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(error)
    ours = [error for error in leaves if isinstance(error, SeedkeepError)]
    return ours[0] if len(ours) == len(leaves) else None


def _code(error: SeedkeepError) -> int:
    match error:
        case NotRunning():
            return NOT_RUNNING
        case SchemaTooNew():
            return TOO_NEW
        case BadInput():
            return USAGE
        case _:
            return FAILED


def _fail(error: SeedkeepError) -> int:
    print(f"seedkeep: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
    return _code(error)
