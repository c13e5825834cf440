"""A session whose picture is in a thread that takes long: it ends in its time, and the thread after it."""

from collections.abc import Awaitable, Callable
from threading import Event as ThreadEvent

import pytest
import trio

from tests.session.helpers import params
from trio_transports import ImageFrame, TransportParams
from trio_transports.session.eye import Eye
from trio_transports.session.screens import Screen
from trio_transports.session.session import Session
from trio_transports.session.workers import Workers
from trio_transports.testing import ScriptedPeer, memory_session

PICTURE = ImageFrame(image=bytes(12), size=(2, 2))
SEES = params(video_in_enabled=True, video_in_color_format="GRAY")
SHOWS = params(video_out_enabled=True, video_out_width=4, video_out_height=4, close_timeout=0.1, drain_timeout=0.1)


async def _see(_session: Session, peer: ScriptedPeer) -> None:
    await peer.send(PICTURE)


async def _show(session: Session, _peer: ScriptedPeer) -> None:
    await session.output.send(PICTURE)


@pytest.mark.parametrize(
    ("where", "work", "settings", "begin"),
    [(Eye, "_decoded", SEES, _see), (Screen, "prepare", SHOWS, _show)],
    ids=["seen", "shown"],
)
async def test_a_session_does_not_wait_for_its_thread(
    where: type[object],
    work: str,
    settings: TransportParams,
    begin: Callable[[Session, ScriptedPeer], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its block is left while the thread still works, which counts as busy until it has done."""
    begun, gate, done = ThreadEvent(), ThreadEvent(), ThreadEvent()
    workers = Workers(trio.CapacityLimiter(1))
    monkeypatch.setattr("trio_transports.session.workers.Workers", lambda: workers)

    def slow(_self: object, image: ImageFrame) -> ImageFrame:
        begun.set()
        gate.wait(20)
        done.set()
        return image

    monkeypatch.setattr(where, work, slow)
    async with memory_session(settings) as (session, peer):
        await begin(session, peer)
        await trio.to_thread.run_sync(begun.wait)
    assert not done.is_set()
    assert workers.limiter.borrowed_tokens == 1
    gate.set()
    async with workers.limiter:
        assert done.is_set()
