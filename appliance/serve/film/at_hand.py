"""Held files while a film is built of them: this module opens each when it is read, and few at a time.

An origin may cut hours into a file a second; all of them at once would leave the house without descriptors.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from appliance.domain.shelf import PlayableFile
from appliance.serve.source import opened

MOST = 128
"""Files open at once: more than are read ahead of."""


class AtHand:
    """Descriptors by file. A context manager, for a thread."""

    def __init__(self, paths: Mapping[PlayableFile, Path]) -> None:
        self._paths = paths
        self._open: OrderedDict[PlayableFile, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __getitem__(self, file: PlayableFile) -> int:
        """Return an open descriptor, good until the next ones are asked for. Raises NotPlayable."""
        descriptor = self._open.get(file)
        if descriptor is None:
            descriptor = self._open[file] = opened(self._paths[file], file.size, None)
            if len(self._open) > MOST:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(file)
        return descriptor
