"""Templates and how a page is made of one: this module renders a whole page, or the one block of it that htmx asks for.

Compiling all templates takes a good part of a start, seconds on a small box: what they compile to is kept in a file.
Every address a template writes is relative to the page's own, so pages work below any base path.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from web.pages.compiled import CompiledTemplates

WEB = Path(__file__).resolve().parent.parent


class Stage:
    """The templates. ``open`` it before the first page is asked for."""

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def open(self, compiled: Path | None = None) -> None:
        """Compile all templates, but those that the file ``compiled`` has as they are. Blocks. Once is enough."""
        if self._environment is not None:
            return
        kept = None if compiled is None else CompiledTemplates(compiled)
        self._environment = build(kept=kept)
        if kept is not None:
            kept.save()

    @property
    def environment(self) -> Environment:
        """Where they are; opened without a file where nobody did."""
        if self._environment is None:
            self.open()
        assert self._environment is not None
        return self._environment


def build(
    templates: Path = WEB / "templates",
    dist: Path = WEB / "static" / "dist",
    kept: CompiledTemplates | None = None,
) -> Environment:
    """Return the environment with every template compiled, so that no request opens a file.

    Without a built front end (no manifest) pages name the plain files, which then are not there: pages stay readable.
    """
    stage = Environment(
        bytecode_cache=kept,
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    stage.filters["tojson_data"] = for_script
    stage.globals["manifest"] = _manifest(dist)
    icons = stage.get_template("partials/icons.html").module
    stage.globals["ui"] = _Kit(stage.get_template("partials/ui.html").module, icons)
    for name in stage.list_templates():
        stage.get_template(name)
    return stage


class _Kit:
    """The macros of several files under one name."""

    def __init__(self, *modules: Any) -> None:
        self._modules = modules

    def __getattr__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


def root_of(path: str) -> str:
    """Return the relative way from a page (``/channels/x``, below its mount) up to the mount: ``../``."""
    return "../" * (path.strip("/").count("/") + (1 if path.endswith("/") and path != "/" else 0)) or "./"


def render(stage: Stage, name: str, view: Mapping[str, Any], block: str = "") -> str:
    """Return a page, or only its ``block`` where the page has one of that name.

    ``view["root"]`` is the relative way to the mount; templates write addresses as ``url("channels")``, without a slash
    at the beginning, and the bundle's files as ``asset("app.css")``.
    """
    environment = stage.environment
    template = environment.get_template(f"pages/{name}.html")
    root: str = view["root"]
    manifest: Mapping[str, str] = environment.globals["manifest"]  # type: ignore[assignment]

    def url(path: str) -> str:
        return root + path

    def asset(plain: str) -> str:
        return f"{root}static/dist/{manifest.get(plain, plain)}"

    # Functions of this very page, not of the environment: macros call them too, and know no page.
    whole = {**view, "url": url, "asset": asset}
    if block and block in template.blocks:
        return "".join(template.blocks[block](template.new_context(whole)))
    return template.render(whole)


def for_script(text: str) -> Markup:
    """Make JSON safe inside a ``script`` element of type ``application/json``."""
    json.loads(text)
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def _manifest(dist: Path) -> Mapping[str, str]:
    try:
        found = json.loads((dist / "manifest.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {str(key): str(value) for key, value in found.items()}
