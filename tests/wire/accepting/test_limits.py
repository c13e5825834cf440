"""What one address may take, in virtual time."""

from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from trio_transports.wire.accepting import limits
from trio_transports.wire.accepting.limits import Addresses, AddressLimits, network_of


def come(addresses: Addresses, address: str) -> int | None:
    """One connection that has gone again; the status if it was refused."""
    with addresses.connection(address) as refusal:
        return None if refusal is None else refusal.status


async def test_connections_are_counted_from_accept_to_close() -> None:
    """The third of two is refused, twice; when one has gone the next gets in. Others do not notice."""
    addresses = Addresses(AddressLimits(max_connections_per_address=2))
    for _ in range(2):
        with ExitStack() as stack:
            assert [stack.enter_context(addresses.connection("10.0.0.7")) for _ in range(2)] == [None, None]
            assert [come(addresses, "10.0.0.7") for _ in range(2)] == [429, 429]
            assert come(addresses, "10.0.0.8") is None
        assert come(addresses, "10.0.0.7") is None
    assert len(addresses) == 0


async def test_handshakes_have_a_rate(autojump_clock: MockClock) -> None:
    """Three at once of three a second; then one each third of a second, and the answer says how long to wait."""
    addresses = Addresses(AddressLimits(max_handshakes_per_second=3))
    for _ in range(2):
        assert [come(addresses, "10.0.0.7") for _ in range(5)] == [None, None, None, 429, 429]
        await trio.sleep(0.34)
        assert [come(addresses, "10.0.0.7") for _ in range(2)] == [None, 429]
        await trio.sleep(10)
    slow = Addresses(AddressLimits(max_handshakes_per_second=0.1))
    assert come(slow, "10.0.0.7") is None
    with slow.connection("10.0.0.7") as refusal:
        assert refusal is not None
        assert dict(refusal.headers)["Retry-After"] == "10"


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7, 3, 7])
async def test_it_gets_in_when_it_was_told_to_come(rate: float, autojump_clock: MockClock) -> None:
    """However often it has asked before that time: fractions of a turn add up to one."""
    addresses = Addresses(AddressLimits(max_handshakes_per_second=rate))
    depth = max(1, int(rate))
    for _ in range(3):
        assert [come(addresses, "10.0.0.7") for _ in range(depth)] == [None] * depth
        begun_s = trio.current_time()
        for step in range(1, 10):
            await trio.sleep_until(begun_s + step / 10 / rate)
            assert come(addresses, "10.0.0.7") == 429
        await trio.sleep_until(begun_s + 1 / rate)
        assert come(addresses, "10.0.0.7") is None
        await trio.sleep(100)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("64:ff9b::ffff:ffff", "255.255.255.255"),
        ("", ""),
        ("a unix socket", "a unix socket"),
    ],
)
def test_whose_address_it_is(address: str, network: str) -> None:
    """One IPv4 address, or one IPv6 network of 64 bits."""
    assert network_of(address) == network


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Neither a million addresses nor one that comes for ever fills memory; who is connected is never forgotten."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 100)
    addresses = Addresses(AddressLimits(max_handshakes_per_second=0.001, max_connections_per_address=1))
    with addresses.connection("192.0.2.1"):
        for number in range(1000):
            come(addresses, f"10.0.{number >> 8}.{number & 255}")
        assert len(addresses) <= 101
        assert come(addresses, "192.0.2.1") == 429


async def test_while_all_are_connected_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are remembered at most: each counts, the newest too. Twice."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 3)
    addresses = Addresses(AddressLimits(max_connections_per_address=1))
    for _ in range(2):
        with ExitStack() as stack:
            for number in range(5):
                assert stack.enter_context(addresses.connection(f"10.0.0.{number}")) is None
            assert [come(addresses, f"10.0.0.{number}") for number in range(5)] == [429] * 5
        assert len(addresses) == 0


async def test_who_may_ask_again_is_forgotten(autojump_clock: MockClock) -> None:
    """In the very moment in which nothing is held against it any longer, and not before."""
    addresses = Addresses(AddressLimits(max_handshakes_per_second=1.0))
    for stays_s, remembered in ((0.5, 1), (1.0, 0)):
        with addresses.connection("10.0.0.7") as refusal:
            assert refusal is None
            await trio.sleep(stays_s)
        assert len(addresses) == remembered
        await trio.sleep(10)


async def test_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Not one less: with as many as that none is forgotten; with one more it is who was longest unheard of."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 3)
    addresses = Addresses(AddressLimits(max_handshakes_per_second=0.001))
    assert [come(addresses, f"10.0.0.{number}") for number in range(3)] == [None] * 3
    assert len(addresses) == 3
    assert [come(addresses, f"10.0.0.{number}") for number in (1, 0, 2)] == [429] * 3
    assert come(addresses, "10.0.0.3") is None
    assert len(addresses) == 3
    assert [come(addresses, f"10.0.0.{number}") for number in (0, 2, 3, 1)] == [429, 429, 429, None]


async def test_who_has_too_many_may_come_again_soon() -> None:
    """When one of them has gone is not known."""
    addresses = Addresses(AddressLimits(max_connections_per_address=1))
    with addresses.connection("10.0.0.7"), addresses.connection("10.0.0.7") as refusal:
        assert refusal is not None
        assert dict(refusal.headers)["Retry-After"] == "1"
        assert "there are 1 connections from this address already" in refusal.body


async def test_who_comes_seldom_is_forgotten_late(autojump_clock: MockClock) -> None:
    """When it may ask again, and that is ten seconds later where it may ask each ten seconds."""
    addresses = Addresses(AddressLimits(max_handshakes_per_second=0.1))
    for stays_s, remembered in ((9.0, 1), (10.0, 0)):
        with addresses.connection("10.0.0.7") as refusal:
            assert refusal is None
            await trio.sleep(stays_s)
        assert len(addresses) == remembered
        await trio.sleep(20)


async def test_who_comes_without_a_limit_is_let_in_and_forgotten() -> None:
    addresses = Addresses(AddressLimits())
    for _ in range(3):
        assert [come(addresses, "10.0.0.7") for _ in range(100)] == [None] * 100
        assert len(addresses) == 0
