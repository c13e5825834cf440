"""Forty callers of one ``trio-transports serve`` at once, by every dialect: each hears itself, and all is counted.

They are programs, telephones' providers, Pipecat's own npm client and the bot's page, the last two in real browsers,
each in a voice of its own.
"""

import base64
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
from tests.real.rtvi.test_browser_client import PAGE, _given
from tests.real.serve.command import Served, served
from tests.tools import requires
from trio_transports import AudioFrame, Session, WebsocketClientParams, WebsocketClientTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav, write_wav
from trio_transports.playground import routed
from trio_transports.playground.dialect import PCMFrameSerializer
from trio_transports.playground.serving import serve_app
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.testing import speech_like
from trio_transports.testing.phones import CallerSerializer, line_named

pytestmark = pytest.mark.alone

RATE: Final = 8000
LOUD: Final = 300
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

WORDS: Final = (("Testing, one, two.", 160, 50), ("Who knows where a yellow moon may go?", 140, 15))
"""What each page hears, how fast it is said, and how high its voice is."""

COUNTING: Final = """(() => {
  const copy = (data) => new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength).slice();
  const kept = (data) => (typeof data === "string" ? null : data instanceof Blob ? data : copy(data));
  const counted = (window.counted = { sent: [], received: [], isHushed: false, url: "" });
  window.WebSocket = class extends window.WebSocket {
    constructor(...given) {
      super(...given);
      counted.url = this.url;
      this.addEventListener("message", ({ data }) => counted.received.push(kept(data)));
    }
    send(data) {
      if (counted.isHushed) return;
      counted.sent.push(kept(data));
      super.send(data);
    }
  };
  const text = async (data) => {
    const bytes = new Uint8Array(await new Blob([data]).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  };
  window.binary = (way) => Promise.all(counted[way].filter((each) => each !== null).map(text));
})()"""
"""Notes each message at the page's own socket. Once hushed, what the page would say stays unsaid: a quiet moment."""


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
            silence_max_secs=1.0,
        )
        async with WebsocketClientTransport(url, params).session() as self.session, trio.open_nursery() as nursery:
            nursery.start_soon(self.listen, self.session)
            quiet = AudioFormat(RATE).silence(RATE // 4)
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
        return float(np.count_nonzero(np.abs(signal_of(bytes(self.heard))) > LOUD)) / RATE


@define(eq=False)
class Visitor:
    """A page's call, seen at the page's own socket."""

    page: Page

    async def counts(self) -> tuple[int, int]:
        """How many messages it has sent, and received."""
        sent, received = await self.page.evaluate("[counted.sent.length, counted.received.length]")
        return sent, received

    async def sound(self, way: str) -> AudioFrame:
        """All the audio that went this way, ``sent`` or ``received``."""
        messages = [base64.b64decode(each) for each in await self.page.evaluate(f"binary('{way}')")]
        serializer = await self._serializer()
        frames = [frame for each in messages for frame in serializer.decode(each) if isinstance(frame, AudioFrame)]
        (rate,) = {frame.sample_rate for frame in frames}
        return AudioFrame(audio=b"".join(frame.audio for frame in frames), sample_rate=rate)

    async def _serializer(self) -> FrameSerializer:
        _, is_pcm, rest = str(await self.page.evaluate("counted.url")).partition("pcm=")
        return PCMFrameSerializer(AudioFormat(int(rest.partition("&")[0]))) if is_pcm else ProtobufFrameSerializer()


def likenesses(heard: Signal, voices: Sequence[Signal]) -> Sequence[float]:
    """Of each voice the best correlation with any part of what was heard; 1: it is in there.

    Two samples count as one, and what was heard is looked through once: forty callers are compared with forty voices.
    """
    heard, voices = halved(heard), [halved(voice) for voice in voices]
    size = 1 << (len(heard) + max(map(len, voices))).bit_length()
    spectrum, energy = np.fft.rfft(heard, size), np.concatenate(([0.0], np.cumsum(heard**2)))
    return [_best(spectrum, energy, voice, size) for voice in voices]


def _best(spectrum: npt.NDArray[np.complex128], energy: Signal, voice: Signal, size: int) -> float:
    length = len(energy) - 1
    products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(voice, size)), size)[:length]
    around = np.maximum(energy[np.minimum(np.arange(length) + len(voice), length)] - energy[:-1], 1.0)
    return float(np.max(products / np.sqrt(around * np.sum(voice**2))))


def halved(signal: Signal) -> Signal:
    """At half the rate: speech is below."""
    half: Signal = signal[: len(signal) // 2 * 2].reshape(-1, 2).mean(axis=1)
    return half


def signal_of(pcm: bytes) -> Signal:
    return np.frombuffer(pcm, "<i2").astype(float)


def loud_part(signal: Signal) -> Signal:
    """From the first to the last that is not silence."""
    loud = np.flatnonzero(np.abs(signal) > LOUD)
    return signal[loud[0] : loud[-1] + 1] if len(loud) else signal


def knows(heard: Signal, said: Signal) -> float:
    """The likeness of the best half second of what was heard: a busy machine has a sentence said back in pieces."""
    heard, width = loud_part(heard), RATE // 2
    pieces = [heard[start : start + width] for start in range(0, max(1, len(heard) - width + 1), width // 2)]
    return max(likenesses(said, [piece for piece in pieces if np.any(np.abs(piece) > LOUD)]))


def at(rate: int, frame: AudioFrame) -> Signal:
    """The sound at another rate: near enough to know it again."""
    signal = signal_of(frame.audio)
    times = np.arange(0, frame.duration_s, 1 / rate)
    heard: Signal = np.interp(times, np.arange(len(signal)) / frame.sample_rate, signal)
    return heard


async def eventually(condition: Callable[[], bool], what: str) -> None:
    with trio.move_on_after(60):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.1)
        return
    pytest.fail(f"{what} did not come within a minute")


def spoken(folder: Path, words: str, speed: int, pitch: int) -> Path:
    """A voice that says something, with silence around it."""
    folder.mkdir()
    speech = folder / "speech.wav"
    voice = ("-v", "en-us", "-s", str(speed), "-p", str(pitch))
    subprocess.run([requires("espeak-ng"), *voice, "-w", speech, words], check=True)
    audio_format, pcm = read_wav(speech)
    silence = audio_format.silence(audio_format.samples_in(1.5))
    write_wav(speech, audio_format, silence + pcm + silence)
    return speech


@asynccontextmanager
async def browsing(tmp_path: Path, script: str) -> AsyncIterator[tuple[Page, Page, str]]:
    """Two browsers' tabs, whose microphones hear two voices: one empty, one with Pipecat's client of another origin."""
    program = requires("chromium", "chromium-browser", "google-chrome")
    folders = [tmp_path / name for name in ("page", "client")]
    microphones = [spoken(folder, *each) for folder, each in zip(folders, WORDS, strict=True)]
    routes = {"/client.html": _given(b"text/html", PAGE), "/bundle.js": _given(b"text/javascript", script.encode())}
    async with (
        serve_app("127.0.0.1", 0, routed(routes)) as origin,
        open_chromium(program, folders[0] / "profile", microphones[0]) as browser,
        open_chromium(program, folders[1] / "profile", microphones[1]) as other,
        browser.open_page() as page,
        other.open_page() as client,
    ):
        for each in (page, client):
            await each.call("Page.addScriptToEvaluateOnNewDocument", source=COUNTING)
        await client.goto(f"{origin}/client.html")
        await client.wait_for("!!window.connect")
        yield page, client, origin


async def agree(server: Served, callers: Sequence[Caller], visitors: Sequence[Visitor]) -> None:
    """Ask for the figures until nothing moves: then they are what all callers counted, to the message."""
    told: tuple[float, float] = (-1, -1)
    counted: tuple[float, float] = (0, 0)
    with trio.move_on_after(60):
        while told != counted:
            before = await counts(callers, visitors)
            figures = await server.metrics()
            counted = await counts(callers, visitors)
            if counted == before:
                told = figures["messages_total", "in"], figures["messages_total", "out"]
            await trio.sleep(0.1)
    assert told == counted


async def counts(callers: Sequence[Caller], visitors: Sequence[Visitor]) -> tuple[float, float]:
    """What all together have sent, and received."""
    each = [caller.session.statistics() for caller in callers if caller.session is not None]
    told = [await visitor.counts() for visitor in visitors]
    told += [(one.messages_sent, one.messages_received) for one in each]
    return sum(sent for sent, _ in told), sum(received for _, received in told)


async def test_everybody_hears_itself_and_is_counted(tmp_path: Path, npm_client: str) -> None:
    """38 programs and two pages at once, and every message of theirs, while they are there and when most have gone."""
    callers, over = [Caller(number, make()) for number, make in enumerate(PROGRAMS)], trio.Event()
    async with (
        browsing(tmp_path, npm_client) as (page, client, origin),
        served("--allow-origin", origin, "--drain", "5") as server,
    ):
        visitors = (Visitor(page), Visitor(client))
        async with trio.open_nursery() as nursery:
            await page.goto(f"http://{server.host}/")
            await page.wait_for("!!document.getElementById('control-delay_ms')")
            for caller in callers:
                nursery.start_soon(caller.call, server.ws_url, over)
            await page.click("connect-mic")
            await client.evaluate(f"void window.connect('http://{server.host}/start')")
            await eventually(lambda: all(caller.loud_s > 0.5 for caller in callers), "an answer to everybody")
            await page.wait_for("window.demo.seen.answers > 0")
            await client.wait_for("window.of('BotStoppedSpeaking').length > 0")
            for each in (page, client):
                await each.evaluate("counted.isHushed = true")
            await agree(server, callers, visitors)
            figures = await server.metrics()
            assert (figures["sessions", ""], figures["sessions_begun_total", ""]) == (40, 40)
            assert figures["turn_latency_seconds_count", ""] >= len(PROGRAMS)
            assert figures["messages_refused_total", "malformed"] == 0
            over.set()
        await agree(server, callers, visitors)
        said = [at(RATE, await visitor.sound("sent")) for visitor in visitors]
        for visitor, own, other in zip(visitors, said, reversed(said), strict=True):
            heard = at(RATE, await visitor.sound("received"))
            assert knows(heard, own) > 0.8
            assert knows(heard, other) < 0.8
            assert all(knows(heard, signal_of(caller.said.audio)) < 0.8 for caller in callers)
    voices = [signal_of(caller.said.audio) for caller in callers]
    for caller in callers:
        heard_by = loud_part(signal_of(bytes(caller.heard)))
        found = likenesses(heard_by, voices)
        assert int(np.argmax(found)) == caller.number, found
        assert found[caller.number] > 0.8
