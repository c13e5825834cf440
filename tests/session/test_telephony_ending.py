"""The end of a telephone call: the goodbye is heard, the wait for it is bounded, the call is hung up."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.real.telephony.phone import caller
from tests.session.calls import call, lines, played_at_s
from trio_transports import (
    EndFrame,
    Session,
    StartFrame,
)
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.telephony import TwilioHangUp
from trio_transports.testing.phones import ScriptedLine


@lines
async def test_the_goodbye_is_heard(autojump_clock: MockClock, line: ScriptedLine) -> None:
    """A handler that says goodbye and returns is heard to the end before the connection closes."""
    async with call(line, serializer=DetectingFrameSerializer()) as here:
        here.phone.scripted.lag_s = 0.5
        await here.phone.open()
        await here.play(3)
    assert trio.current_time() == pytest.approx(played_at_s(here.phone) + 0.5)
    assert here.phone.close_code == 1000


async def test_a_goodbye_sent_ahead_is_heard(autojump_clock: MockClock) -> None:
    """What the provider already has, because of audio_out_lead_ms, is played before the connection closes too."""
    async with call(audio_out_lead_ms=20_000) as here:
        await here.phone.open()
        await here.play(15)
        await wait_all_tasks_blocked()
        assert len(here.phone.pcm) >= 14.9 * 16000
        assert trio.current_time() == 0
    assert trio.current_time() == pytest.approx(15, abs=0.1)


async def test_draining_audio_sent_ahead(autojump_clock: MockClock) -> None:
    """A mark is waited for as long as what was sent ahead can take to play."""
    async with call(audio_out_lead_ms=20_000) as here:
        await here.phone.open()
        await here.play(15)
        await here.session.output.drain()
        assert trio.current_time() == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(("setting", "value_s", "limit_s"), [("drain_timeout", 1.2, 1.2), ("close_timeout", 0.5, 1.5)])
async def test_the_wait_for_the_goodbye_is_bounded(
    autojump_clock: MockClock, setting: str, value_s: float, limit_s: float
) -> None:
    """A provider that never says what it played holds the end up for drain_timeout, or for close_timeout more."""
    async with call(**{setting: value_s}) as here:  # type: ignore[arg-type]
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(1)
    assert trio.current_time() == pytest.approx(limit_s, abs=0.03)
    assert here.phone.close_code == 1000


async def test_a_call_in_which_nothing_was_said_ends_at_once(autojump_clock: MockClock) -> None:
    """A handler that only listened has nothing to wait for, whatever the provider says or does not."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(1)
    assert here.phone.marks == []


async def test_nothing_is_waited_for_after_stop(autojump_clock: MockClock) -> None:
    """A handler that returns when the call was stopped ends at once: nobody plays anything any more."""
    async with call() as here:
        here.phone.scripted.tells_marks = False
        await here.phone.open()
        await here.play(0.5)
        await trio.sleep(1)
        await here.phone.scripted.stop()
        await here.recorder.wait_for(EndFrame)
    assert trio.current_time() == pytest.approx(1, abs=0.03)  # what the resampler held back takes a packet
    assert here.phone.marks == []


async def test_a_call_whose_start_was_read_elsewhere_is_hung_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A serializer that was given its stream's id has a call to end too; a hang-up that lacks the call's id is told."""
    ended: list[StartFrame | None] = []

    async def hang_up(session: Session) -> None:
        ended.append(session.start)

    serializer = TwilioFrameSerializer(stream_id=caller("twilio").stream_id)
    async with call(serializer=serializer, hang_up=hang_up) as here:
        await here.play(0.1)
    assert ended == [None]
    assert here.phone.packets
    async with call(serializer=serializer, hang_up=TwilioHangUp("AC1", "token")):
        pass
    assert "no Twilio call to end" in caplog.text
    assert "read elsewhere" in caplog.text


async def test_a_caller_without_a_start_has_no_call(autojump_clock: MockClock) -> None:
    """Nobody is asked to end the call of a caller that never said start."""

    async def hang_up(_session: Session) -> None:
        pytest.fail("there was no call")

    async with call(hang_up=hang_up) as here:
        await here.phone.scripted.hang_up()
