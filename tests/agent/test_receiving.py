"""What comes out of an adapter: chunks, errors, events, and the four outcomes."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.agent.memory import URL, MemoryAdapter, Plain, all_messages
from trio_transports.agent import (
    AgentConnectionLost,
    AgentEvent,
    AgentFinished,
    AgentHungUp,
    AgentMessage,
    AgentSilent,
    AudioChunk,
    PlaybackCleared,
    Reply,
    Transcript,
    TurnEnded,
    silent_chunk,
)
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import ConnectionClosed
from trio_transports.params import WebsocketClientParams
from trio_transports.session.broadcast import EventsLost


class Wordy(Plain):
    """Text messages are events by their first word."""

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        if message == "bad":
            raise KeyError("audio")
        return super().decode_response(message)

    def decode_event(self, message: str | bytes) -> AgentEvent | Reply | Sequence[AgentEvent | Reply] | None:
        if isinstance(message, bytes):
            return None
        word, _, rest = message.partition(" ")
        match word:
            case "say":
                return Transcript(rest)
            case "over":
                return TurnEnded()
            case "bye":
                return AgentHungUp()
            case "clear":
                return PlaybackCleared()
            case "ping":
                return Reply(f"pong {rest}")
            case "mark":
                return Reply(lambda: [f"mark {rest}", "played"], when_played=True)
            case "fail":
                return Reply(lambda: None)  # type: ignore[arg-type,return-value]
            case _:
                return AgentMessage(message)


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


async def test_silence(autojump_clock: MockClock) -> None:
    """The first outcome: connected, nothing came in the time given, and what else did."""
    async with MemoryAdapter(Wordy()) as adapter:
        await trio.sleep(2.0)
        with pytest.raises(AgentSilent) as silent:
            await adapter.recv_audio(timeout=5.0)
        assert (silent.value.peer, silent.value.elapsed_s, silent.value.waited_s) == (URL, 7.0, 5.0)
        assert (silent.value.close_code, silent.value.messages, silent.value.dead_after_s) == (None, 0, 10)
        await adapter.agent.send("say hm")
        with pytest.raises(AgentSilent, match="only 1 other message"):
            await adapter.recv_audio(timeout=1.0)
        await adapter.agent.send(b"ab")
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"


async def test_a_clean_end(autojump_clock: MockClock) -> None:
    """The second outcome: the agent closed in good order, and all it had said was read first."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.send(b"ab")
        await trio.sleep(1.0)
        await adapter.agent.aclose(1000, "done")
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"
        for timeout in (1.0, 0.0, float("inf")):
            with pytest.raises(AgentFinished, match="the agent finished the conversation") as finished:
                await adapter.recv_audio(timeout=timeout)
            assert (finished.value.peer, finished.value.elapsed_s) == (URL, 1.0)
            assert (finished.value.close_code, finished.value.reason) == (1000, "done")


@pytest.mark.parametrize("code", [1001, 1005])
async def test_going_away_is_clean_too(autojump_clock: MockClock, code: int) -> None:
    """There was a handshake, and it blames nobody."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.aclose(code)
        with pytest.raises(AgentFinished):
            await adapter.recv_audio(timeout=1.0)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1011, 1013, 4000])
async def test_a_close_that_names_a_fault_is_a_loss(autojump_clock: MockClock, code: int) -> None:
    """The third outcome, with the code and the reason."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.aclose(code, "why")
        with pytest.raises(AgentConnectionLost, match="the connection broke") as lost:
            await adapter.recv_audio(timeout=1.0)
        assert (lost.value.close_code, lost.value.reason) == (code, "why")


async def test_a_broken_connection(autojump_clock: MockClock) -> None:
    """Without a handshake the code is 1006; what had come is read first, and sending says the same."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.send(b"ab")
        await trio.sleep(1.5)
        adapter.agent.abort()
        await trio.sleep(1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"
        with pytest.raises(AgentConnectionLost) as lost:
            await adapter.recv_audio(timeout=1.0)
        assert (lost.value.peer, lost.value.elapsed_s, lost.value.close_code) == (URL, 1.5, 1006)
        with pytest.raises(AgentConnectionLost):
            await adapter.send_audio(AudioChunk(b"ab"))
        with pytest.raises(AgentConnectionLost):
            await adapter.drain()
        with pytest.raises(AgentConnectionLost):
            await adapter.call(AudioChunk(b"ab"))


async def test_a_hang_up_that_leaves_the_line_open(autojump_clock: MockClock) -> None:
    """The agent's word is enough; what it says after all is still heard."""
    async with MemoryAdapter(Wordy()) as adapter:
        await adapter.agent.send(b"ab")
        await adapter.agent.send("bye")
        await trio.sleep(1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"
        with pytest.raises(AgentFinished, match="the agent finished") as finished:
            await adapter.recv_audio(timeout=100.0)
        assert finished.value.close_code is None
        assert trio.current_time() < 3.0
        await adapter.agent.send(b"cd")
        await trio.sleep(1.0)
        assert (await adapter.recv_audio(timeout=1.0)).data == b"cd"


async def test_a_waiting_reader_hears_of_a_hang_up(autojump_clock: MockClock) -> None:
    """Not only at its timeout."""
    async with MemoryAdapter(Wordy()) as adapter, trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(AgentFinished):
                await adapter.recv_audio(timeout=1000.0)
            assert trio.current_time() < 10.0

        nursery.start_soon(read)
        await trio.sleep(1.0)
        await adapter.agent.send("bye")


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


async def test_a_loop_over_a_lost_connection_raises(autojump_clock: MockClock) -> None:
    """It must not look like an end."""
    async with MemoryAdapter() as adapter:
        adapter.agent.abort()
        with pytest.raises(AgentConnectionLost):
            [chunk async for chunk in adapter.chunks()]


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


async def test_reading_after_the_end(autojump_clock: MockClock) -> None:
    """What was received before the end of the ``async with`` can be read after it."""
    async with MemoryAdapter() as adapter:
        await adapter.agent.send(b"ab")
        await trio.sleep(0.1)
    assert (await adapter.recv_audio(timeout=1.0)).data == b"ab"
    with pytest.raises(AgentFinished, match="this side finished"):
        await adapter.recv_audio(timeout=1.0)


async def test_one_adapter_many_conversations(autojump_clock: MockClock) -> None:
    """One after the other, each with its own stream; two at once are refused."""
    adapter = MemoryAdapter()
    for number in range(3):
        async with adapter:
            await adapter.agent.send(bytes([number, 0]))
            assert (await adapter.recv_audio(timeout=1.0)).data == bytes([number, 0])
            with pytest.raises(Exception, match="one connection at a time"):
                await adapter.run()
            with pytest.raises(Exception, match="one connection at a time"):
                await adapter.__aenter__()


async def test_a_limit_of_this_side_is_a_loss(autojump_clock: MockClock) -> None:
    """It is not what the caller wanted, although this side closed."""
    params = WebsocketClientParams(idle_timeout=3.0)
    async with MemoryAdapter(params=params) as adapter:
        with pytest.raises(AgentConnectionLost, match="idle timeout") as lost:
            await adapter.recv_audio(timeout=60.0)
        assert lost.value.close_code == 1001


async def test_the_goodbye_is_a_conversation_too(autojump_clock: MockClock) -> None:
    """While what is queued goes out, marks are still answered and audio is still heard."""
    received: list[tuple[float, str | bytes]] = []
    async with trio.open_nursery() as nursery:
        adapter = MemoryAdapter(Wordy())
        await nursery.start(adapter.run)

        async def listen() -> None:
            received.extend(await all_messages(adapter.agent))

        async def speak() -> None:
            await trio.sleep(1.0)
            await adapter.agent.send(bytes(480))
            await adapter.agent.send("mark 1")

        nursery.start_soon(listen)
        nursery.start_soon(speak)
        await adapter.send_audio(silent_chunk(3.0))
        await adapter.disconnect()
    assert len([message for _, message in received if isinstance(message, bytes)]) == 150
    assert "mark 1" in [message for _, message in received]
    assert (await adapter.recv_audio()).data == bytes(480)


async def test_disconnect_by_hand(autojump_clock: MockClock) -> None:
    """Once, twice, before and after; the reader hears of it, and sending is refused."""
    adapter = MemoryAdapter()
    await adapter.disconnect()
    async with trio.open_nursery() as nursery:
        await nursery.start(adapter.run)

        async def read() -> None:
            with pytest.raises(AgentFinished, match="this side"):
                await adapter.recv_audio()

        nursery.start_soon(read)
        await trio.sleep(1.0)
        await adapter.disconnect()
        await adapter.disconnect()
        with pytest.raises(ConnectionClosed) as closed:
            await adapter.agent.receive()
        assert closed.value.code == 1000


async def test_a_nursery_that_is_cancelled_takes_the_connection_with_it(autojump_clock: MockClock) -> None:
    """The agent is told, and afterwards the adapter says how it ended."""
    adapter = MemoryAdapter()
    async with trio.open_nursery() as nursery:
        await nursery.start(adapter.run)
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionClosed) as closed:
        await adapter.agent.receive()
    assert closed.value.code == 1001
    with pytest.raises(AgentFinished, match="close code 1001"):
        await adapter.recv_audio()
