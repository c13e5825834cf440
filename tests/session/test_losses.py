"""Connections that are lost once, twice and more often, and how often a client tries again."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import AudioFrame, Frame, ReconnectPolicy, TextFrame, TransportError
from trio_transports.serializers.asterisk import AsteriskFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.testing import ScriptedPeer
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


MEDIA_START = '{"event":"MEDIA_START","connection_id":"c","channel":"c","format":"%s","optimal_frame_size":%d}'


def audio_bytes(peer: ScriptedPeer) -> int:
    return sum(len(message) for _, message in peer.messages if isinstance(message, bytes))


class AnyWords:
    """What a peer takes in that only looks at the messages."""

    audio_format = None

    def encode(self, frame: Frame) -> Sequence[str | bytes]:
        return ()

    def decode(self, message: str | bytes) -> Sequence[Frame]:
        return ()


@LOSSES
@pytest.mark.parametrize("make", [AsteriskFrameSerializer, DetectingFrameSerializer])
async def test_a_pause_ends_with_its_connection(
    autojump_clock: MockClock, losses: int, make: type[AsteriskFrameSerializer | DetectingFrameSerializer]
) -> None:
    """What a peer asked for on a connection that is lost is not held to on the next, which begins with its start."""
    line = Line(redial_s=0.05, serializer=AnyWords())
    settings = reconnecting(serializer=make(), audio_out_auto_silence=False, audio_out_sample_rate=8000)
    async with on_a_line(line, settings) as (session, _, _):
        for loss in range(losses + 1):
            await trio.sleep(1)
            peer = line.peers[loss]
            assert not audio_bytes(peer), "it has not said in which code yet"
            await peer.send_raw(MEDIA_START % ("ulaw", 160))
            await session.output.send(AudioFrame(audio=bytes(320 * 5), sample_rate=8000, num_channels=1))
            await session.output.drain()
            assert audio_bytes(peer) == 160 * 5
            await peer.send_raw('{"event":"MEDIA_XOFF"}')
            await trio.sleep(1)
            await session.output.send(AudioFrame(audio=bytes(320 * 5), sample_rate=8000, num_channels=1))
            await trio.sleep(1)
            assert audio_bytes(peer) == 160 * 5
            await session.output.interrupt()  # or it would be said on the next connection
            if loss < losses:
                peer.drop()


@LOSSES
async def test_what_is_queued_waits_for_the_next_peers_start(autojump_clock: MockClock, losses: int) -> None:
    """After each loss nothing leaves, whatever is queued, before the new peer has said in which code to speak to it."""
    line = Line(redial_s=0.05, serializer=AnyWords())
    settings = reconnecting(serializer=AsteriskFrameSerializer(), audio_out_sample_rate=8000)
    async with on_a_line(line, settings) as (session, _, _):
        await line.peers[0].send_raw(MEDIA_START % ("ulaw", 160))
        for loss in range(losses):
            await session.output.send(AudioFrame(audio=bytes(16000 * 4), sample_rate=8000, num_channels=1))
            await trio.sleep(0.5)
            assert audio_bytes(line.peers[loss])
            line.peers[loss].drop()
            await trio.sleep(1)
            assert session.is_connected
            assert not audio_bytes(line.peers[loss + 1])
            await line.peers[loss + 1].send_raw(MEDIA_START % ("ulaw", 160))
            await trio.sleep(0.1)
            assert audio_bytes(line.peers[loss + 1])


@LOSSES
async def test_each_connection_may_have_another_code(autojump_clock: MockClock, losses: int) -> None:
    """A line that announces another code after a loss gets what is sent from then on in that."""
    line = Line(redial_s=0.05, serializer=AnyWords())
    codes = ["ulaw", "slin16", "alaw", "slin", "ulaw"]
    bytes_each_20_ms = {"ulaw": 160, "alaw": 160, "slin16": 640, "slin": 320}
    settings = reconnecting(serializer=AsteriskFrameSerializer(), audio_out_auto_silence=False)
    async with on_a_line(line, settings) as (session, _, _):
        for loss in range(losses + 1):
            peer, size = line.peers[loss], bytes_each_20_ms[codes[loss]]
            await peer.send_raw(MEDIA_START % (codes[loss], size))
            await trio.sleep(1)
            assert await session.output.write_audio(AudioFrame(audio=bytes(3200), sample_rate=16000, num_channels=1))
            await session.output.drain()
            sent = audio_bytes(peer)
            assert sent in range(5 * size, 7 * size), codes[loss]
            if loss < losses:
                peer.drop()
                await trio.sleep(1)
