"""The page and what is on it, made once: looking at every name takes seconds."""

import pytest

from trio_transports.docs import build_page
from trio_transports.docs.catalogue import Room, rooms


@pytest.fixture(scope="session")
def looked_at() -> list[Room]:
    return list(rooms())


@pytest.fixture(scope="session")
def page() -> str:
    return build_page()
