"""The stream that is owned under an engine: whose it is, and what it says of the one beneath."""

import ssl
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tests.wire.lines import ADDRESS, Line, lines
from trio_transports.wire.accepting.handed import _EngineSide
from trio_transports.wire.incoming import Incoming
from trio_transports.wire.short_way import ShortWay
from trio_transports.wire.stream import OwnedStream, first_word, is_secured, peer_address, raw_socket


def secured(near: Line, far: Line) -> tuple[Any, Any]:
    """TLS on both, its handshake still to come."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return (
        trio.SSLStream(near.tcp, client, server_hostname="localhost", https_compatible=True),
        trio.SSLStream(far.tcp, server, server_side=True, https_compatible=True),
    )


async def test_tls_is_secured_after_its_handshake() -> None:
    """And what is not TLS needs none. Either has the socket underneath."""
    near, far = lines()
    line: Any = near
    assert is_secured(line) is True
    assert raw_socket(line) is line
    client, server = secured(near, far)
    assert [is_secured(each) for each in (client, server)] == [False, False]
    assert raw_socket(client) is line
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    assert [is_secured(each) for each in (client, server)] == [True, True]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (ADDRESS, ADDRESS),
        (("2001:db8::1", 5, 0, 0), ("2001:db8::1", 5)),
        ("", ("", None)),
        (OSError("not connected"), ("", None)),
    ],
)
def test_who_is_at_the_other_end(name: object, address: tuple[str, int | None]) -> None:
    """Nobody who has a name, on a Unix socket, or once that end has gone."""
    near, _ = lines()
    near.name = name
    assert peer_address(near.tcp) == address


@pytest.mark.parametrize("is_owned", [False, True])
async def test_the_first_word_of_a_socket_that_was_closed(is_owned: bool) -> None:
    """It never comes, and that is told as this side's own doing."""
    near, _ = lines()
    near.number = -1
    with pytest.raises(trio.ClosedResourceError, match="closed by this side"):
        await (OwnedStream(near.tcp).first_word() if is_owned else first_word(near.tcp))


async def test_what_is_asked_of_a_stream_is_asked_of_the_one_beneath() -> None:
    """Whichever stands on top, also whether a write might not block."""
    near, far = lines()
    owned = OwnedStream(near.tcp)
    owned.opened()
    for turn, stream in enumerate((owned, _EngineSide(owned), ShortWay(owned, Incoming(100, bytearray()))), 1):
        await stream.wait_send_all_might_not_block()
        assert near.might_not_block == turn
        await stream.send_all(b"said")
        assert await far.receive_some() == b"said"
    assert not near.is_closed


@pytest.mark.parametrize("which", ["owned", "engine's side", "short way"])
async def test_closing_one_closes_the_one_beneath(which: str) -> None:
    """Unless its owner has something to say yet."""
    near, _ = lines()
    owned = OwnedStream(near.tcp)
    stream: trio.abc.Stream = owned
    if which == "engine's side":
        stream = _EngineSide(owned)
    elif which == "short way":
        stream = ShortWay(owned, Incoming(100, bytearray()))
    for outlives, is_closed in ((lambda: True, False), (lambda: False, True)):
        owned.outlives_engine = outlives
        await stream.aclose()
        assert near.is_closed is is_closed


async def test_who_reads_beside_another_finds_the_end() -> None:
    """Handed over by another's server, where an error would end that server; else it is told as a mistake."""
    near, far = lines()
    owned = OwnedStream(near.tcp)
    side = _EngineSide(owned)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(owned.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        assert await side.receive_some() == b""
        with pytest.raises(trio.BusyResourceError):
            await owned.receive_some()
        await far.send_all(b"first")
    await far.send_all(b"second")
    assert await side.receive_some(3) == b"sec"


async def test_a_handshake_has_so_much_room() -> None:
    """Its bytes are kept until it is over; one byte over the limit breaks it, and what comes after it is not kept."""
    near, far = lines()
    owned = OwnedStream(near.tcp)
    await far.send_all(bytes(64 * 1024))
    assert len(await owned.receive_some()) == len(owned.handshake_data) == 64 * 1024
    await far.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError, match="the handshake took more than 65536 bytes"):
        await owned.receive_some()
    assert near.is_closed
    near, far = lines()
    owned = OwnedStream(near.tcp)
    await far.send_all(b"a request")
    await owned.receive_some()
    owned.opened()
    for _ in range(2):
        await far.send_all(bytes(64 * 1024))
        assert len(await owned.receive_some()) == 64 * 1024
    assert owned.handshake_data == b""


async def test_what_was_put_back_is_read_first() -> None:
    """Once; a read that is cancelled takes none of it."""
    near, far = lines()
    owned = OwnedStream(near.tcp)
    await far.send_all(b"later")
    owned.reads.put_back = b"before"
    with trio.CancelScope() as scope:
        scope.cancel()
        await owned.receive_some()
    with trio.testing.assert_checkpoints():
        assert await owned.receive_some() == b"before"
    assert await owned.receive_some() == b"later"


@pytest.mark.parametrize("ends", ["ends", "breaks"])
async def test_an_end_that_is_read_is_told(ends: str) -> None:
    """Once; and the reader has it as the stream says it."""
    near, far = lines()
    owned, told = OwnedStream(near.tcp), list[str]()
    owned.descriptor.on_end = lambda: told.append("end")
    if ends == "ends":
        await far.aclose()
    else:
        near.close()
    for _ in range(2):
        if ends == "ends":
            assert await owned.receive_some() == b""
        else:
            with pytest.raises(trio.ClosedResourceError):
                await owned.receive_some()
        assert told == ["end"]


@pytest.mark.parametrize("tells_by_reading", [False, True])
async def test_a_write_that_fails_is_told(tells_by_reading: bool) -> None:
    """And is the end. Over TLS it is never left to the reader, which could not be brought to an end."""
    near, far = lines()
    owned, told = OwnedStream(near.tcp), list[str]()
    owned.descriptor.on_end = lambda: told.append("end")
    owned.writes.tells_by_reading = tells_by_reading
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await owned.send_all(b"lost")
    assert told == ["end"]
    assert not owned.writes.has_failed


async def test_no_more_is_said_and_all_that_comes_is_heard() -> None:
    near, far = lines()
    owned = OwnedStream(near.tcp)
    owned.shut_writing()
    assert await far.receive_some() == b""
    await far.send_all(b"more")
    assert await owned.receive_some() == b"more"


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 200_000])
async def test_a_guarded_write_is_whole(size: int, autojump_clock: trio.testing.MockClock) -> None:
    """However long; a peer that takes nothing of it is cut off in time."""
    near, far = lines()
    owned, data, got = OwnedStream(near.tcp, write_timeout_s=3.0), bytes(range(256)) * (size // 256 + 1), b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(owned.send_all, data[:size])
        while len(got) < size:
            got += await far.receive_some()
    assert got == data[:size]
    with pytest.raises(trio.BrokenResourceError, match="the peer did not read for 3 s"):
        await owned.send_all(bytes(400_000))
    assert (near.is_closed, trio.current_time()) == (True, 3)


async def test_after_a_write_that_failed_in_silence_all_others_do() -> None:
    """Others have their turn all the same."""
    near, far = lines()
    owned = OwnedStream(near.tcp)
    owned.writes.has_failed = True
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await owned.send_all(b"unheard")
    owned.writes.has_failed = False
    await owned.send_all(b"heard")
    assert await far.receive_some() == b"heard"


async def test_what_is_held_is_read_once_the_handshake_is_over() -> None:
    """Before what comes later; whoever reads waits for that, and loses nothing where it is cancelled meanwhile."""
    near, far = lines()
    owned, got = OwnedStream(near.tcp), list[bytes]()
    owned.reads.put_back, owned.reads.held = b"a request", b"early"
    await far.send_all(b"later")
    assert await owned.receive_some() == b"a request"
    with trio.CancelScope() as scope:
        scope.cancel()
        await owned.receive_some()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            got.extend([await owned.receive_some(), await owned.receive_some()])

        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        owned.opened()
    assert got == [b"early", b"later"]
