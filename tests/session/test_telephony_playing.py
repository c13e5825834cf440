"""What a telephone provider says about its playing, and who waits for it."""

from contextlib import nullcontext

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.calls import call, lines, played_at_s
from trio_transports import (
    CancelFrame,
    ConnectionClosed,
    Frame,
    InterruptionFrame,
    MarkFrame,
)
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.testing.phones import MarkOrder, PlayOrder, ScriptedLine


@lines
async def test_a_mark_comes_back_when_it_was_played(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A mark among the audio leaves after what was sent before it, and its answer is a frame for the handler."""
    async with call(line, serializer=DetectingFrameSerializer(), audio_out_auto_silence=False) as here:
        here.phone.scripted.lag_s = 0.25
        await here.phone.open()
        await here.play(1)
        await here.session.output.send(MarkFrame(mark="first"))
        await here.play(0.5)
        await here.session.output.send(MarkFrame(mark="second"))
        await here.recorder.wait_for(MarkFrame, 2)
        told = [(heard.at_s, heard.frame) for heard in here.recorder.heard if isinstance(heard.frame, MarkFrame)]
    orders = [heard.order for heard in here.phone.heard]
    before_first = [order for order in orders[: orders.index(MarkOrder("first"))] if isinstance(order, PlayOrder)]
    assert len(b"".join(packet.pcm for packet in before_first)) / 2 / line.rate == pytest.approx(1, abs=0.11)
    assert [frame for _, frame in told] == [MarkFrame(mark="first"), MarkFrame(mark="second")]
    assert [at_s for at_s, _ in told] == pytest.approx([1.25, 1.75], abs=0.2)


async def test_a_clear_brings_marks_back(autojump_clock: MockClock) -> None:
    """Marks that the provider holds come back when it clears; those still on this side are dropped with the audio."""
    async with call(audio_out_lead_ms=1000) as here:
        await here.phone.open()
        await here.play(0.5)
        await here.session.output.send(MarkFrame(mark="held by the provider"))
        await here.play(5)
        await here.session.output.send(MarkFrame(mark="never sent"))
        await wait_all_tasks_blocked()
        assert here.recorder.of(MarkFrame) == []
        await here.session.output.interrupt()
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert here.recorder.of(MarkFrame) == [MarkFrame(mark="held by the provider")]
    assert "never sent" not in here.phone.marks
    assert here.session.statistics().frames_dropped == 1


@lines
async def test_draining_waits_until_all_was_played(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A drain ends when the provider says that it has played everything; the handler sees nothing of how."""
    async with call(line, serializer=DetectingFrameSerializer(), audio_out_auto_silence=False) as here:
        here.phone.scripted.lag_s = 0.7
        await here.phone.open()
        await here.play(1)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(played_at_s(here.phone) + 0.7)
        assert here.recorder.of(MarkFrame) == []


async def test_draining_does_not_wait_for_a_mark_for_ever(autojump_clock: MockClock) -> None:
    """A provider that never says so is believed to have played it after send_timeout; so are later words of it."""
    async with call(send_timeout=3, audio_out_auto_silence=False) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        await here.session.output.drain()
        assert trio.current_time() - here.phone.packet_times_s[-1] == pytest.approx(3)
        late = here.phone.marks[-1]
        await here.phone.say(here.phone.line.played(late))
        assert not [frame for frame in await here.heard() if isinstance(frame, MarkFrame)]


@pytest.mark.parametrize("frame", [InterruptionFrame(), CancelFrame()])
async def test_an_interruption_ends_the_wait_for_a_mark(autojump_clock: MockClock, frame: Frame) -> None:
    """A drain ends with an interruption, also where the provider says nothing of the marks it cleared.

    With the end of the call it raises, as all that waits for the peer then does.
    """
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def drain() -> None:
                with pytest.raises(ConnectionClosed) if isinstance(frame, CancelFrame) else nullcontext():
                    await here.session.output.drain()

            await trio.sleep(1.5)
            assert here.phone.marks
            await here.session.output.send(frame)
        assert trio.current_time() == pytest.approx(1.5)


async def test_an_interruption_while_audio_drains(autojump_clock: MockClock) -> None:
    """Interrupted while there still is audio on this side, drain ends as well, and asks for no mark."""
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.drain)
            await trio.sleep(1.5)
            await here.session.output.interrupt()
        assert trio.current_time() == pytest.approx(1.5)


@pytest.mark.parametrize("how", ["close", "local"])
@pytest.mark.parametrize("during", ["audio", "mark"])
async def test_the_end_of_the_call_ends_the_wait(autojump_clock: MockClock, how: str, during: str) -> None:
    """Whoever ends the call: drain does not wait for a word that cannot come, and says that the call has ended."""
    async with call(drain_timeout=0) as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1 if during == "mark" else 50)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(ConnectionClosed):
                    await here.session.output.drain()

            await trio.sleep(2)
            if how == "close":
                await here.phone.scripted.wire.aclose(1000, "")
            else:
                await here.session.aclose()
        assert trio.current_time() == pytest.approx(2)


async def test_stop_ends_the_wait(autojump_clock: MockClock) -> None:
    """After the provider's stop nothing is played any more: drain does not wait for a mark, before or after it."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.drain)
            await trio.sleep(2)
            await here.phone.scripted.stop()
        assert trio.current_time() == pytest.approx(2)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(2)
