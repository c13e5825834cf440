"""A voice server, a worker and a redis-server, each a process, with callers; Redis is killed and restarted midway."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.real.bus.programs import Program, running
from tests.real.bus.servers import RedisServer
from tests.real.bus.waiting import PATIENCE_S, until
from tests.tools import requires_module
from trio_transports import AudioFrame, Session, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.serializers import JSONFrameSerializer

requires_module("coredis", extra="redis")

PROCESSES = Path(__file__).with_name("processes.py")


@asynccontextmanager
async def voice_and_worker(server: RedisServer) -> AsyncIterator[tuple[Program, Program]]:
    await server.wait_until_it_answers()
    async with running(sys.executable, PROCESSES, "worker", server.url) as worker:
        await until(lambda: bool(worker.told("working")))
        async with running(sys.executable, PROCESSES, "voice", server.url) as voice:
            await until(lambda: bool(voice.told("listening")))
            yield voice, worker


async def hear_echo(session: Session, text: str, *, every_s: float = 0.1) -> int:
    """Say ``text`` until it comes back; returns how often that took."""
    with trio.fail_after(PATIENCE_S):
        said = 0
        while True:
            await session.output.send(TextFrame(text=text))
            said += 1
            with trio.move_on_after(every_s):
                async for frame in session.input:
                    if isinstance(frame, TextFrame) and frame.text == text:
                        return said


async def test_three_processes(durable_redis: RedisServer) -> None:
    """Callers are served over Redis; after its crash they are again, the gap is told, and no stored job is lost."""
    params = WebsocketClientParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    async with voice_and_worker(durable_redis) as (voice, worker):
        url = f"ws://127.0.0.1:{voice.told('listening')[0]['port']}"
        client = WebsocketClientTransport(url, params)
        async with client.session() as first, client.session() as second:
            for number, session in enumerate((first, second)):
                await hear_echo(session, f"hello {number}", every_s=2)
                await session.output.send(AudioFrame(audio=b"\1\2" * 1600, sample_rate=16000))
                async for frame in session.input:
                    if isinstance(frame, AudioFrame) and b"\1\2" in frame.audio:
                        break
            await until(lambda: len(voice.told("answer")) > 20)

            durable_redis.kill()
            await trio.sleep(0.3)  # callers go on talking to a server that has no bus
            for session in (first, second):
                await session.output.send(TextFrame(text="lost"))
            assert not voice.told("asked")
            await durable_redis.restart()

            for number, session in enumerate((first, second)):
                await hear_echo(session, f"again {number}")
        await until(lambda: bool(voice.told("gap")) and bool(worker.told("gap")))
        await until(lambda: bool(voice.told("asked")))
        count = voice.told("asked")[0]["count"]
        await until(lambda: len(voice.told("answer")) >= count)
        assert [answer["number"] for answer in voice.told("answer")] == list(range(count))
        assert any("the connection to Redis was lost" in gap["reason"] for gap in voice.told("gap"))
