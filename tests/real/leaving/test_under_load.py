"""SIGTERM to the README's servers while twenty callers talk to each."""

import json
import signal
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path

import pytest
import trio

from tests import readme
from tests.real.leaving.programs import running, snippet
from tests.real.leaving.test_signals import SETTINGS, call
from trio_transports import AudioFrame, TextFrame
from trio_transports.errors import ConnectionClosed
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.telephony import twilio_signature
from trio_transports.testing.phones import hang_up_api
from trio_transports.wire.dialling import dial
from trio_transports.wire.direct import connect_wire

pytestmark = pytest.mark.alone

CALLERS = 20
PCM = b"\1\2" * 320
JSON_AUDIO = json.dumps({"type": "audio", "audio": b64encode(PCM).decode(), "sample_rate": 16000})
PROTOBUF = ProtobufFrameSerializer()
SAID: dict[str, tuple[str, str, list[str | bytes]]] = {
    "first_server": ("main", "/", [JSON_AUDIO]),
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


def test_every_program_that_is_told_by_signals_is_here() -> None:
    """One that the README or a guide gains is put under load too."""
    told = {name for name, text in readme.snippets().items() if "signals=True" in text}
    assert told == {*SAID, "twilio"}


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


FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
TWILIO = """
import os
from functools import partial
os.environ.update(TWILIO_ACCOUNT_SID="AC42", TWILIO_AUTH_TOKEN="12345")
p.TwilioHangUp = partial(p.TwilioHangUp, base_url="PROVIDER")
"""


async def test_the_twilio_program_ends_every_call_that_it_has_begun(tmp_path: Path) -> None:
    """Twenty are being greeted: they hear it to its end, and then 1000, since their calls are over; each is hung up.

    Twenty more are connected, and their streams have not begun: they read 1001.
    """
    greeted: list[tuple[int, int]] = []
    waiting: list[int] = []
    connected = 0
    everybody, greeting = trio.Event(), trio.Event()

    async def be_called(port: int, *, has_begun: bool) -> None:
        nonlocal connected
        address, path = call(port)
        signed = [("X-Twilio-Signature", twilio_signature("12345", "wss://voice.example.com/"))]
        async with connect_wire(
            await dial(address, None), url=address.url, host="x", resource=path, settings=SETTINGS, headers=signed
        ) as wire:
            connected += 1
            if connected == 2 * CALLERS:
                everybody.set()
            if has_begun:
                await everybody.wait()
                start = {"streamSid": "MZ1", "callSid": "CA7", "accountSid": "AC42", "mediaFormat": FORMAT}
                await wire.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
            heard_bytes = 0
            try:
                while True:
                    message = json.loads(await wire.receive())
                    if message["event"] == "media":
                        heard_bytes += len(b64decode(message["media"]["payload"]))
                        greeting.set()
                    elif message["event"] == "mark":
                        await wire.send(json.dumps(message))
            except ConnectionClosed as closed:
                if has_begun:
                    greeted.append((heard_bytes, closed.code))
                else:
                    waiting.append(closed.code)

    async with hang_up_api() as provider:
        first = TWILIO.replace("PROVIDER", provider.url)
        async with running(snippet("twilio", tmp_path, first=first)) as program:
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    for number in range(2 * CALLERS):
                        nursery.start_soon(partial(be_called, program.port, has_begun=number < CALLERS))
                    await greeting.wait()
                    await trio.sleep(0.1)
                    program.signal(signal.SIGTERM)
            assert await program.ended() == 0
    assert waiting == [1001] * CALLERS
    assert greeted == [(4000, 1000)] * CALLERS
    assert [asked.body for asked in provider.requests] == [b"Status=completed"] * CALLERS
