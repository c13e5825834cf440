"""SIGTERM and Ctrl-C to the README's FastAPI program, and to apps whose handlers will not leave."""

import json
import signal
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.real.asgi.apps import until
from tests.real.leaving.programs import PATIENCE_S, running, snippet
from tests.real.leaving.test_signals import LATER_S, SAID, calling, read_to_the_end, say_and_signal, signals
from trio_transports.errors import ConnectionClosed


@signals
async def test_the_fastapi_program_flushes_says_goodbye_and_exits_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    """What was queued is heard to its end, then 1001; the process ends well."""
    async with running(snippet("fastapi", tmp_path)) as program:
        heard, closed = await say_and_signal(program, number, "/ws")
        assert heard.rstrip(b"\0") == SAID
        assert closed.code == 1001
        assert await program.ended() == 0


async def test_every_caller_under_load_hears_1001(tmp_path: Path) -> None:
    """Twenty callers in full flow: each hears the goodbye, and the process ends well."""
    codes: list[int] = []
    async with running(snippet("fastapi", tmp_path)) as program:
        talking = 0

        async def call_in() -> None:
            nonlocal talking
            async with calling(program.port, "/ws") as wire:
                said = {"type": "audio", "audio": b64encode(SAID[:640]).decode(), "sample_rate": 16000}

                async def talk() -> None:
                    with suppress(ConnectionClosed):
                        while True:
                            await wire.send(json.dumps(said))
                            await trio.sleep(0.02)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(talk)
                    await wire.receive()
                    talking += 1
                    codes.append((await read_to_the_end(wire))[1].code)
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call_in)
            with trio.fail_after(60):
                while talking < 20:  # noqa: ASYNC110 - it tells nobody of itself
                    await trio.sleep(0.05)
            program.signal(signal.SIGTERM)
        assert codes == [1001] * 20
        assert await program.ended() == 0


_SERVE = """
import logging
import trio
from hypercorn.config import Config
from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport
from trio_transports.hosting import serve_asgi
from trio_transports.serializers import JSONFrameSerializer
params = AsgiWebsocketParams(serializer=JSONFrameSerializer())
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await AsgiWebsocketTransport((scope, receive, send), params).serve(handler)
logging.basicConfig(level=logging.INFO)
config = Config.from_mapping(bind=["127.0.0.1:PORT"], graceful_timeout=0.5, errorlog="/dev/null")
trio.run(lambda: serve_asgi(app, config, signals=True, drain=DRAIN))
"""
STUCK = """
async def handler(session):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
""" + _SERVE.replace("DRAIN", "0")
PATIENT = """
async def handler(session):
    async for frame in session.input:
        pass
""" + _SERVE.replace("DRAIN", "600")


@signals
@pytest.mark.parametrize("code", [STUCK, PATIENT], ids=["a handler that never leaves", "a long drain"])
async def test_a_second_signal_ends_the_process_at_once(number: signal.Signals, code: str, tmp_path: Path) -> None:
    """While it waits for a handler, or for calls to finish, a second signal is the end."""
    log = tmp_path / "log"
    async with running(code, log=log) as program, calling(program.port, "/ws") as wire:
        program.signal(number)
        if code is STUCK:
            _, closed = await read_to_the_end(wire)
            assert closed.code == 1001
        await until(lambda: "the server leaves" in log.read_text("utf-8"), limit_s=PATIENCE_S)
        await trio.sleep(LATER_S)
        assert program.process.returncode is None
        program.signal(number)
        assert await program.ended() == -number
