"""Each figure of a session's statistics is changed by what it counts, twice: none can be added that nothing moves."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.helpers import CHUNK_S, params, seconds
from tests.session.test_counters import Quiet
from tests.session.test_eye import raw
from tests.session.test_failures import Line, on_a_line, reconnecting
from tests.session.test_jitter import DELAY_S, numbered
from tests.session.test_screens import image
from trio_transports import Session, TextFrame, TranscriptionFrame
from trio_transports.session.statistics import Statistics
from trio_transports.testing import ScriptedPeer, memory_session

OTHER = '{"type":"of another version"}'


@frozen
class Here:
    """What an act is done to, the first time or the second."""

    session: Session
    peer: ScriptedPeer
    clock: MockClock
    round_number: int


@frozen
class Shown:
    """What moves a figure, and by how much: the first time, and the second if that is not the same."""

    act: Callable[[Here], Awaitable[object]]
    by: float | tuple[float, float]
    changes: Mapping[str, object] = {}

    @property
    def each(self) -> Sequence[float]:
        return self.by if isinstance(self.by, tuple) else (self.by, self.by)


async def wait(here: Here) -> None:
    await trio.sleep(1.5)


async def hear_a_word(here: Here) -> None:
    await here.peer.send(TextFrame(text="a word"))


async def say_a_word(here: Here) -> None:
    await here.session.output.send_message({"a": 1})
    await here.session.output.drain()


async def say_as_it_is(here: Here) -> None:
    await here.session.output.send_raw(OTHER)
    await here.session.output.drain()


async def hear_audio(here: Here) -> None:
    await here.peer.send(seconds(0.2))
    await here.peer.send(seconds(0.1))


async def say_audio(here: Here) -> None:
    assert await here.session.output.write_audio(seconds(0.1))


async def queue_audio(here: Here) -> None:
    await here.session.output.send(seconds(1))


async def hear_out_of_order(here: Here) -> None:
    """The second frame never comes, the fourth before the third, and the first again when it has been heard."""
    from_ns = round(here.round_number * 10e9)
    for number in (0, 3, 2):
        await here.peer.send(numbered(number, from_ns=from_ns))
    await trio.sleep(DELAY_S + CHUNK_S / 2)
    await here.peer.send(numbered(0, from_ns=from_ns))
    await trio.sleep(1)


async def interrupt(here: Here) -> None:
    await here.session.output.send(seconds(1))
    await here.session.output.send(TextFrame(text="never said"))
    await here.session.output.send(image(1, sync_with_audio=True))
    await here.session.output.interrupt()


async def stand_still(here: Here) -> None:
    """Longer each time: what is due is 0.02 s less late, chunk by chunk."""
    await here.session.output.send(seconds(1))
    await trio.sleep(0.101)
    here.clock.jump(0.1 * here.round_number)
    await trio.sleep(2)


async def stand_still_for_long(here: Here) -> None:
    await here.session.output.send(seconds(3))
    await trio.sleep(0.1)
    here.clock.jump(1.5)
    await trio.sleep(4)


async def pause(here: Here) -> None:
    await say_audio(here)
    await trio.sleep(1)


async def hear_nonsense(here: Here) -> None:
    await here.peer.send_raw("nonsense")


async def hear_the_unknown(here: Here) -> None:
    await here.peer.send_raw(OTHER)


async def say_what_it_has_no_word_for(here: Here) -> None:
    await here.session.output.send(TranscriptionFrame(text="", user_id="", timestamp=""))


async def lose_the_connection(here: Here) -> None:
    here.peer.drop()
    await trio.sleep(1)


async def show(here: Here) -> None:
    await here.session.output.send(image(here.round_number))
    await here.session.output.drain()
    await trio.sleep(1)


async def see(here: Here) -> None:
    for number in range(5):
        await here.peer.send(raw(number))


SEES: Mapping[str, object] = {"video_in_enabled": True}
SHOWS: Mapping[str, object] = {
    "video_out_enabled": True,
    "video_out_is_live": True,
    "video_out_width": 2,
    "video_out_height": 2,
}
IN_ORDER: Mapping[str, object] = {"audio_in_jitter_ms": DELAY_S * 1000}

FIGURES: Mapping[str, Shown] = {
    "duration_s": Shown(wait, 1.5),
    "messages_received": Shown(hear_a_word, 1),
    "bytes_received": Shown(hear_nonsense, len("nonsense")),
    "messages_sent": Shown(say_a_word, 1),
    "bytes_sent": Shown(say_as_it_is, len(OTHER)),
    "audio_received_s": Shown(hear_audio, 0.3),
    "audio_sent_s": Shown(say_audio, 0.1),
    "audio_queued_s": Shown(queue_audio, (1 - CHUNK_S, 1)),
    "audio_in_dropped_s": Shown(hear_audio, (0.2, 0.3), {"audio_in_max_queue_secs": 0.1}),
    "audio_in_concealed_s": Shown(hear_out_of_order, 0.02 + 0.1, IN_ORDER),
    "audio_in_late": Shown(hear_out_of_order, 1, IN_ORDER),
    "audio_in_reordered": Shown(hear_out_of_order, 1, IN_ORDER),
    "audio_out_dropped_s": Shown(interrupt, 1 - CHUNK_S),
    "chunks_paced": Shown(say_audio, 5),
    "pacing_error_s": Shown(stand_still, (0.081 + 0.061 + 0.041 + 0.021 + 0.001, 0.91)),
    "pacing_error_max_s": Shown(stand_still, (0.081, 0.1)),
    "malformed_messages": Shown(hear_nonsense, 1),
    "ignored_messages": Shown(hear_the_unknown, 1),
    "unsupported_frames": Shown(say_what_it_has_no_word_for, 1, {"serializer": Quiet}),
    "frames_dropped": Shown(interrupt, 1),
    "silence_chunks": Shown(pause, 5, {"audio_out_auto_silence": True, "silence_max_secs": 0.1}),
    "late_resets": Shown(stand_still_for_long, 1),
    "interruptions": Shown(interrupt, 1),
    "reconnects": Shown(lose_the_connection, 1),
    "pictures_sent": Shown(show, 1),
    "pictures_dropped": Shown(interrupt, 1),
    "pictures_received": Shown(see, 5, SEES),
    "pictures_in_dropped": Shown(see, (2, 5), SEES),
    "dropped_by_kind": Shown(interrupt, 1),
}


def figure(session: Session, name: str) -> float:
    value = getattr(session.statistics(), name)
    return sum(value.values()) if isinstance(value, Mapping) else value


@asynccontextmanager
async def opened(name: str, changes: Mapping[str, object]) -> AsyncIterator[tuple[Session, Callable[[], ScriptedPeer]]]:
    """A session, and who is at its other end now."""
    settings = {"audio_out_auto_silence": False, "ping_interval": None, **SHOWS, **changes}
    if name == "reconnects":
        line = Line(redial_s=0.05)
        async with on_a_line(line, reconnecting()) as (session, _, _):
            yield session, lambda: line.peers[-1]
    else:
        async with memory_session(params(**settings), buffer_messages=1000) as (session, peer):
            yield session, lambda: peer


@pytest.mark.parametrize("name", [each.name for each in attrs.fields(Statistics)])
async def test_every_figure_counts_what_it_says(name: str, autojump_clock: MockClock) -> None:
    """Each field of the statistics is moved by its act, by what is said of it, and by as much the second time."""
    shown = FIGURES[name]
    async with opened(name, shown.changes) as (session, peer):
        for round_number, by in enumerate(shown.each, 1):
            before = figure(session, name)
            await shown.act(Here(session, peer(), autojump_clock, round_number))
            await wait_all_tasks_blocked()
            assert figure(session, name) - before == pytest.approx(by, abs=0.0011)
        await session.output.interrupt()


def test_no_figure_is_shown_that_is_none() -> None:
    """The table names nothing else."""
    assert FIGURES.keys() == {each.name for each in attrs.fields(Statistics)}
