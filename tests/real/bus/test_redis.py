"""The bus over a real redis-server, which is killed and restarted midway."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from tests.ports import free_port
from tests.real.bus.servers import RedisServer
from tests.real.bus.waiting import PATIENCE_S, QUICK, data, take, until
from tests.tools import requires_module
from trio_transports.bus import (
    BinaryMessageSerializer,
    BusCancelMessage,
    BusDataMessage,
    BusFrameMessage,
    BusGapMessage,
    BusJobRequestMessage,
    BusMessage,
    BusWorkerLocalErrorMessage,
    JobError,
    JobRequest,
    JSONMessageSerializer,
    Payload,
    Worker,
    WorkerRunner,
    job,
)
from trio_transports.errors import LocalProtocolError, TransportError
from trio_transports.frames import AudioFrame, TextFrame

requires_module("coredis", extra="redis")

from trio_transports.bus.redis import RedisBus  # noqa: E402
from trio_transports.bus.redis.connection import RedisServer as Server  # noqa: E402
from trio_transports.bus.redis.connection import open_connection  # noqa: E402


@asynccontextmanager
async def buses(server: RedisServer, count: int, **options: Any) -> AsyncIterator[list[RedisBus]]:  # noqa: ANN401
    """Several processes' buses, here in one."""
    await server.wait_until_it_answers()
    async with AsyncExitStack() as stack:
        made = [RedisBus(server.url, reconnect=QUICK, reply_timeout=30, **options) for _ in range(count)]
        for bus in made:
            await stack.enter_async_context(bus.running())
        yield made


async def test_messages_reach_every_process_once_and_in_order(redis_server: RedisServer) -> None:
    """Each bus, the sender's own too, gives each message of a sender to its subscribers once, in order."""
    async with buses(redis_server, 3) as (first, second, third):
        readers = [bus.subscribe("reader") for bus in (first, second, third)]
        for number in range(200):
            await first.send(data(number))
            await second.send(data(number, "t"))
        for reader in readers:
            messages = await take(reader, 400)
            for source in ("s", "t"):
                assert [m.id for m in messages if m.source == source] == list(range(200))
        await third.send(BusFrameMessage(source="s", frame=TextFrame(text="x")))
        for reader in readers:
            assert await take(reader, 1) == [BusFrameMessage(source="s", frame=TextFrame(text="x"))]
        assert first.statistics().missed == 0
        assert first.statistics().duplicates == 0
        assert [bus.statistics().received for bus in (first, second, third)] == [201, 201, 400]
        assert [bus.statistics().refused for bus in (first, second, third)] == [0, 0, 0]


async def test_audio_may_go_in_binary(redis_server: RedisServer) -> None:
    """With the binary serializer on both sides audio crosses Redis as PCM."""
    message = BusFrameMessage(source="s", frame=AudioFrame(audio=bytes(range(200)), sample_rate=16000), role="input")
    async with buses(redis_server, 2, serializer=BinaryMessageSerializer()) as (first, second):
        reader = second.subscribe("reader")
        await first.send(message)
        assert await take(reader, 1) == [message]


async def test_local_messages_stay_in_the_process(redis_server: RedisServer) -> None:
    """A local-only message reaches the subscribers of its own bus and no other."""
    async with buses(redis_server, 2) as (first, second):
        here, there = first.subscribe("here"), second.subscribe("there")
        await first.send(BusWorkerLocalErrorMessage(source="s", error="e"))
        await first.send(data(1))
        assert len(await take(here, 2)) == 2
        assert await take(there, 1) == [data(1)]


async def test_what_is_on_the_channel_is_pipecats_json(redis_server: RedisServer) -> None:
    """A message is published as Pipecat publishes it, and what others publish without a number is read."""
    async with buses(redis_server, 2, channel="app") as (first, second):
        reader = second.subscribe("reader")
        async with await trio.open_tcp_stream("127.0.0.1", redis_server.port) as raw:
            await raw.send_all(b"SUBSCRIBE app\r\n")
            await raw.receive_some(1000)
            await first.send(data(7))
            pushed = await raw.receive_some(1000)
        document = json.loads(pushed[pushed.index(b"{") : pushed.rindex(b"}") + 1])
        assert document["__type__"] == "pipecat.bus.messages.BusDataMessage"
        assert document["__data__"] == {"source": "s", "id": 7}
        assert await take(reader, 1) == [data(7)]
        await publish(redis_server, "app", JSONMessageSerializer().encode(data(8)))
        assert await take(reader, 1) == [data(8)]


async def publish(server: RedisServer, channel: str, *messages: bytes) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as raw:
        for message in messages:
            name = channel.encode()
            await raw.send_all(
                b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(name), name, len(message), message)
            )
            await raw.receive_some(100)


async def test_hostile_messages_are_counted_and_the_bus_lives(redis_server: RedisServer) -> None:
    """What cannot be read is counted, and the next message is delivered."""
    hostile = [
        b"",
        b"\xff",
        b"\x01",
        b"\x02" * 17,
        b"{" * 5000,
        b'{"__type__":"os.system","__data__":{}}',
        bytes(2_000_000),
    ]
    hostile += [b'{"__seq__":["0123456789abcdef",1],"__type__":"os.system","__data__":{}}']
    async with buses(redis_server, 2) as (first, second):
        reader = second.subscribe("reader")
        await publish(redis_server, "pipecat:bus", *hostile)
        await first.send(data(1))
        assert await take(reader, 1) == [data(1)]
        assert (second.statistics().malformed, second.statistics().unknown) == (len(hostile) - 2, 2)


async def test_a_server_that_comes_back_is_used_again_and_the_gap_is_told(redis_server: RedisServer) -> None:
    """After a crash and restart of Redis messages flow again, in order, and what is missing is told by its number."""
    async with buses(redis_server, 2) as (first, second):
        reader = second.subscribe("reader")
        await first.send(data(0))
        assert await take(reader, 1) == [data(0)]
        redis_server.kill()
        await until(lambda: second.statistics().connections_lost > 0)
        here = first.subscribe("here")
        for number in range(1, 11):
            await first.send(data(number))
        assert await take(here, 10) == [data(number) for number in range(1, 11)]
        await redis_server.restart()
        got: list[BusMessage] = []
        number = 11
        while not any(isinstance(m, BusDataMessage) and m.id > 10 for m in got):
            await first.send(data(number))
            number += 1
            with trio.move_on_after(0.05):
                while True:
                    got.append(await reader.receive())
        gaps = [m for m in got if isinstance(m, BusGapMessage)]
        numbers = [m.id for m in got if not isinstance(m, BusGapMessage)]
        assert gaps[0].missed is None
        assert "the connection to Redis was lost" in gaps[0].reason
        assert numbers == sorted(set(numbers))
        told = sum(gap.missed or 0 for gap in gaps)
        first_after = next(n for n in numbers if n > 0)
        assert told == first_after - 1
        assert second.statistics().missed == told


async def test_what_waits_for_a_server_is_bounded(redis_server: RedisServer) -> None:
    """While Redis is gone the newest messages are kept, system messages all, and readers are told what was dropped."""
    async with buses(redis_server, 2, outbox_messages=50) as (first, second):
        reader = second.subscribe("reader", data_buffer=5000)
        await first.send(data(0))
        assert await take(reader, 1) == [data(0)]
        redis_server.kill()
        with trio.fail_after(PATIENCE_S):
            while min(bus.statistics().connections_lost for bus in (first, second)) == 0:
                await first.send(data(1))
                await trio.sleep(0.01)
        for number in range(1000):
            await first.send(data(number))
        assert first.statistics().waiting <= 50
        assert (dropped := first.statistics().dropped) >= 900
        await redis_server.restart()

        async def go_on() -> None:
            while True:
                await first.send(data(2))
                await trio.sleep(0.02)

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(go_on)
                gaps: list[int | None] = []
                while len(gaps) < 2:
                    message = await reader.receive()
                    if isinstance(message, BusGapMessage):
                        gaps.append(message.missed)
                nursery.cancel_scope.cancel()
        assert gaps[0] is None
        assert gaps[1] is not None
        assert gaps[1] >= dropped


async def test_old_audio_is_not_sent_after_an_outage(redis_server: RedisServer) -> None:
    """Audio that waited for more than a second while Redis was gone is dropped; other messages are sent."""
    audio = BusFrameMessage(source="s", frame=AudioFrame(audio=bytes(640), sample_rate=16000))
    async with buses(redis_server, 1) as (first,):
        redis_server.kill()
        with trio.fail_after(PATIENCE_S):
            while first.statistics().connections_lost < 2:
                await first.send(data(0))
                await trio.sleep(0.01)
        await first.send(audio)
        await first.send(data(1))
        await trio.sleep(1.1)
        dropped = first.statistics().dropped
        await redis_server.restart()
        await until(lambda: first.statistics().waiting == 0)
        assert first.statistics().dropped == dropped + 1


async def test_no_server_is_an_error_at_once() -> None:
    """A bus whose server is not there raises within ``connect_timeout``, says where, and hides the password."""
    port = free_port()
    bus = RedisBus(f"redis://:secret@127.0.0.1:{port}", connect_timeout=0.3, reconnect=QUICK)
    with pytest.raises(TransportError, match=rf"no connection to redis://127\.0\.0\.1:{port} within") as info:
        async with bus.running():
            pass
    assert "secret" not in str(info.value) + repr(bus)


async def test_a_wrong_password_is_an_error_at_once(redis_server: RedisServer) -> None:
    """A server that refuses the login is told as that, not as a timeout."""
    redis_server.kill()
    redis_server.start("--requirepass", "right")
    await redis_server.wait_until_it_answers()
    with pytest.raises(TransportError, match="refuses"):
        async with RedisBus(redis_server.url, reconnect=QUICK).running():
            pass
    async with RedisBus(redis_server.url.replace("redis://", "redis://:right@"), reconnect=QUICK).running():
        pass


async def test_sending_needs_a_running_bus(redis_server: RedisServer) -> None:
    """Before ``running`` and after it a send is an error; a second ``running`` is one too."""
    await redis_server.wait_until_it_answers()
    bus = RedisBus(redis_server.url)
    with pytest.raises(LocalProtocolError, match=r"enter running\(\) before sending"):
        await bus.send(data(1))
    reader = bus.subscribe("reader")
    async with bus.running():
        await bus.send(data(2))
    assert [message async for message in reader] == [data(2)]
    with pytest.raises(LocalProtocolError, match="runs once"):
        async with bus.running():
            pass


async def test_what_was_sent_last_is_written_before_the_end(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving ``running`` writes what still waits."""
    monkeypatch.setattr("trio_transports.bus.redis.bus.FLUSH_S", 30.0)  # Redis, too, may have no core for a while
    async with buses(redis_server, 1) as (second,):
        reader = second.subscribe("reader")
        first = RedisBus(redis_server.url)
        async with first.running():
            for number in range(500):
                await first.send(data(number))
        assert await take(reader, 500) == [data(number) for number in range(500)]


async def test_two_runners_work_together(redis_server: RedisServer) -> None:
    """Workers on runners in two processes know each other and answer each other over Redis; an end reaches both."""

    class Echo(Worker):
        async def on_bus_message(self, message: BusMessage) -> None:
            if isinstance(message, BusJobRequestMessage):
                await self.send(BusDataMessage(source=self.name, target=message.source, id=message.id))

    class Asks(Worker):
        answers: list[int]

        async def main(self) -> None:
            self.answers = []
            await until(lambda: "echo" in self.registry)
            for number in range(1, 6):
                await self.send(BusJobRequestMessage(source=self.name, target="echo", job_id="j", id=number))
            await trio.sleep_forever()

        async def on_bus_message(self, message: BusMessage) -> None:
            if message.target == self.name and type(message) is BusDataMessage:
                self.answers.append(message.id)
                if len(self.answers) == 5:
                    await self.send(BusCancelMessage(source=self.name))

    await redis_server.wait_until_it_answers()
    asks = Asks("asks")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            first = WorkerRunner("first", bus=RedisBus(redis_server.url))
            second = WorkerRunner("second", bus=RedisBus(redis_server.url))
            nursery.start_soon(first.run, asks)
            nursery.start_soon(second.run, Echo("echo"))
    assert asks.answers == [1, 2, 3, 4, 5]


async def test_a_sender_in_a_hurry_is_slowed_not_robbed(redis_server: RedisServer) -> None:
    """While there is a server a burst of messages waits for it: none is dropped, and all arrive."""
    async with buses(redis_server, 2, outbox_messages=100) as (first, second):
        reader = second.subscribe("reader", data_buffer=5000)
        async with trio.open_nursery() as nursery:
            for source in range(4):

                async def send(source: int = source) -> None:
                    for number in range(1000):
                        await first.send(data(number, str(source)))

                nursery.start_soon(send)
        messages = await take(reader, 4000)
        for source in range(4):
            assert [m.id for m in messages if m.source == str(source)] == list(range(1000))
        assert first.statistics().dropped == 0


FLOOD = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as server:
    one = b"*3\\r\\n$7\\r\\nPUBLISH\\r\\n$5\\r\\nflood\\r\\n$100\\r\\n" + bytes(100) + b"\\r\\n"
    for _ in range(int(sys.argv[2]) // 1000):
        server.sendall(one * 1000)
    server.shutdown(socket.SHUT_WR)
    while server.recv(65536):
        pass
"""


async def test_a_flood_stays_in_the_socket(redis_server: RedisServer) -> None:
    """What coredis has read and the bus has not taken is bounded by what two reads of the socket bring."""
    await redis_server.wait_until_it_answers()
    address = Server(url=redis_server.url, connect_timeout=30, reply_timeout=30, policy=QUICK)
    total, waiting = 50_000, []
    subscribed, done = trio.Event(), trio.Event()

    def handle(push: list[Any]) -> None:
        if push[0] == b"subscribe":
            subscribed.set()
            return
        waiting.append(connection._connection._push_message_buffer_in.statistics().current_buffer_used)
        if len(waiting) == total:
            done.set()

    with trio.fail_after(60):
        async with open_connection(address) as connection, trio.open_nursery() as nursery:
            connection.send(b"SUBSCRIBE", "flood")
            nursery.start_soon(connection.pushes, handle)
            await subscribed.wait()
            await trio.run_process([sys.executable, "-c", FLOOD, str(redis_server.port), str(total)])
            await done.wait()
            nursery.cancel_scope.cancel()
    assert max(waiting) < 2500  # without a bound all but the first few would wait here


async def test_what_a_job_cannot_say_ends_no_worker(redis_server: RedisServer) -> None:
    """An answer or a reason that cannot be written fails its job at once, and the next one is done, each time."""

    class Unwritable(Worker):
        @job("answers")
        async def answers(self, request: JobRequest) -> Payload:
            return {"x": object()}

        @job("refuses")
        async def refuses(self, request: JobRequest) -> None:
            raise JobError("no", response={"x": object()})

        @job("explains")
        async def explains(self, request: JobRequest) -> None:
            raise ValueError("no" * 1_000_000)

        @job("fine")
        async def fine(self, request: JobRequest) -> None: ...

    await redis_server.wait_until_it_answers()
    asks = Worker("asks")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            runner = WorkerRunner("first", bus=RedisBus(redis_server.url))
            await nursery.start(runner.run, asks, Unwritable("unwritable"))
            for _ in range(2):
                for name, why in (
                    ("answers", "cannot be written"),
                    ("refuses", "cannot be written"),
                    ("explains", "nono"),
                ):
                    with pytest.raises(JobError, match=why) as info:
                        await asks.job("unwritable", name, timeout=30)
                    assert info.value.status == "error"
                assert await asks.job("unwritable", "fine", timeout=30) == {}
            runner.cancel()
