"""The unit file, the install script and the image's files: this module asks the tools that read them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "seedkeep.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    there = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE)
    there = re.sub(r"^(User|Group)=seedkeep$", r"\1=root", there, flags=re.MULTILINE)
    there = re.sub(r"^Documentation=.*\n", "", there, flags=re.MULTILINE)
    copy = tmp_path / "seedkeep.service"
    copy.write_text(there, encoding="utf-8")
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    about_it = [line for line in said.stderr.splitlines() if "seedkeep" in line]
    assert about_it == []
    assert said.returncode == 0, said.stderr


def test_every_paragraph_of_the_units_service_begins_with_its_reason() -> None:
    service = UNIT.read_text(encoding="utf-8").partition("[Service]\n")[2].partition("[Install]")[0]
    for paragraph in service.strip().split("\n\n"):
        assert paragraph.startswith("#"), paragraph


@pytest.mark.parametrize("script", ["systemd/install.sh", ".ci/run"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True, timeout=20)


def test_the_image_is_built_from_files_that_are_there() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    allowed = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    for path in re.findall(r"^!(.+)$", allowed, re.MULTILINE):
        assert (ROOT / path).exists(), path
    assert "USER 1000" in dockerfile
    assert '"seedkeep", "health", "--running"' in dockerfile


def test_a_wheel_carries_the_rooms_their_data_and_the_bundle(tmp_path: Path) -> None:
    bundle = ROOT / "web" / "static" / "dist" / "manifest.json"
    assert bundle.is_file(), "the front end is not bundled: make web"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"-{project['version']}-" in wheel.name
    for needed in ("appliance/cli.py", "policies/presets/default.toml", "web/static/dist/manifest.json"):
        assert needed in names
    assert {name for name in names if "node_modules" in name or name.startswith("tests/")} == set()
