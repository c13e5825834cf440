"""What several rooms of these tests need, made once."""

from pathlib import Path

import pytest

from tests.real.rtvi import npm


@pytest.fixture(scope="session")
def npm_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pipecat's own npm client as one script, with a page's side of the tests (``rtvi/client.js``)."""
    modules = npm.install(tmp_path_factory.mktemp("npm"), npm.CLIENT)
    return npm.bundle(modules, Path(npm.__file__).with_name("client.js"))
