"""A handler that is cut off by the end of its connection: no failure, also where several of its tasks are."""

import logging
from typing import Any, Literal, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import seconds
from tests.wire.asgi_server import Server
from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    Session,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import ScriptedPeer, memory_wire_pair
from trio_transports.wire.accepting.leaving import Leaving

Gone: TypeAlias = Literal["continue", "cancel"]

SETTINGS: dict[str, Any] = {"serializer": JSONFrameSerializer(), "audio_out_enabled": True, "ping_interval": None}
GONE = pytest.mark.parametrize("on_peer_gone", ["continue", "cancel"])


async def speaks_in_a_task(session: Session) -> None:
    """One task sends until it cannot, others have other things to do."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(speaks_for_ever, session)
        await trio.sleep_forever()


async def speaks_for_ever(session: Session) -> None:
    while True:
        await session.output.send(seconds(1))


async def fails_at_the_end(session: Session) -> None:
    """As well, it fails."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speaks_for_ever, session)
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("mine")


@GONE
@pytest.mark.parametrize("fails", [False, True])
async def test_a_servers_handler_is_cut_off(
    on_peer_gone: Gone, fails: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged of it, but of what else has failed."""
    transport = WebsocketServerTransport(WebsocketServerParams(**SETTINGS, on_peer_gone=on_peer_gone))
    near, far = memory_wire_pair()
    peer = ScriptedPeer(far)
    with caplog.at_level(logging.WARNING):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.run)
            handler = fails_at_the_end if fails else speaks_in_a_task
            nursery.start_soon(transport._serve_session, handler, Leaving(), near)
            await trio.sleep(1)
            await peer.close()
    assert len(caplog.records) == fails
    assert ("mine" in caplog.text) is fails


@GONE
@pytest.mark.parametrize("fails", [False, True])
async def test_an_apps_handler_is_cut_off(on_peer_gone: Gone, fails: bool, autojump_clock: MockClock) -> None:
    """Nothing is raised of it, but what else has failed."""
    server = Server()
    params = AsgiWebsocketParams(**SETTINGS, on_peer_gone=on_peer_gone)
    transport = AsgiWebsocketTransport((server.scope, server.receive, server.send), params)
    raised: list[BaseException] = []

    async def serve() -> None:
        try:
            await transport.serve(fails_at_the_end if fails else speaks_in_a_task)
        except Exception as exc:
            raised.append(exc)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await trio.sleep(1)
        server.disconnect(1000)
    assert len(raised) == fails
    if fails:
        assert isinstance(raised[0], ExceptionGroup)
        assert raised[0].subgroup(ValueError) is not None
