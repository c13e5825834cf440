"""What waits unread is bounded, and gone when nobody can read it any more."""

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import audio, params
from trio_transports import AudioFrame, Disconnected, Session, TextFrame
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.testing import ScriptedPeer, memory_session

LENGTH = 6014
"""Bytes of the audio of these tests, by which it is told from all other."""


def alive() -> int:
    """How many of these tests' frames are alive."""
    gc.collect()
    return sum(
        len(frame.audio) == LENGTH if isinstance(frame, AudioFrame) else len(frame.text) == LENGTH
        for frame in gc.get_objects()
        if isinstance(frame, AudioFrame | TextFrame)
    )


async def returns(_session: Session, peer: ScriptedPeer) -> None:
    await trio.testing.wait_all_tasks_blocked()


async def sees_the_peer_close(_session: Session, peer: ScriptedPeer) -> None:
    await peer.close()
    await trio.testing.wait_all_tasks_blocked()


async def loses_the_peer(_session: Session, peer: ScriptedPeer) -> None:
    peer.drop()
    await trio.testing.wait_all_tasks_blocked()


async def raises(_session: Session, _peer: ScriptedPeer) -> None:
    await trio.testing.wait_all_tasks_blocked()
    raise KeyError("a bug in a handler")


async def closes(session: Session, _peer: ScriptedPeer) -> None:
    await session.aclose()


@pytest.mark.parametrize("ends", [returns, sees_the_peer_close, loses_the_peer, raises, closes])
async def test_events_that_are_kept_keep_no_frames(
    ends: Callable[[Session, ScriptedPeer], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """However a session ends, and three times: whoever keeps its Disconnected keeps nothing that was left unread."""
    hub: Broadcast[Event] = Broadcast()
    kept: list[Event] = []

    async def call() -> None:
        async with memory_session(params(), events=hub) as (session, peer):
            for _ in range(10):
                await peer.wire.send(JSONFrameSerializer().encode(audio(LENGTH))[0])
                await peer.wire.send(JSONFrameSerializer().encode(TextFrame(text="x" * LENGTH))[0])
            await trio.testing.wait_all_tasks_blocked()
            assert alive() == 20
            await ends(session, peer)

    with hub.activity():
        subscription = hub.subscribe()
        for _ in range(3):
            with suppress(KeyError):
                await call()
            with trio.move_on_after(0.1):
                while True:
                    kept.append(await subscription.receive())
    assert sum(isinstance(event, Disconnected) for event in kept) == 3
    assert alive() == 0
