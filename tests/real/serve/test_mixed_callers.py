"""Forty callers of one ``trio-transports serve`` at once, by every dialect: each hears itself, and all is counted.

They are programs, telephones' providers, Pipecat's own npm client and the bot's page, the last two in a real browser.
"""

import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import trio
from attrs import define, field

from tests.real.demo.chromium import Page, open_chromium
from tests.real.rtvi import npm
from tests.real.rtvi.test_browser_client import PAGE, _given
from tests.real.serve.command import Served, served
from tests.tools import requires
from trio_transports import AudioFrame, Session, WebsocketClientParams, WebsocketClientTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav, write_wav
from trio_transports.playground import routed
from trio_transports.playground.serving import serve_app
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.testing import speech_like
from trio_transports.testing.phones import CallerSerializer, line_named

pytestmark = pytest.mark.alone

RATE: Final = 8000
Signal: TypeAlias = npt.NDArray[np.float64]
MakeSerializer: TypeAlias = Callable[[], FrameSerializer]


def telephone(name: str) -> FrameSerializer:
    return CallerSerializer(line_named(name))


PROGRAMS: Final[Sequence[MakeSerializer]] = (
    *(10 * [JSONFrameSerializer]),
    *(8 * [ProtobufFrameSerializer]),
    *(8 * [PackedFrameSerializer]),
    *(6 * [partial(telephone, "twilio")]),
    *(4 * [partial(telephone, "genesys")]),
    *(2 * [partial(telephone, "telnyx")]),
)


@define(eq=False)
class Caller:
    """One program's call: what it says, in a voice of its own, and what it hears."""

    number: int
    serializer: FrameSerializer
    heard: bytearray = field(factory=bytearray)
    session: Session | None = None

    @property
    def said(self) -> AudioFrame:
        return speech_like(0.8, sample_rate=RATE, pitch_hz=90 + 6 * self.number, seed=self.number)

    async def call(self, url: str, over: trio.Event) -> None:
        """Say it once, and listen until told."""
        params = WebsocketClientParams(
            serializer=self.serializer,
            audio_in_enabled=True,
            audio_in_sample_rate=RATE,
            audio_out_enabled=True,
            audio_out_sample_rate=RATE,
            connect_timeout=60,
            silence_max_secs=1.5,
        )
        async with WebsocketClientTransport(url, params).session() as self.session, trio.open_nursery() as nursery:
            nursery.start_soon(self.listen, self.session)
            quiet = AudioFormat(RATE).silence(RATE // 2)
            await self.session.output.send(AudioFrame(audio=quiet + self.said.audio + quiet, sample_rate=RATE))
            await over.wait()
            nursery.cancel_scope.cancel()

    async def listen(self, session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, AudioFrame):
                self.heard += frame.audio

    @property
    def loud_s(self) -> float:
        """How much it has heard that is not silence."""
        samples = np.abs(np.frombuffer(bytes(self.heard), "<i2").astype(int))
        return float(np.count_nonzero(samples > 300)) / RATE


def likeness(heard: Signal, said: Signal) -> float:
    """The best correlation of what was said with any part of what was heard; 1: it is in there."""
    size = 1 << (len(heard) + len(said)).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)[: len(heard)]
    energy = np.concatenate(([0.0], np.cumsum(heard**2)))
    energy = np.maximum(energy[np.minimum(np.arange(len(heard)) + len(said), len(heard))] - energy[:-1], 1.0)
    return float(np.max(products / np.sqrt(energy * np.sum(said**2))))


def signal_of(pcm: bytes) -> Signal:
    return np.frombuffer(pcm, "<i2").astype(float)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    with trio.move_on_after(60):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.1)
        return
    pytest.fail(f"{what} did not come within a minute")


@asynccontextmanager
async def browsing(tmp_path: Path, script: str) -> AsyncIterator[tuple[Page, Page, str]]:
    """Two tabs of a browser whose microphone hears speech: one empty, one with Pipecat's client of another origin."""
    program = requires("chromium", "chromium-browser", "google-chrome")
    speech = tmp_path / "speech.wav"
    words = "Testing, one, two."
    subprocess.run([requires("espeak-ng"), "-v", "en-us", "-s", "160", "-w", speech, words], check=True)  # noqa: ASYNC221
    audio_format, pcm = read_wav(speech)
    silence = audio_format.silence(audio_format.samples_in(2.0))
    write_wav(speech, audio_format, silence + pcm + silence)
    routes = {"/client.html": _given(b"text/html", PAGE), "/bundle.js": _given(b"text/javascript", script.encode())}
    async with (
        serve_app("127.0.0.1", 0, routed(routes)) as origin,
        open_chromium(program, tmp_path / "profile", speech) as browser,
        browser.open_page() as page,
        browser.open_page() as client,
    ):
        await client.goto(f"{origin}/client.html")
        await client.wait_for("!!window.connect")
        yield page, client, origin


async def agree(server: Served, callers: Sequence[Caller]) -> None:
    """Ask for the figures until nothing moves: then they are what the callers counted, to the message."""
    told: tuple[float, float] = (-1, -1)
    counted: tuple[float, float] = (0, 0)
    with trio.move_on_after(60):
        while told != counted:
            before = counts(callers)
            figures = await server.metrics()
            counted = counts(callers)
            if counted == before:
                told = figures["messages_total", "in"], figures["messages_total", "out"]
            await trio.sleep(0.2)
    assert told == counted


def counts(callers: Sequence[Caller]) -> tuple[float, float]:
    """What all together have sent, and received."""
    each = [caller.session.statistics() for caller in callers if caller.session is not None]
    return sum(one.messages_sent for one in each), sum(one.messages_received for one in each)


async def test_everybody_hears_itself_and_is_counted(tmp_path: Path) -> None:
    """38 programs and two pages at once; then all hang up but those, and nobody is left when they have gone."""
    script = npm.bundle(npm.install(tmp_path, npm.CLIENT), Path(npm.__file__).with_name("client.js"))
    callers = [Caller(number, make()) for number, make in enumerate(PROGRAMS)]
    over = trio.Event()
    async with (
        browsing(tmp_path, script) as (page, client, origin),
        served("--allow-origin", origin, "--drain", "5") as server,
        trio.open_nursery() as nursery,
    ):
        await page.goto(f"http://{server.host}/")
        await page.wait_for("!!document.getElementById('control-delay_ms')")
        for caller in callers:
            nursery.start_soon(caller.call, server.ws_url, over)
        await page.click("connect-mic")
        await client.evaluate(f"window.connect('http://{server.host}/start')")
        await eventually(lambda: all(caller.loud_s > 0.5 for caller in callers), "an answer to everybody")
        await page.wait_for("window.demo.counters().answers > 0 || window.demo.seen.answers > 0", timeout_s=60)
        await client.wait_for("window.of('BotStartedSpeaking').length > 0", timeout_s=60)
        figures = await server.metrics()
        assert (figures["sessions", ""], figures["sessions_begun_total", ""]) == (40, 40)
        assert figures["turn_latency_seconds_count", ""] >= len(PROGRAMS)
        assert figures["messages_refused_total", "malformed"] == 0
        over.set()
    voices = [signal_of(caller.said.audio) for caller in callers]
    for caller in callers:
        likenesses = [likeness(signal_of(bytes(caller.heard)), voice) for voice in voices]
        assert int(np.argmax(likenesses)) == caller.number, likenesses
        assert likenesses[caller.number] > 0.8


async def test_the_figures_are_what_the_callers_counted() -> None:
    """Every message of 38 callers, both ways, while they are there and after they have gone."""
    callers, over = [Caller(number, make()) for number, make in enumerate(PROGRAMS)], trio.Event()
    async with served("--drain", "5") as server:
        async with trio.open_nursery() as nursery:
            for caller in callers:
                nursery.start_soon(caller.call, server.ws_url, over)
            await eventually(lambda: all(caller.loud_s > 0.5 for caller in callers), "an answer to everybody")
            await agree(server, callers)
            over.set()
        await agree(server, callers)
        figures = await server.metrics()
        assert figures["sessions", ""] == 0
        assert figures["sessions_ended_total", "remote"] == len(callers)
