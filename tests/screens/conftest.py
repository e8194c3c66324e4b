"""One home for all screens: it takes half a minute to have every film."""

from collections.abc import Iterator

import pytest

from tests.screens.home import PLAYERS, Home, a_home
from tests.world.lab import Lab, need_namespaces


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    need_namespaces()
    with Lab() as lab, a_home(lab, tmp_path_factory.mktemp("home"), PLAYERS) as made:
        yield made
