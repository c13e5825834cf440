"""The demo without a browser: a real client talks to the real server over loopback, and looks at what it gets.

It does what visitors do: loads the page; then one caller says something and hears it, while another talks over its
answer; both hang up. At last the server is shut down under a third. Each finding is compared with a bound that a slow
machine still holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Final, final
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen

from .._nursery import open_services
from ..audio.format import AudioFormat
from ..audio.wav import split_wav_header
from ..errors import ConnectionClosed, TransportError
from ..frames import AudioFrame, Frame, InterruptionFrame, JSONValue, MessageFrame
from ..params import WebsocketClientParams
from ..playground.dialect import PCMFrameSerializer
from ..playground.files import load_files
from ..session.events import Disconnected
from ..session.session import Session
from ..transports.client import WebsocketClientTransport
from .app import DemoApp
from .pinging import PingingSerializer
from .serving import serve_demo
from .timing import Arrivals, in_ms, spread_ms

PAGE: Final = "trio_transports.playground"
FORMAT: Final = AudioFormat(16000)
DELAY_MS: Final = 100
PREROLL: Final = 2 * FORMAT.sample_rate
"""Bytes of silence around what is said, of which the answer may hold a part."""
WAIT_S: Final = 6.0
"""Longest wait for any one thing to happen."""


@final
@frozen
class Finding:
    name: str
    is_good: bool
    text: str
    figures: dict[str, JSONValue]


@final
@define(eq=False)
class Caller:
    """One client's session: what it said, what it heard, and when."""

    session: Session
    said: bytearray = field(factory=bytearray)
    heard: bytearray = field(factory=bytearray)
    arrivals: Arrivals = field(factory=Arrivals)
    round_trips_s: list[float] = field(factory=list)
    interrupted_at_s: float | None = None
    heard_after_interruption_s: float = 0.0
    answer_s: float | None = None
    _changed: trio.Event = field(factory=trio.Event, init=False)

    async def listen(self) -> None:
        async for frame in self.session.input:
            self._hear(frame, trio.current_time())
            self._changed.set()
            self._changed = trio.Event()

    def _hear(self, frame: Frame, now_s: float) -> None:
        match frame:
            case AudioFrame():
                self.heard += frame.audio
                self.arrivals.add(now_s, frame.duration_s)
                if self.interrupted_at_s is not None:
                    self.heard_after_interruption_s += frame.duration_s
            case InterruptionFrame():
                self.interrupted_at_s = now_s
            case MessageFrame(message={"type": "pong", "t": float(t)}):
                self.round_trips_s.append(now_s - t)
            case MessageFrame(message={"type": "answer", "seconds": float(seconds)}):
                self.answer_s = seconds
            case _:
                pass

    async def ping(self) -> None:
        while True:
            ping: JSONValue = {"type": "ping", "t": trio.current_time()}
            try:
                await self.session.output.send_message(ping, urgent=True)
            except ConnectionClosed:
                return
            await trio.sleep(0.1)

    async def say(self, pcm: bytes) -> None:
        self.said += pcm
        await self.session.output.send(AudioFrame(audio=pcm, sample_rate=FORMAT.sample_rate))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(WAIT_S):
            while not condition():
                await self._changed.wait()
            return
        raise _Missing(f"{what} did not come within {WAIT_S:g} s")


class _Missing(Exception):
    pass


def sample(name: str) -> bytes:
    audio_format, pcm = split_wav_header((files(PAGE) / "page" / name).read_bytes())
    assert audio_format == FORMAT
    return pcm


PARTS: Final = {
    "page": "loading it",
    "echo": "saying something, and listening",
    "barge-in": "talking over an answer",
    "hang-up": "hanging up",
    "shutdown": "ending the server under a caller",
}


def _say_nothing(_text: str) -> None:
    """For those who are not told."""


@final
@define(eq=False)
class SelfTest:
    """``run`` makes the findings; the rest tells them."""

    tell: Callable[[str], object] = _say_nothing
    """Shows how far it is."""
    findings: list[Finding] = field(factory=list, init=False)
    duration_s: float = field(default=0.0, init=False)

    @property
    def is_good(self) -> bool:
        return bool(self.findings) and all(finding.is_good for finding in self.findings)

    async def run(self) -> None:
        started_at_s = trio.current_time()
        app = DemoApp()
        async with trio.open_nursery() as nursery, serve_demo("127.0.0.1", 0, app) as url:
            await self._find("page", partial(self._page, url))
            async with trio.open_nursery() as callers:
                callers.start_soon(self._find, "echo", partial(self._echo, url))
                callers.start_soon(self._find, "barge-in", partial(self._barge_in, url))
            await self._find("hang-up", partial(self._hang_up, app))
            # It is still connected when the server's block ends.
            await nursery.start(self._find, "shutdown", partial(self._shutdown, url))
        self.duration_s = trio.current_time() - started_at_s

    async def _find(
        self,
        name: str,
        part: Callable[..., Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.tell(f"{name}: {PARTS[name]} ...")
        try:
            await part(task_status=task_status)
        except (_Missing, TransportError, OSError, trio.TooSlowError) as exc:
            self._add(name, False, str(exc) or type(exc).__name__)
            task_status.started()

    def _add(self, name: str, is_good: bool, text: str, **figures: JSONValue) -> None:
        self.findings.append(Finding(name, is_good, text, figures))

    async def _page(self, url: str, *, task_status: trio.TaskStatus[None]) -> None:
        paths = load_files()
        total = 0
        for path, (_, content) in paths.items():
            status, body = await _get(url, path)
            if status != 200 or body != content:
                raise _Missing(f"{path} came with status {status} and {len(body)} of {len(content)} bytes, and so it")
            total += len(body)
        self._add("page", True, f"{len(paths)} files, {total / 1000:.0f} kB", files=len(paths), bytes=total)

    async def _echo(self, url: str, *, task_status: trio.TaskStatus[None]) -> None:
        speech = sample("stop.wav")
        async with _calling(url) as caller:
            await trio.sleep(0.5)  # the first moments teach the server how loud silence is
            began_at_s = trio.current_time()
            await caller.say(speech)
            await caller.until(lambda: caller.answer_s is not None, "an answer")
            answer_s = caller.answer_s or 0.0
            await caller.until(lambda: caller.arrivals.audio_s >= answer_s - 0.001, "the whole answer")
            arrivals, spoken_s = caller.arrivals, FORMAT.duration_s(len(speech))
            first_at_s, last_at_s = arrivals.first_at_s or 0.0, arrivals.last_at_s or 0.0
            is_same = bytes(caller.heard).rstrip(b"\0") in bytes(PREROLL) + speech + bytes(PREROLL)
            self._add(
                "echo",
                is_same and answer_s > 0.8 * spoken_s,
                f"said {spoken_s:.2f} s, heard {arrivals.audio_s:.2f} s back in {arrivals.count} frames, "
                + ("the same samples" if is_same else "but other samples than were said"),
                said_s=spoken_s,
                heard_s=arrivals.audio_s,
                frames=arrivals.count,
                same_samples=is_same,
                first_sound_ms=in_ms(first_at_s - began_at_s),
            )
            paced_s = arrivals.audio_s - arrivals.audio_s / arrivals.count
            rate = paced_s / (last_at_s - first_at_s)
            text = f"{rate:.4f} of real time"
            self._add("rate", abs(rate - 1) < 0.02, text, of_real_time=round(rate, 5))
            jitter_ms = in_ms(arrivals.jitter_s)
            self._add("jitter", jitter_ms < 40, f"{jitter_ms} ms", jitter_ms=jitter_ms)
            spread = spread_ms(caller.round_trips_s)
            text = f"median {spread['median_ms']} ms, most {spread['most_ms']} ms of {len(caller.round_trips_s)}"
            self._add("round trip", spread["median_ms"] < 200, text, **spread)

    async def _barge_in(self, url: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with _calling(url) as caller:
            await trio.sleep(0.5)
            await caller.say(sample("stop.wav"))
            await caller.until(lambda: caller.arrivals.audio_s > 0.3, "an answer")
            began_at_s = trio.current_time()
            await caller.say(sample("stop.wav"))
            await caller.until(lambda: caller.interrupted_at_s is not None, "the interruption")
            stopped_s = (caller.interrupted_at_s or 0.0) - began_at_s
            # The caller still talks, so that no new answer can have begun: what comes now is from before.
            await trio.sleep(0.3)
            after_s = caller.heard_after_interruption_s
            self._add(
                "barge-in",
                stopped_s < 1.0 and after_s == 0,
                f"the answer stopped {stopped_s * 1000:.0f} ms after speech began, {after_s:.2f} s came after that",
                stopped_ms=in_ms(stopped_s),
                heard_after_s=after_s,
            )

    async def _hang_up(self, app: DemoApp, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.move_on_after(WAIT_S):
            while app.bots:  # noqa: ASYNC110 - the server's own state, which tells nobody
                await trio.sleep(0.01)
        left = len(app.bots)
        ended = sum(" ended by " in note.text for note in app.hall.notes)
        text = f"{ended} callers hung up, {left} sessions are left on the server"
        self._add("hang-up", left == 0 and ended == 2, text, ended=ended, left=left)

    async def _shutdown(self, url: str, *, task_status: trio.TaskStatus[None]) -> None:
        transport = _client(url)
        events = transport.events()
        async with transport.session() as session:
            task_status.started()
            with trio.move_on_after(WAIT_S):
                async for _ in session.input:
                    pass
        ending = None
        async for event in events:
            ending = event if isinstance(event, Disconnected) else ending
        told = None if ending is None else (ending.code, ending.initiator)
        text = f"the caller was told {told[0]} by the {told[1]} side" if told else "the caller was told nothing"
        self._add("shutdown", told == (1001, "remote"), text, code=told[0] if told else None)

    def report(self) -> JSONValue:
        found: dict[str, JSONValue] = {
            finding.name: {"ok": finding.is_good, **finding.figures, "text": finding.text} for finding in self.findings
        }
        return {"ok": self.is_good, "duration_s": round(self.duration_s, 2), "findings": found}

    def in_words(self) -> str:
        lines = [f"{'ok ' if each.is_good else 'BAD'}  {each.name:10}  {each.text}" for each in self.findings]
        verdict = "All is well" if self.is_good else "Something is wrong"
        return "\n".join((*lines, f"{verdict}, after {self.duration_s:.1f} s."))


def _client(url: str) -> WebsocketClientTransport:
    params = WebsocketClientParams(
        serializer=PingingSerializer(PCMFrameSerializer(FORMAT)),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_10ms_chunks=2,
        silence_grace_ms=0,
        silence_max_secs=None,
    )
    return WebsocketClientTransport(f"{url.replace('http', 'ws', 1)}/ws?pcm={FORMAT.sample_rate}", params)


@asynccontextmanager
async def _calling(url: str) -> AsyncIterator[Caller]:
    async with _client(url).session() as session, open_services() as services:
        caller = Caller(session)
        services.start_soon(caller.listen, name="listen")
        services.start_soon(caller.ping, name="ping")
        settings: JSONValue = {"type": "settings", "mode": "repeat", "delay_ms": DELAY_MS, "barge_in": True}
        await session.output.send_message(settings)
        yield caller


async def _get(url: str, path: str) -> tuple[int, bytes]:
    """Fetch one file, with the plainest HTTP there is."""
    where = urlsplit(url)
    stream = await trio.open_tcp_stream(where.hostname or "", where.port or 80)
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = bytearray()
        with trio.fail_after(WAIT_S):
            async for data in stream:
                answer += data
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return int(head.split()[1]), body
