"""What several rooms of these tests need, made once."""

from pathlib import Path

import pytest

from tests.real.rtvi import npm
from trio_transports.wire.wakes import SharedWakes


@pytest.fixture(scope="session")
def npm_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pipecat's own npm client as one script, with a page's side of the tests (``rtvi/client.js``)."""
    modules = npm.install(tmp_path_factory.mktemp("npm"), npm.CLIENT)
    return npm.bundle(modules, Path(npm.__file__).with_name("client.js"))


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under load, all the time."""
    monkeypatch.setattr(SharedWakes, "is_held_back", lambda _self: True)


@pytest.fixture(params=["alone", "held back"])
def load(request: pytest.FixtureRequest) -> None:
    if request.param == "held back":
        request.getfixturevalue("held_back")
