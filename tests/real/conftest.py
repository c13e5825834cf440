"""What several rooms of these tests need, made once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.real.demo.chromium import Browser, open_chromium
from tests.real.rtvi import npm
from tests.real.tried_again import pytest_runtest_protocol
from tests.tools import requires
from trio_transports.audio import AudioFormat
from trio_transports.audio.wav import write_wav
from trio_transports.wire.wakes import SharedWakes

__all__ = ["pytest_runtest_protocol"]  # a hook, for all tests of this folder


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


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """What a browser's microphone hears over and over: silence, where a module has no other."""
    path, audio_format = tmp_path / "silence.wav", AudioFormat(16000)
    write_wav(path, audio_format, audio_format.silence(16000))
    return path


@pytest.fixture
async def browser(microphone: Path, tmp_path: Path) -> AsyncIterator[Browser]:
    program = requires("chromium", "chromium-browser", "google-chrome")
    async with open_chromium(program, tmp_path / "profile", microphone) as browser:
        yield browser
