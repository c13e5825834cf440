"""A message of a user's own may have any fields, whatever they are called."""

import pytest
from attrs import frozen

from trio_transports.bus import BusDataMessage, BusFrameMessage
from trio_transports.bus.names import MAX_NAME, check_names
from trio_transports.bus.weight import BASE, NODE, weight
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import TextFrame


@frozen(kw_only=True)
class Order(BusDataMessage):
    name: int  # type: ignore[assignment]  # it is the user's own
    job_id: list[str]
    bridge: str = ""


def test_they_are_contents_like_any_other() -> None:
    """They are weighed as such, and are not held to the length of a name."""
    order = Order(source="shop", name=7, job_id=["a" * 1000], bridge="b" * 1000)
    for _ in range(2):
        check_names(order)
        assert weight(order) == BASE + len("shop") + 4 * NODE + 2000


@frozen(kw_only=True)
class Invoice(BusDataMessage):
    source: str = "billing"
    target: str | None = "shop"
    name: str = "x" * 1000


def test_a_default_of_a_users_own_changes_no_rule() -> None:
    """But for what a message is called, which may then be as long as its author likes."""
    check_names(Invoice())
    assert weight(Invoice()) == BASE + len("billing") + len("shop") + NODE + 1000
    for wrong in (Invoice(source="x" * (MAX_NAME + 1)), Invoice(target="x" * (MAX_NAME + 1))):
        with pytest.raises(RemoteProtocolError, match="more than 256"):
            check_names(wrong)


def test_the_librarys_own_are_names_in_them_too() -> None:
    with pytest.raises(RemoteProtocolError, match="more than 256"):
        check_names(Order(source="x" * (MAX_NAME + 1), name=7, job_id=[]))
    with pytest.raises(RemoteProtocolError, match="more than 256"):
        check_names(BusFrameMessage(source="near", bridge="x" * (MAX_NAME + 1), frame=TextFrame(text="")))
