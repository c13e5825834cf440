"""How a conversation with an agent ends, and what both sides then know: the four outcomes."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.agent.memory import URL, MemoryAdapter, Wordy, all_messages
from trio_transports.agent import (
    AgentConnectionLost,
    AgentFinished,
    AgentSilent,
    AudioChunk,
    silent_chunk,
)
from trio_transports.errors import ConnectionClosed
from trio_transports.params import WebsocketClientParams


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


async def test_a_loop_over_a_lost_connection_raises(autojump_clock: MockClock) -> None:
    """It must not look like an end."""
    async with MemoryAdapter() as adapter:
        adapter.agent.abort()
        with pytest.raises(AgentConnectionLost):
            [chunk async for chunk in adapter.chunks()]


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
