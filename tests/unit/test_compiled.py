"""Compiled templates: these tests start with them anew, on files that a power cut or a stranger left."""

from pathlib import Path

import pytest
from jinja2 import Environment

from web.pages.compiled import CompiledTemplates
from web.pages.theatre import build


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    (folder / "partials").mkdir(parents=True)
    for name in ("icons", "ui"):
        (folder / "partials" / f"{name}.html").write_text("")
    (folder / "page.html").write_text("first {{ 1 + 1 }}")
    return folder


def _built(templates: Path, compiled: Path) -> Environment:
    kept = CompiledTemplates(compiled)
    stage = build(templates, templates, kept)
    kept.save()
    return stage


def _refuse(*_: object, **__: object) -> str:
    raise AssertionError("it was compiled")


def test_what_was_compiled_once_is_not_compiled_again(
    templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tmp_path / "templates.cache"
    _built(templates, compiled)
    before = compiled.stat().st_ino
    monkeypatch.setattr(Environment, "_generate", _refuse)
    assert _built(templates, compiled).get_template("page.html").render() == "first 2"
    assert compiled.stat().st_ino == before  # nothing was new, so nothing was written


def test_an_edited_template_is_compiled_anew(templates: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "templates.cache"
    _built(templates, compiled)
    (templates / "page.html").write_text("second {{ 2 + 2 }}")
    assert _built(templates, compiled).get_template("page.html").render() == "second 4"
    assert b"second" in compiled.read_bytes()
    assert b"first" not in compiled.read_bytes()


@pytest.mark.parametrize("left", [b"", b"\0" * 9000, b"half"], ids=["empty", "zeros", "half"])
def test_a_file_that_is_not_whole_is_written_anew(templates: Path, tmp_path: Path, left: bytes) -> None:
    compiled = tmp_path / "templates.cache"
    _built(templates, compiled)
    whole = compiled.read_bytes()
    compiled.write_bytes(whole[:-9] if left == b"half" else left)
    assert _built(templates, compiled).get_template("page.html").render() == "first 2"
    assert compiled.read_bytes() == whole


def test_a_file_that_others_may_write_is_not_believed(templates: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "templates.cache"
    _built(templates, compiled)
    compiled.chmod(0o666)
    kept = CompiledTemplates(compiled)
    assert not kept._kept
    build(templates, templates, kept)
    kept.save()
    assert compiled.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_only_costs_time(templates: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "absent" / "templates.cache"
    assert _built(templates, compiled).get_template("page.html").render() == "first 2"
