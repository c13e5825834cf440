"""What an adapter sends, and when."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from tests.agent.memory import MemoryAdapter, Plain, all_messages
from trio_transports.agent import (
    AgentFinished,
    AudioChunk,
    UnsupportedCapability,
    silent_chunk,
)
from trio_transports.agent.protocols import RawPCMProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import LocalProtocolError
from trio_transports.params import WebsocketClientParams

RAMP = bytes(range(256)) * 30  # 160 ms at 24 kHz


class Polite(Plain):
    """Greets, says goodbye, ends turns, can be interrupted, has keys."""

    def on_open(self) -> Sequence[str]:
        return ["hello", "again"]

    def on_close(self) -> str:
        return "goodbye"

    def encode_end(self) -> str:
        return "over"

    def encode_interrupt(self) -> str:
        return "stop"

    def encode_dtmf(self, digit: str) -> str:
        return f"key {digit}"


async def messages_of(adapter: MemoryAdapter, *actions: object) -> list[tuple[float, str | bytes]]:
    """What the agent receives while these are done one after the other, times counted from the first message."""
    received: list[tuple[float, str | bytes]] = []

    async def listen() -> None:
        received.extend(await all_messages(adapter.agent))

    async with trio.open_nursery() as nursery, adapter:
        nursery.start_soon(listen)
        for action in actions:
            if isinstance(action, float):
                await trio.sleep(action)
            else:
                await action(adapter)  # type: ignore[operator]
        # Closed: the listener has seen it.
    start = received[0][0] if received else 0.0
    return [(round(at - start, 6), message) for at, message in received]


async def test_paced_audio_leaves_in_real_time(autojump_clock: MockClock) -> None:
    """In messages of 20 ms, the last completed with silence; send_audio itself does not wait."""

    async def send(adapter: MemoryAdapter) -> None:
        before = trio.current_time()
        await adapter.send_audio(AudioChunk(RAMP[:2500]))
        await adapter.send_audio(AudioChunk(RAMP[2500:]))
        assert trio.current_time() == before
        await adapter.drain()

    received = await messages_of(MemoryAdapter(), send)
    assert [at for at, _ in received] == [round(0.02 * n, 6) for n in range(8)]
    assert b"".join(bytes(message) for _, message in received if isinstance(message, bytes)) == RAMP


async def test_audio_at_once(autojump_clock: MockClock) -> None:
    """One message for each call, as it was given, without waiting."""

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(RAMP), paced=False)
        await adapter.send_audio(AudioChunk(RAMP[:2]), paced=False)

    assert await messages_of(MemoryAdapter(), send) == [(0.0, RAMP), (0.0, RAMP[:2])]
    assert await messages_of(MemoryAdapter(paced=False), lambda a: a.send_audio(AudioChunk(RAMP))) == [(0.0, RAMP)]


async def test_order_is_kept_between_the_two(autojump_clock: MockClock) -> None:
    """What is sent at once after paced audio waits for it."""

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(RAMP[:1920]))
        await adapter.send_audio(AudioChunk(b"at once!"), paced=False)
        await adapter.send_message("and a text")
        await adapter.send_audio(AudioChunk(RAMP[:960]))

    received = await messages_of(MemoryAdapter(), send)
    assert [message for _, message in received] == [RAMP[:960], RAMP[960:1920], b"at once!", "and a text", RAMP[:960]]


async def test_hooks_are_sent_in_their_places(autojump_clock: MockClock) -> None:
    """Opening first, closing last; ends, keys and messages in order with the audio, an interruption ahead of it."""

    async def talk(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(RAMP[:960]))
        await adapter.end_turn()
        await adapter.send_dtmf("1#")
        await adapter.send_audio(AudioChunk(RAMP[:1920]))
        await adapter.send_message(b"queued")
        await adapter.interrupt()
        await adapter.send_message(b"urgent", urgent=True)

    received = [message for _, message in await messages_of(MemoryAdapter(Polite()), talk)]
    assert received[:2] == ["hello", "again"]
    assert received[-1] == "goodbye"
    audio = [RAMP[:960], RAMP[:960], RAMP[960:1920]]
    assert [message for message in received if isinstance(message, bytes) and len(message) > 10] == audio
    in_order = [message for message in received if message not in ("stop", b"urgent")]
    assert in_order[3:6] == ["over", "key 1", "key #"]
    assert in_order[-2] == b"queued"
    assert received.index("stop") < received.index(b"urgent") < received.index(b"queued")


async def test_leaving_flushes(autojump_clock: MockClock) -> None:
    """The end of the ``async with`` waits for what was queued, in pace, the last partial message included."""

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(bytes(48000) + b"\1\1"))

    received = await messages_of(MemoryAdapter(), send)
    assert len(received) == 51
    assert received[-1] == (1.0, b"\1\1" + bytes(958))


async def test_a_crash_does_not_flush(autojump_clock: MockClock) -> None:
    """An exception leaves at once, as itself."""

    async def crash() -> None:
        async with MemoryAdapter() as adapter:
            await adapter.send_audio(silent_chunk(10.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    assert trio.current_time() < 3.0


async def test_a_cancelled_body_leaves_in_bounded_time(autojump_clock: MockClock) -> None:
    """Also when the agent does not answer the goodbye."""
    adapter = MemoryAdapter()
    with trio.move_on_after(1.0):
        async with adapter:
            adapter.agent.unresponsive = True
            await adapter.send_audio(silent_chunk(60.0))
            await trio.sleep_forever()
    assert trio.current_time() < 5.0


async def test_a_continuous_line_never_falls_silent(autojump_clock: MockClock) -> None:
    """From the start, between turns and after them, a message leaves every 20 ms."""

    async def talk(adapter: MemoryAdapter) -> None:
        await trio.sleep(5.0)
        await adapter.send_audio(AudioChunk(b"\1\1" * 4800))
        await trio.sleep(5.0)

    received = await messages_of(MemoryAdapter(RawPCMProtocol(is_continuous=True)), talk)
    times = [at for at, _ in received]
    gaps = [round(late - early, 6) for early, late in pairwise(times)]
    assert times[-1] == pytest.approx(10.0, abs=0.05)
    assert max(gaps) <= 0.08
    assert len(received) == pytest.approx(500, abs=8)


async def test_a_line_that_is_not_continuous_is_silent(autojump_clock: MockClock) -> None:
    """Nothing is sent that nobody said."""
    received = await messages_of(MemoryAdapter(), 5.0, lambda a: a.send_audio(AudioChunk(RAMP[:960])), 5.0)
    assert [message for _, message in received] == [RAMP[:960]]


async def test_any_rate_is_converted(autojump_clock: MockClock) -> None:
    """Paced or at once, the protocol is given its own rate."""
    for paced in (True, False):

        async def send(adapter: MemoryAdapter, paced: bool = paced) -> None:
            await adapter.send_audio(silent_chunk(0.5, AudioFormat(48000, 2)), paced=paced)

        protocol = RawPCMProtocol(input_format=AudioFormat(8000))
        received = await messages_of(MemoryAdapter(protocol), send)
        assert sum(len(message) for _, message in received) == pytest.approx(8000, abs=320)


async def test_capabilities_are_asked_for(autojump_clock: MockClock) -> None:
    """What the protocol has no message for is an error that names it, and nothing is sent."""

    async def ask(adapter: MemoryAdapter) -> None:
        with pytest.raises(UnsupportedCapability, match="MemoryAdapter does not have the capability 'interruption'"):
            await adapter.interrupt()
        with pytest.raises(UnsupportedCapability, match="'dtmf'"):
            await adapter.send_dtmf("1")
        await adapter.end_turn()

    assert await messages_of(MemoryAdapter(), ask) == []


class Picky(Plain):
    def encode_audio(self, audio: bytes) -> bytes:
        if b"\7" in audio:
            raise ZeroDivisionError("not a seven")
        return audio


async def test_a_failing_encoding_is_raised_where_it_was_sent(autojump_clock: MockClock) -> None:
    """From send_audio itself; the conversation goes on."""

    async def send(adapter: MemoryAdapter) -> None:
        for paced in (True, False):
            with pytest.raises(ZeroDivisionError, match="not a seven"):
                await adapter.send_audio(AudioChunk(b"\7" * 960), paced=paced)
        await adapter.send_audio(AudioChunk(RAMP[960:1920].replace(b"\7", b"\0")))

    received = await messages_of(MemoryAdapter(Picky()), send)
    assert len(received) == 1


async def test_a_failing_encoding_of_queued_audio_is_heard(autojump_clock: MockClock) -> None:
    """When it had to wait for its time, it is raised by the next recv_audio, once."""

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(bytes(960) + b"\7" * 960 + bytes(960)))
        with pytest.raises(ZeroDivisionError, match="not a seven"):
            await adapter.recv_audio(timeout=1.0)
        with pytest.raises(TimeoutError):
            await adapter.recv_audio(timeout=1.0)

    received = await messages_of(MemoryAdapter(Picky()), send)
    assert [message for _, message in received] == [bytes(960)] * 2


async def test_a_failing_encoding_is_told_though_the_sender_gave_up(autojump_clock: MockClock) -> None:
    """Found while a send_audio waited that was then cancelled, it is raised by the next recv_audio."""
    adapter = MemoryAdapter(Picky(), params=WebsocketClientParams(audio_out_max_queue_secs=0.1))

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(bytes(960) + b"\7" * 960 + bytes(24000)))
        with trio.move_on_after(0.1):
            await adapter.send_audio(AudioChunk(bytes(960)))
        with pytest.raises(ZeroDivisionError, match="not a seven"):
            await adapter.recv_audio(timeout=0.0)

    await messages_of(adapter, send)


async def test_an_encoding_that_gives_no_message_is_an_error(autojump_clock: MockClock) -> None:
    """It says which hook, and what it should have given."""

    class Broken(Plain):
        def encode_audio(self, audio: bytes) -> bytes:
            return None  # type: ignore[return-value]

    async def send(adapter: MemoryAdapter) -> None:
        with pytest.raises(TypeError, match=r"Broken.encode_audio must return str, bytes, or a sequence"):
            await adapter.send_audio(AudioChunk(RAMP), paced=False)

    await messages_of(MemoryAdapter(Broken()), send)


async def test_an_opening_that_fails_is_raised_by_connecting(autojump_clock: MockClock) -> None:
    """As itself."""

    class Shy(Plain):
        def on_open(self) -> str:
            raise ZeroDivisionError("no words")

    with pytest.raises(ZeroDivisionError, match="no words"):
        async with MemoryAdapter(Shy()):
            pytest.fail("connected")


async def test_sending_needs_a_connection(autojump_clock: MockClock) -> None:
    """Before one, the error tells what to write; after one, how it ended."""
    adapter = MemoryAdapter()
    with pytest.raises(LocalProtocolError, match="MemoryAdapter is not connected: write `async with adapter:`"):
        await adapter.send_audio(AudioChunk(RAMP))
    async with adapter:
        during = adapter.is_connected, repr(adapter)
    assert during == (True, "<MemoryAdapter ws://agent.example by Plain, connected>")
    assert not adapter.is_connected
    with pytest.raises(AgentFinished, match="this side finished the conversation"):
        await adapter.send_audio(AudioChunk(RAMP))


async def test_a_jitter_buffer_is_refused() -> None:
    """An agent's audio comes in order and as fast as it likes: there is nothing that it could put right."""
    for _ in range(2):
        with pytest.raises(ValueError, match="audio_in_jitter_ms is not for an agent adapter"):
            MemoryAdapter(params=WebsocketClientParams(audio_in_jitter_ms=60))


async def test_only_chunks_are_sent(autojump_clock: MockClock) -> None:
    """Bytes have no rate."""
    async with MemoryAdapter() as adapter:
        with pytest.raises(TypeError, match="takes an AudioChunk, not bytes"):
            await adapter.send_audio(RAMP)  # type: ignore[arg-type]


async def test_nothing_is_sent_after_disconnect(autojump_clock: MockClock) -> None:
    """While the goodbye is being said, the error tells why; afterwards, that it is over."""
    async with trio.open_nursery() as nursery:
        adapter = MemoryAdapter()
        await nursery.start(adapter.run)
        await adapter.send_audio(silent_chunk(2.0))
        nursery.start_soon(adapter.disconnect)
        await trio.sleep(1.0)
        with pytest.raises(LocalProtocolError, match="disconnect"):
            await adapter.send_audio(AudioChunk(RAMP))
        with pytest.raises(LocalProtocolError, match="disconnect"):
            await adapter.drain()
    with pytest.raises(AgentFinished):
        await adapter.send_message("x")


async def test_a_protocol_chooses_its_pace(autojump_clock: MockClock) -> None:
    """One that wants 100 ms at a time is given that."""

    class Slow(Plain):
        @property
        def chunk_ms(self) -> int:
            return 100

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(bytes(14400)))

    received = await messages_of(MemoryAdapter(Slow()), send)
    assert [(at, len(message)) for at, message in received] == [(0.0, 4800), (0.1, 4800), (0.2, 4800)]


async def test_sending_waits_while_too_much_is_queued(autojump_clock: MockClock) -> None:
    """Cancelled then, it has sent nothing; several may wait."""
    params = WebsocketClientParams(audio_out_max_queue_secs=0.5)
    adapter = MemoryAdapter(params=params)

    async def send(adapter: MemoryAdapter) -> None:
        await adapter.send_audio(AudioChunk(b"\1\1" * 24000))
        with trio.move_on_after(0.1) as given_up:
            await adapter.send_audio(AudioChunk(b"\2\2" * 480))
        assert given_up.cancelled_caught
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(adapter.send_audio, AudioChunk(b"\3\3" * 480))

    received = await messages_of(adapter, send)
    assert [message[:1] for _, message in received] == [b"\1"] * 50 + [b"\3"] * 2
