"""SIGTERM to every program of the README and the guides that serves, while twenty callers talk to each."""

import json
import signal
from base64 import b64decode
from functools import partial
from pathlib import Path
from typing import Final, final

import pytest
import trio
from attrs import define, field

from tests import readme
from tests.real.leaving.loads import COMMANDS, LOADS, TWILIO_START, Load
from tests.real.leaving.programs import running, snippet
from tests.real.leaving.test_signals import SETTINGS, call
from trio_transports.errors import ConnectionClosed
from trio_transports.telephony import twilio_signature
from trio_transports.testing.phones import hang_up_api
from trio_transports.wire import Wire
from trio_transports.wire.dialling import dial
from trio_transports.wire.direct import connect_wire

CALLERS: Final = 20
MESSAGES: Final = 20
"""What each has said at least, and heard where it is answered, before the signal."""
GOODBYE_S: Final = 3.0
"""How long the ends of calls may take: ``close_timeout`` is 2 s by default, hypercorn's ``graceful_timeout`` 3 s."""
LATE_S: Final = 3.0
"""A process ends by so much later; or by what it took to begin, on a machine that is busy with other things."""


def test_every_program_that_is_told_by_signals_is_here() -> None:
    """One that the README or a guide gains is put under load too."""
    told = {name for name, text in readme.snippets().items() if "signals=True" in text}
    for guide in readme.GUIDES:
        blocks = enumerate(readme.unmarked(guide), 1)
        told |= {f"{guide.stem} {number}" for number, text in blocks if "signals=True" in text}
    assert told | COMMANDS == {*LOADS, "twilio"}


@final
@define(eq=False)
class Caller:
    said: int = field(default=0, init=False)
    heard: int = field(default=0, init=False)
    code: int | None = field(default=None, init=False)
    ended_s: float = field(default=0.0, init=False)

    async def talk(self, load: Load, port: int) -> None:
        address, path = call(port, load.path)
        stream = await dial(address, None)
        async with (
            connect_wire(stream, url=address.url, host="localhost", resource=path, settings=SETTINGS) as wire,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._say, wire, load)
            try:
                while True:
                    await wire.receive()
                    self.heard += 1
            except ConnectionClosed as closed:
                self.code, self.ended_s = closed.code, trio.current_time()
            nursery.cancel_scope.cancel()

    async def _say(self, wire: Wire, load: Load) -> None:
        try:
            for message in load.begins:
                await wire.send(message)
            while True:
                for said in load.says:
                    await wire.send(said)
                self.said += 1
                await trio.sleep(0.02)
        except ConnectionClosed:
            return


@pytest.mark.parametrize("name", LOADS)
async def test_every_caller_reads_1001_in_time_and_the_program_exits_with_0(name: str, tmp_path: Path) -> None:
    """All of them, in full flow: none before the time to finish is over, and the program has ended soon after it."""
    load = LOADS[name]
    callers = [Caller() for _ in range(CALLERS)]
    began_s = trio.current_time()
    async with running(load.code(tmp_path)) as program:
        late_s = max(LATE_S, trio.current_time() - began_s)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for caller in callers:
                    nursery.start_soon(caller.talk, load, program.port)
                while min(caller.heard if load.is_answered else caller.said for caller in callers) < MESSAGES:  # noqa: ASYNC110 - they tell nobody
                    await trio.sleep(0.05)
                before_s = trio.current_time()
                program.signal(signal.SIGTERM)
                told_s = trio.current_time()
        assert await program.ended() == 0
        took_s = trio.current_time() - told_s
    assert [caller.code for caller in callers] == [1001] * CALLERS
    assert min(caller.ended_s for caller in callers) >= before_s + load.drain_s
    assert took_s <= load.drain_s + GOODBYE_S + late_s


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
    connected = begun = 0
    everybody, greeting = trio.Event(), trio.Event()

    async def be_called(port: int, *, has_begun: bool) -> None:
        nonlocal connected, begun
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
                await wire.send(TWILIO_START)
            heard_bytes = 0
            try:
                while True:
                    message = json.loads(await wire.receive())
                    if message["event"] == "media":
                        begun += not heard_bytes
                        heard_bytes += len(b64decode(message["media"]["payload"]))
                        if begun == CALLERS:
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
                    program.signal(signal.SIGTERM)
            assert await program.ended() == 0
    assert waiting == [1001] * CALLERS
    assert greeted == [(4000, 1000)] * CALLERS
    assert [asked.body for asked in provider.requests] == [b"Status=completed"] * CALLERS
