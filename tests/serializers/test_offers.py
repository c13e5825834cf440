"""What a serializer offers beyond the two verbs is looked up once, not for every message."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trio_transports import TextFrame, WebsocketServerParams
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.protocol import Numbers, Replies, offers
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.testing import memory_session

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


def test_it_answers_as_isinstance_does() -> None:
    for _ in range(2):
        for value in (JSONFrameSerializer(), TwilioFrameSerializer(), DetectingFrameSerializer(), None, object()):
            for protocol in (Replies, Numbers):
                assert offers(value, protocol) is isinstance(value, protocol)
