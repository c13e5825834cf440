"""SIGTERM to the README's servers while twenty callers talk to each."""

import json
import signal
from base64 import b64encode
from pathlib import Path

import pytest
import trio

from tests.real.leaving.programs import running, snippet
from tests.real.leaving.test_signals import SETTINGS, call
from trio_transports import AudioFrame, TextFrame
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.wire.dialling import dial
from trio_transports.wire.direct import connect_wire

CALLERS = 20
PCM = b"\1\2" * 320
JSON_AUDIO = json.dumps({"type": "audio", "audio": b64encode(PCM).decode(), "sample_rate": 16000})
PROTOBUF = ProtobufFrameSerializer()
SAID: dict[str, tuple[str, str, list[str | bytes]]] = {
    "server": ("main", "/", [JSON_AUDIO]),
    "fastapi": ("main", "/ws", [JSON_AUDIO]),
    "pipeline": (
        "main",
        "/",
        [*PROTOBUF.encode(TextFrame(text="hello")), *PROTOBUF.encode(AudioFrame(audio=PCM, sample_rate=16000))],
    ),
    "serializer": ("main", "/", [PCM]),
    "proxy": ("serve", "/", []),
}


@pytest.mark.parametrize("name", SAID)
async def test_every_caller_reads_1001_and_the_program_exits_with_0(name: str, tmp_path: Path) -> None:
    """All of them, while they talk; and the program has ended when the last has heard it, or soon after."""
    main, where, messages = SAID[name]
    codes: list[int] = []
    talking = 0
    enough = trio.Event()

    async def talk(port: int) -> None:
        nonlocal talking
        address, path = call(port, where)
        stream = await dial(address, None)
        async with connect_wire(stream, url=address.url, host="localhost", resource=path, settings=SETTINGS) as wire:
            talking += 1
            if talking == CALLERS:
                enough.set()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def say() -> None:
                    while messages:
                        for message in messages:
                            try:
                                await wire.send(message)
                            except ConnectionClosed:
                                return
                        await trio.sleep(0.02)

                try:
                    while True:
                        await wire.receive()
                except ConnectionClosed as closed:
                    codes.append(closed.code)
                nursery.cancel_scope.cancel()

    async with running(snippet(name, tmp_path, main=main)) as program:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(CALLERS):
                    nursery.start_soon(talk, program.port)
                await enough.wait()
                await trio.sleep(1)
                program.signal(signal.SIGTERM)
        assert await program.ended() == 0
    assert codes == [1001] * CALLERS
