"""What observing costs whoever does not observe: not one call of a function for an echoed chunk.

The echo benchmark shows the same as CPU time for a frame, beside a server without any place for an observer:
``python -m benchmarks run echo --peers ours-untapped ours-direct ours-observed``.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import pytest
import trio
from trio.testing import MockClock

import trio_transports
from tests.session.helpers import params
from trio_transports import AudioFrame, Session
from trio_transports.audio.format import AudioFormat
from trio_transports.observe import ServerCounters
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.testing import ScriptedPeer, memory_session

OURS: Final = str(Path(trio_transports.__file__).parent)
CHUNKS: Final = 100
CHUNK: Final = AudioFrame(audio=b"\1\2" * 320, sample_rate=16000)
OBSERVING: Final = ("/observe/", "/session/taps.py", "/session/frame_log.py")


class Nobody:
    """A tap that does nothing: what is left is what it costs to tell it."""

    def received(self, frame: object, now_s: float) -> None:
        pass

    def sent(self, frame: object, now_s: float) -> None:
        pass

    def left(self, pcm: bytes, audio_format: AudioFormat, destination: str | None, now_s: float) -> None:
        pass

    def taken_back(self, duration_s: float, destination: str | None, now_s: float) -> None:
        pass

    def interrupted(self, now_s: float) -> None:
        pass


async def calls_of_an_echo(session: Session, peer: ScriptedPeer) -> Counter[str]:
    """Which functions of ours are called while ``CHUNKS`` come and go, one each 20 ms, and how often."""
    counted: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            counted[frame.f_code] += 1

    async def echo() -> None:
        async for frame in session.input:
            await session.output.send(frame)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for number in range(CHUNKS + 10):
            if number == 10:  # the first ones find out how it is done
                sys.setprofile(note)
            await peer.send(CHUNK)
            await trio.sleep(0.02)
        sys.setprofile(None)
        nursery.cancel_scope.cancel()
    assert peer.recorder.of(AudioFrame)
    ours = {code: times for code, times in counted.items() if code.co_filename.startswith(OURS)}
    return Counter({f"{code.co_filename.removeprefix(OURS)}:{code.co_qualname}": n for code, n in ours.items()})


async def an_echo(events: Broadcast[Event], *, taps_before: int = 0, tapped: bool = False) -> Counter[str]:
    settings = params(audio_out_auto_silence=False, ping_interval=None, idle_timeout=None)
    async with memory_session(settings, events=events) as (session, peer):
        for number in range(2):
            with session.tapped(Nobody()) if number < taps_before else nullcontext():
                await trio.sleep(0.1)
        with session.tapped(Nobody()) if tapped else nullcontext():
            return await calls_of_an_echo(session, peer)


async def plain_echo() -> Counter[str]:
    return await an_echo(Broadcast())


async def counted_echo() -> Counter[str]:
    """Counted for metrics, after a recorder has come and gone twice."""
    counters, hub = ServerCounters(), Broadcast[Event]()
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(counters.watch, hub.subscribe())
            calls = await an_echo(hub, taps_before=2)
    assert counters.figures().sessions_begun == 1
    assert counters.figures().totals.chunks_paced == CHUNKS + 10
    return calls


async def tapped_echo() -> Counter[str]:
    return await an_echo(Broadcast(), tapped=True)


def of(echo: Callable[[], Awaitable[Counter[str]]]) -> Counter[str]:
    """In a run of its own, so that the same times are rounded in the same way."""
    calls: Counter[str] = trio.run(echo, clock=MockClock(autojump_threshold=0))
    return calls


def test_a_counted_call_costs_no_call_more() -> None:
    """Each chunk of it takes the very calls that a chunk takes where nobody observes, and none of an observer's."""
    plain = of(plain_echo)
    assert of(counted_echo) == plain
    assert sum(plain.values()) >= 5 * CHUNKS
    assert not [name for name in plain if name.startswith(OBSERVING)]


def test_who_listens_in_is_seen_in_the_calls() -> None:
    """The measure itself: somebody who is told of each chunk, both ways, costs calls."""
    assert sum((of(tapped_echo) - of(plain_echo)).values()) >= CHUNKS


@pytest.mark.parametrize("program", ["import trio_transports", "import trio_transports.testing"])
def test_it_is_not_even_imported(program: str) -> None:
    """Who imports the library has nothing of ``observe`` in memory, nor of what its extras bring."""
    told = f"{program}, sys; print([name for name in sys.modules if name.startswith(NAMES)])"
    names = "NAMES = ('trio_transports.observe', 'prometheus_client', 'opentelemetry'); "
    done = subprocess.run([sys.executable, "-c", names + told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
