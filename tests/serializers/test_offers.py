"""What a serializer or a wire offers beyond what it must is asked without looking a protocol through each time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trio_transports import TextFrame, WebsocketServerParams
from trio_transports._offers import offers
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer, protocol
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.testing import memory_session
from trio_transports.vad import analyzer
from trio_transports.wire import protocol as wire_protocol
from trio_transports.wire.memory import memory_wire_pair

MESSAGES = 40


@contextmanager
def protocol_checks() -> Iterator[list[int]]:
    """Count the ``isinstance`` checks that look through a protocol's members."""
    count = [0]

    def see(frame: Any, event: str, _arg: object) -> None:  # noqa: ANN401
        if (
            event == "call"
            and frame.f_code.co_name == "__instancecheck__"
            and frame.f_code.co_filename.endswith("typing.py")
        ):
            count[0] += 1

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield count
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("serializer", [JSONFrameSerializer(), DetectingFrameSerializer()])
async def test_messages_both_ways_look_nothing_up(serializer: FrameSerializer) -> None:
    params = WebsocketServerParams(audio_enabled=True, serializer=serializer)
    async with memory_session(params) as (session, peer):
        hello = '{"type":"text","text":"hello"}'
        await peer.wire.send(hello)
        await session.input.receive()
        with protocol_checks() as count:
            for _ in range(MESSAGES):
                await peer.wire.send(hello)
                frame = await session.input.receive()
                assert isinstance(frame, TextFrame)
                await session.output.send(frame)
            await session.output.drain()
    assert count[0] < MESSAGES / 4


async def test_opening_and_closing_a_session_looks_nothing_up() -> None:
    params = WebsocketServerParams(audio_enabled=True, serializer=TwilioFrameSerializer())
    with protocol_checks() as count:
        async with memory_session(params) as (session, _peer):
            await session.aclose()
    assert count[0] == 0


PROTOCOLS = [
    value
    for module in (protocol, wire_protocol, analyzer)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__ and getattr(value, "_is_runtime_protocol", False)
]


class _OptsOut:
    """A method that is None is not there; a property that is None is."""

    replies = None
    chunk_ms = None


class _LearnsIt:
    """One of which a single object has a method of its own."""


def _that_has_learnt() -> _LearnsIt:
    one = _LearnsIt()
    one.replies = lambda: ()  # type: ignore[attr-defined]
    return one


@pytest.mark.parametrize("asked", PROTOCOLS, ids=lambda asked: asked.__name__)
async def test_it_answers_as_isinstance_does(asked: type) -> None:
    wire, _peer = memory_wire_pair()
    for value in (
        JSONFrameSerializer(),
        TwilioFrameSerializer(),
        DetectingFrameSerializer(),
        TwilioFrameSerializer,
        _OptsOut(),
        _LearnsIt(),
        _that_has_learnt(),
        wire,
        None,
        object(),
    ):
        assert offers(value, asked) is isinstance(value, asked), value
