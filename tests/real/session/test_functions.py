"""A pipeline of functions behind every way in: frames pass it where they are read, and come back in order."""

import socket
import struct
from collections import Counter
from math import inf

import pytest
import trio
import trio.testing

from tests.real.hosting import WAYS_IN, hosted
from trio_transports import Disconnected, Frame, Session, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.frames import AudioFrame
from trio_transports.pipeline import Pipeline, at_once
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.wire.rfc6455 import Opcode, encode_frame

CALLS, FRAMES = 2, 6


@pytest.fixture(autouse=True)
def _no_call_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what passes at once is counted here."""
    monkeypatch.setattr(at_once, "SLOW_S", inf)


class Echo:
    """Says back what it is told, and notes in which task."""

    def __init__(self) -> None:
        self.tasks: Counter[str] = Counter()
        self.pipeline = Pipeline([self._say_back])

    def _say_back(self, frame: Frame) -> Frame | None:
        self.tasks[trio.lowlevel.current_task().name.rpartition(" ")[2]] += 1
        return frame if isinstance(frame, TextFrame | AudioFrame) else None

    async def __call__(self, session: Session) -> None:
        await self.pipeline.run(session.input, session.output)


async def call(url: str, name: str) -> list[str]:
    """Say so many words, each once the one before has come back, and then all at once."""
    params = WebsocketClientParams(serializer=JSONFrameSerializer())
    said = [f"{name} {n}" for n in range(FRAMES)]
    heard: list[str] = []
    async with WebsocketClientTransport(url, params, engine="direct").session() as session:

        async def hear(count: int) -> None:
            while len(heard) < count:
                frame = await session.input.receive()
                if isinstance(frame, TextFrame):
                    heard.append(frame.text)

        for n, word in enumerate(said, 1):
            await session.output.send(TextFrame(text=word))
            await hear(n)
        for word in said:
            await session.output.send(TextFrame(text=word))
        await hear(2 * FRAMES)
    return heard


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_frames_pass_functions_where_they_are_read(way_in: str) -> None:
    """Of callers that wait for each answer, and of a burst some; all answers are in order."""
    echo, heard = Echo(), dict[str, list[str]]()

    async def one(url: str, name: str) -> None:
        heard[name] = await call(url, name)

    with trio.fail_after(200):
        async with hosted(way_in, echo, serializer=JSONFrameSerializer()) as host:
            for turn in range(2):
                async with trio.open_nursery() as nursery:
                    for caller in range(CALLS):
                        nursery.start_soon(one, host.url, f"{turn}/{caller}")
            await host.until(Disconnected, 2 * CALLS)
    for name, words in heard.items():
        assert words == 2 * [f"{name} {n}" for n in range(FRAMES)]
    assert echo.tasks.total() == 2 * CALLS * 2 * FRAMES
    assert echo.tasks.total() - echo.tasks["input"] >= 2 * CALLS, "some frames of every call"


def reset(stream: trio.SocketStream) -> None:
    """Vanish with a reset: the next write there fails."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_caller_that_resets_its_connection_amid_an_echo_is_told_once(way_in: str) -> None:
    """What is answered where it is read may find the connection lost; the session ends as it does otherwise."""
    (word,) = JSONFrameSerializer().encode(TextFrame(text="word" * 50))
    assert isinstance(word, str)
    burst = encode_frame(Opcode.TEXT, word.encode(), masked=True) * 30
    echo = Echo()
    with trio.fail_after(200):
        async with hosted(way_in, echo, serializer=JSONFrameSerializer()) as host:
            where, _, path = host.url.removeprefix("ws://").partition("/")
            name, _, port = where.partition(":")
            for turn in range(1, 3):
                stream = await trio.open_tcp_stream(name, int(port))
                await stream.send_all(REQUEST.format(path=f"/{path}", host=where).encode())
                assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 101")
                await stream.send_all(burst)
                await stream.receive_some(10)
                reset(stream)
                await host.until(Disconnected, turn)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(host.ends) == 2
            assert {end.code for end in host.ends} == {1006}
            assert await call(host.url, "after") == 2 * [f"after {n}" for n in range(FRAMES)]
