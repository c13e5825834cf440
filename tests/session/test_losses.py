"""Connections that are lost once, twice and more often, and how often a client tries again."""

import pytest
import trio
from trio.testing import MockClock

from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import ReconnectPolicy, TextFrame, TransportError
from trio_transports.wire.dialling import Attempts

LOSSES = pytest.mark.parametrize("losses", [1, 2, 3, 4])


@LOSSES
async def test_a_session_survives_every_loss(autojump_clock: MockClock, losses: int) -> None:
    """After each loss the same session talks to the new connection, and after the last it ends in good order."""
    line = Line(redial_s=0.05)
    async with on_a_line(line, reconnecting()) as (session, ends, _):
        for loss in range(losses):
            line.peers[loss].drop()
            await trio.sleep(1)
            assert session.is_connected
            await session.output.send(TextFrame(text=f"after loss {loss}"))
            await line.peers[loss + 1].send(TextFrame(text=f"heard of loss {loss}"))
            assert await session.input.receive() == TextFrame(text=f"heard of loss {loss}")
        await session.output.drain()
        assert session.statistics().reconnects == losses
    assert [(end.code, end.initiator) for end in ends] == [(1000, "local")]
    for loss in range(losses):
        assert line.peers[loss + 1].recorder.of(TextFrame) == [TextFrame(text=f"after loss {loss}")]


@LOSSES
@pytest.mark.parametrize("closing", ["aclose", "body", "cancel"])
async def test_closing_while_dialling_for_the_nth_time(autojump_clock: MockClock, closing: str, losses: int) -> None:
    """A session that closes without a connection ends the dialling at once, after whichever loss it is."""
    line = Line(redial_s=0.05)
    with trio.move_on_after(100 if closing == "cancel" else 1000):
        async with on_a_line(line, reconnecting()) as (session, ends, _):
            for loss in range(losses):
                line.redial_s = 0.05 if loss < losses - 1 else 2000
                line.peers[loss].drop()
                await trio.sleep(1)
            assert not session.is_connected
            if closing == "aclose":
                await session.aclose(4000, "enough")
                await session.input.aclose()
            elif closing == "cancel":
                await trio.sleep_forever()
    assert trio.current_time() < 200
    assert len(line.peers) == losses
    if closing != "cancel":
        assert len(ends) == 1


@pytest.mark.parametrize("stable_after", [0, 1, 5])
async def test_only_a_connection_that_held_starts_the_attempts_anew(
    autojump_clock: MockClock, stable_after: float
) -> None:
    """Shorter ones leave the count and the delays growing, up to ``max_attempts``; a stable one resets both."""
    policy = ReconnectPolicy(max_attempts=3, initial_delay=1, multiplier=2, jitter=0, stable_after=stable_after)
    cause = TransportError("lost")
    for _ in range(3):
        attempts = Attempts(policy, "ws://host/")
        delays: list[float] = []
        for _ in range(3):
            delays.append(attempts.next_delay_s(cause))
            attempts.connected()
            if stable_after:
                await trio.sleep(stable_after * 0.99)
        if stable_after:
            assert delays == [1, 2, 4]
            with pytest.raises(TransportError, match="gave up after 3 attempts to connect to ws://host/: lost"):
                attempts.next_delay_s(cause)
        else:
            assert delays == [1, 1, 1]
        for _ in range(3):
            attempts.connected()
            await trio.sleep(stable_after)
            assert attempts.next_delay_s(cause) == 1
        assert attempts.next_delay_s(cause) == 2, "a failure to connect is one more attempt"


async def test_a_lost_time_is_not_counted_as_stable(autojump_clock: MockClock) -> None:
    """However long an attempt or its delay takes, only time with a connection makes it a success."""
    attempts = Attempts(ReconnectPolicy(max_attempts=2, initial_delay=1, jitter=0), "ws://host/")
    for _ in range(2):
        attempts.next_delay_s(TransportError("refused"))
        await trio.sleep(1000)
    with pytest.raises(TransportError, match="gave up after 2 attempts"):
        attempts.next_delay_s(TransportError("refused"))
