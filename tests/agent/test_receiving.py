"""What comes out of an adapter while its agent talks: chunks, errors and events."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter, Plain, Wordy, all_messages
from trio_transports.agent import (
    AgentMessage,
    AgentSilent,
    AudioChunk,
    Transcript,
    TurnEnded,
)
from trio_transports.audio.format import AudioFormat
from trio_transports.params import WebsocketClientParams
from trio_transports.session.broadcast import EventsLost


async def test_chunks_in_order_with_their_times(autojump_clock: MockClock) -> None:
    """Each as it came, with the time at which it came."""
    async with MemoryAdapter() as adapter:
        start = trio.current_time()
        for number in range(3):
            await adapter.agent.send(bytes([number, 0]))
            await trio.sleep(1.0)
        for number in range(3):
            chunk = await adapter.recv_audio(timeout=0)
            assert chunk == AudioChunk(bytes([number, 0]), received_at=start + number)


async def test_recv_audio_waits(autojump_clock: MockClock) -> None:
    """Until something comes, events not counted."""
    async with MemoryAdapter(Wordy()) as adapter, trio.open_nursery() as nursery:

        async def speak() -> None:
            await adapter.agent.send("say hello")
            await trio.sleep(3.0)
            await adapter.agent.send(b"ab")

        nursery.start_soon(speak)
        start = trio.current_time()
        assert (await adapter.recv_audio(timeout=5.0)).data == b"ab"
        assert trio.current_time() == start + 3.0


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_the_time_counts_from_the_end_of_ones_own_speech(turns: int, autojump_clock: MockClock) -> None:
    """HAZARDS 52: an agent is not silent while the question is still being said, at the first turn or a later one."""
    async with MemoryAdapter() as adapter:
        for _ in range(turns):
            began_s = trio.current_time()
            await adapter.send_audio(AudioChunk(bytes(48_000 * 10)))
            with pytest.raises(AgentSilent) as silent:
                await adapter.recv_audio(timeout=2.0)
            assert trio.current_time() - began_s == pytest.approx(12.0, abs=0.05)
            assert silent.value.waited_s == 2.0
            assert silent.value.unsent_s == 0
            assert "own speech" not in str(silent.value)


async def test_speech_that_waits_for_room_is_still_being_said(autojump_clock: MockClock) -> None:
    """More than a minute of it does not fit the queue: what waits counts, and a cancelled send does not."""
    async with MemoryAdapter() as adapter, trio.open_nursery() as nursery:
        began_s = trio.current_time()
        minute = AudioChunk(bytes(48_000 * 60))
        for _ in range(2):  # what finds room is taken whole
            await adapter.send_audio(minute)
        nursery.start_soon(adapter.send_audio, AudioChunk(bytes(48_000 * 30)))
        with trio.move_on_after(0.5) as limit:
            await trio.testing.wait_all_tasks_blocked()
            await adapter.send_audio(minute)
        assert limit.cancelled_caught
        with pytest.raises(AgentSilent):
            await adapter.recv_audio(timeout=1.0)
        assert trio.current_time() - began_s == pytest.approx(151.0, abs=0.1)


async def test_a_send_that_is_cancelled_meanwhile_does_not_prolong_the_wait(autojump_clock: MockClock) -> None:
    """It waited for room when the receiving began: never said, it would have been awaited for ever."""
    async with MemoryAdapter() as adapter, trio.open_nursery() as nursery:
        for _ in range(2):
            for _ in range(2):  # what finds room is taken whole
                await adapter.send_audio(AudioChunk(bytes(48_000 * 60)))
            cancelled = trio.CancelScope()

            async def send(scope: trio.CancelScope = cancelled) -> None:
                with scope:
                    await adapter.send_audio(AudioChunk(bytes(48_000 * 30)))

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            began_s = trio.current_time()

            async def cancel(scope: trio.CancelScope = cancelled) -> None:
                await trio.sleep(5)
                scope.cancel()

            nursery.start_soon(cancel)
            with trio.fail_after(200), pytest.raises(AgentSilent):
                await adapter.recv_audio(timeout=1.0)
            assert 120 < trio.current_time() - began_s < 152


async def test_what_is_said_later_does_not_prolong_the_wait(autojump_clock: MockClock) -> None:
    """Somebody who never falls silent is told so in the outcome, and told in time."""
    async with MemoryAdapter() as adapter, trio.open_nursery() as nursery:

        async def speak_on() -> None:
            while True:
                await adapter.send_audio(AudioChunk(bytes(48_000)))
                await trio.sleep(0.9)

        nursery.start_soon(speak_on)
        await trio.sleep(5)
        began_s = trio.current_time()
        with pytest.raises(AgentSilent, match="own speech had not left yet") as silent:
            await adapter.recv_audio(timeout=2.0)
        assert silent.value.unsent_s > 0
        assert 2.0 <= trio.current_time() - began_s < 4.0
        nursery.cancel_scope.cancel()


async def test_a_decode_error_comes_out_as_itself(autojump_clock: MockClock) -> None:
    """With the message's head, in its place among the audio, once; the connection goes on."""
    async with MemoryAdapter(Wordy()) as adapter:
        for message in (b"ab", "bad", b"cd"):
            await adapter.agent.send(message)
        await trio.sleep(1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"
        with pytest.raises(KeyError, match="audio") as error:
            await adapter.recv_audio(timeout=1.0)
        assert error.value.__notes__ == ["while decoding the text message 'bad'"]
        assert (await adapter.recv_audio(timeout=1.0)).data == b"cd"
        assert adapter.statistics().malformed_messages == 1


async def test_an_agent_that_talks_nonsense_is_listened_to(autojump_clock: MockClock) -> None:
    """However many messages in a row the protocol fails on: that is the user's to judge."""
    async with MemoryAdapter(Wordy()) as adapter:
        for _ in range(300):
            await adapter.agent.send("bad")
        await adapter.agent.send(b"ab")
        for _ in range(300):
            with pytest.raises(KeyError):
                await adapter.recv_audio(timeout=1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"


async def test_half_a_sample_in_a_users_protocol_is_told(autojump_clock: MockClock) -> None:
    """The error says which message and what to use."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.send(b"abc")
        with pytest.raises(ValueError, match="WholeSamples") as error:
            await adapter.recv_audio(timeout=1.0)
        assert error.value.__notes__ == ["while decoding the binary message b'abc'"]


async def test_chunks_as_a_channel(autojump_clock: MockClock) -> None:
    """A loop over the audio ends when the agent has finished; an error in it does not end the channel."""
    async with MemoryAdapter(Wordy()) as adapter:
        for message in (b"ab", "say something", "bad", b"cd"):
            await adapter.agent.send(message)
        await adapter.agent.aclose(1000)
        channel = adapter.chunks()
        assert (await channel.receive()).data == b"ab"
        with pytest.raises(KeyError):
            await channel.receive()
        assert [chunk.data async for chunk in channel] == [b"cd"]
        async with adapter.chunks() as other:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await other.receive()


async def test_events_are_a_channel(autojump_clock: MockClock) -> None:
    """Everything but audio, for every subscriber, until the connection ends."""
    adapter = MemoryAdapter(Wordy())
    events = adapter.events()
    async with adapter:
        for message in ("say hello", b"ab", "over", "other"):
            await adapter.agent.send(message)
        await trio.sleep(0.1)
    assert [event async for event in events] == [Transcript("hello"), TurnEnded(), AgentMessage("other")]


async def test_what_an_agent_tells_is_bounded_in_bytes(autojump_clock: MockClock) -> None:
    """Few but large events too, for who subscribes and for who receives, every time: the oldest go and are counted."""
    settings = WebsocketClientParams(max_unread_bytes=100_000, ping_interval=None)
    async with MemoryAdapter(Wordy(), params=settings) as adapter:
        events = adapter.events()
        for round_ in (1, 2):
            for number in range(50):
                await adapter.agent.send(f"say {number} {'x' * 10_000}")
                await trio.sleep(0.001)
            assert await events.receive() == EventsLost(41)
            for number in range(41, 50):
                said, read = await adapter.receive(), await events.receive()
                assert said == read == Transcript(f"{number} {'x' * 10_000}")
            assert adapter.statistics().frames_dropped == 41 * round_
        assert adapter.is_connected


async def test_replies_are_sent(autojump_clock: MockClock) -> None:
    """At once, or when what came before was played; a mark that is cleared comes back at once."""
    received: list[tuple[float, str | bytes]] = []
    async with trio.open_nursery() as nursery, MemoryAdapter(Wordy()) as adapter:

        async def listen() -> None:
            received.extend(await all_messages(adapter.agent))

        nursery.start_soon(listen)
        start = trio.current_time()
        for message in (bytes(48000), "mark 1", bytes(48000), "ping 7", "mark 2", bytes(480000), "mark 3"):
            await adapter.agent.send(message)
        await trio.sleep(4.0)
        await adapter.agent.send("clear")
        await trio.sleep(1.0)
    said = [(round(at - start, 6), message) for at, message in received]
    assert said == [
        (0.0, "pong 7"),
        (1.0, "mark 1"),
        (1.0, "played"),
        (2.0, "mark 2"),
        (2.0, "played"),
        (4.0, "mark 3"),
        (4.0, "played"),
    ]


async def test_a_reply_that_fails_is_told(autojump_clock: MockClock) -> None:
    """By recv_audio, and the conversation goes on."""
    async with MemoryAdapter(Wordy()) as adapter:
        await adapter.agent.send("fail")
        with pytest.raises(TypeError, match="a Reply of Wordy must return"):
            await adapter.recv_audio(timeout=1.0)
        await adapter.agent.send(b"ab")
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"


async def test_rates_are_converted(autojump_clock: MockClock) -> None:
    """What the agent sends at 8 kHz is heard at the caller's rate, with the 6 ms that the resampler is late by."""

    class Narrow(Plain):
        def decode_response(self, message: str | bytes) -> AudioChunk | None:
            assert isinstance(message, bytes)
            return AudioChunk(message, sample_rate=8000)

    for wanted in (AudioFormat(24000), AudioFormat(16000), AudioFormat(48000, 2), None):
        async with MemoryAdapter(Narrow(), audio_format=wanted) as adapter:
            for _ in range(10):
                await adapter.agent.send(bytes(320))
            await adapter.agent.aclose()
            heard = [chunk async for chunk in adapter.chunks()]
        assert {chunk.format for chunk in heard} == {wanted or AudioFormat(8000)}
        assert sum(chunk.duration_seconds for chunk in heard) == pytest.approx(0.2 if wanted is None else 0.206)


async def test_stereo_of_any_length(autojump_clock: MockClock) -> None:
    """A long chunk of two channels is one chunk: mixed for a caller who wants one, else as the agent sent it."""

    class Stereo(Plain):
        def decode_response(self, message: str | bytes) -> AudioChunk | None:
            assert isinstance(message, bytes)
            return AudioChunk(message, num_channels=2)

    sent = b"\x01\0\x03\0" * 48000
    for wanted, heard in ((AudioFormat(24000), b"\x02\0" * 48000), (None, sent)):
        async with MemoryAdapter(Stereo(), audio_format=wanted) as adapter:
            await adapter.agent.send(sent)
            assert (await adapter.recv_audio(timeout=1.0)).data == heard
            await adapter.agent.send(sent)
            assert (await adapter.recv_audio(timeout=1.0)).data == heard
            assert adapter.statistics().audio_received_s == pytest.approx(4.0)


async def test_a_rate_that_cannot_be_converted_is_told(autojump_clock: MockClock) -> None:
    """It is raised by recv_audio, and the conversation goes on."""

    class Strange(Plain):
        def decode_response(self, message: str | bytes) -> AudioChunk | None:
            assert isinstance(message, bytes)
            return AudioChunk(message, sample_rate=7 if message == b"7 Hz" else 24000)

    async with MemoryAdapter(Strange()) as adapter:
        await adapter.agent.send(b"7 Hz")
        await adapter.agent.send(b"ab")
        with pytest.raises(ValueError, match="not 7") as caught:
            await adapter.recv_audio(timeout=1.0)
        assert caught.value.__notes__ == ["in a chunk of 7 Hz mono from Strange.decode_response"]
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"


async def test_unread_audio_is_bounded(autojump_clock: MockClock) -> None:
    """The oldest goes; what is left is the newest."""
    async with MemoryAdapter(max_unread_s=1.0) as adapter:
        for number in range(20):
            await adapter.agent.send(bytes([number, 0]) * 2400)
        await trio.sleep(1.0)
        assert adapter.statistics().audio_in_dropped_s == pytest.approx(1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data[0] == 10
