"""One world for all tests of this folder."""

from hfcourse.world import World, files

import pytest


@pytest.fixture(scope="session")
def world() -> World:
    return World.create(0)


@pytest.fixture(scope="session")
def rows(world: World) -> dict[str, list[dict]]:
    return files(world)
