"""README, CONTRIBUTING and the Makefile say what is true of the program: this module compares them.

``UPDATE_GOLDEN=1`` writes README's tables of settings and errors anew.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.tables import errors_table, settings_table

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


@pytest.mark.parametrize(("name", "table"), [("settings", settings_table), ("errors", errors_table)])
def test_readmes_tables_are_those_of_the_program(name: str, table: Callable[[], str]) -> None:
    text = README.read_text(encoding="utf-8")
    start, end = re.search(rf"<!-- {name}:.*?-->\n", text), re.search(rf"<!-- /{name} -->", text)
    assert start is not None
    assert end is not None
    wanted = f"\n{table()}\n\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        README.write_text(text[: start.end()] + wanted + text[end.start() :], encoding="utf-8")
        return
    assert text[start.end() : end.start()] == wanted


def test_readme_names_exactly_the_commands_there_are() -> None:
    told = set(re.findall(r"^\| `seedkeep (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    asked = subprocess.run(
        [sys.executable, "-m", "appliance", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert told == set(re.findall(r"^    (\w+) {2,}", asked.stdout, re.MULTILINE)), asked.stdout


def test_every_make_target_that_is_named_exists_and_the_other_way_round() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    targets = set(phony.group(1).split())
    told = set(re.findall(r"^#   make (\w+)", makefile, re.MULTILINE))
    assert targets == told | {"help"}
    for name in DOCUMENTS:
        named = set(re.findall(r"(?:`|^)make (\w+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, name


def test_every_file_that_a_document_points_to_is_there() -> None:
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r"\bsrc(?:set)?=\"([^\"]+)\"", text):
            if "://" not in target:
                assert (ROOT / target).exists(), f"{name} points to {target}"


def test_every_direct_dependency_is_argued_for() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert block is not None
    for dependency in re.findall(r'"([A-Za-z0-9_-]+)', block.group(1)):
        assert dependency in text, dependency


def test_locks_carry_hashes_and_no_addresses() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert not re.search(r"https?://|^-(?:i|f|-)", text, re.MULTILINE), lock.name
        for package in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip()):
            assert "--hash=sha256:" in package, f"{lock.name}: {package}"
    web = (ROOT / "web" / "assets" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in web
    assert '"integrity": "sha512-' in web


def test_locks_hold_every_dependency_that_the_project_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for lock, start in (("run", "dependencies = ["), ("dev", "dev = [")):
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE))
        block = project[project.index(start) :]
        asked = re.findall(r'^ +"([A-Za-z0-9-]+)', block[: block.index("\n]")], re.MULTILINE)
        assert asked
        assert {name.lower() for name in asked} <= locked
