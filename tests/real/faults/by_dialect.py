"""The near end of a call in any dialect: it says its words as that dialect's peers do, hears them back, and leaves."""

from math import inf
from random import Random
from typing import Final

import trio

from tests.real.faults.callers import CALLERS, TEXT_ONLY
from tests.real.faults.observer import Call, Witness, until
from tests.real.faults.places import SHORT, Place, parsed
from tests.real.faults.steps import WORD_S, Hearing, word
from trio_transports import (
    AudioFrame,
    Session,
    TextFrame,
    TransportError,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports.frames import MarkFrame
from trio_transports.wire.engines import ENGINES

GOOD_END: Final = (1000, "local")
WORDS: Final = 12


async def by_dialect(place: Place, port: int, call: Call, witness: Witness, random: Random) -> None:
    """Of all dialects, the one whose turn it is."""
    name = list(CALLERS)[call.turn % len(CALLERS)]
    call.kind = f"{name}, {call.kind}"
    params = WebsocketClientParams(serializer=CALLERS[name](), **SHORT)
    url = place.url(port, call.name)
    transport = WebsocketClientTransport(url, params, engine=random.choice(list(ENGINES)))
    events = transport.events()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(witness.follow, events)
        try:
            async with transport.session() as session:
                call.lost_by_dropping_s = inf if name in TEXT_ONLY else WORD_S
                await _talk(session, call, writes=name in TEXT_ONLY)
                call.said_goodbye = session.is_connected
        except (TransportError, OSError) as exc:
            call.explained.append(repr(exc))
    call.explained += [f"it ended as {end}" for ends in witness.ended.values() for end in ends if end != GOOD_END]


async def _talk(session: Session, call: Call, *, writes: bool) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, session, call)
        try:
            for number in range(WORDS):
                frame = TextFrame(text=f"{call.name}:{number}") if writes else word(number)
                await session.output.send(frame)
                call.sent.append(number)
            await session.output.drain()
        except TransportError as exc:
            call.explained.append(repr(exc))
        if not await until(
            lambda: len(call.back) >= WORDS or not session.is_connected, call.patience_s, call.starved_s
        ):
            call.left = True
        nursery.cancel_scope.cancel()
    counted = session.statistics()
    call.dropped_s += counted.audio_in_dropped_s + counted.audio_out_dropped_s


async def _listen(session: Session, call: Call) -> None:
    hearing = Hearing()
    async for frame in session.input:
        match frame:
            case AudioFrame():
                call.back += hearing.feed(frame)
            case TextFrame(text=text) if said := parsed(text):
                call.back.append(said[1])
            case MarkFrame():  # a phone tells what it has played; this one has, by then
                try:
                    await session.output.send(frame)
                except TransportError as exc:
                    call.explained.append(repr(exc))
            case _:
                pass
