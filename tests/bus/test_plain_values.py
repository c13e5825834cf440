"""Which values are JSON as they stand, and which messages are read the quick way."""

from math import inf, nan

import pytest
from attrs import field, frozen

from trio_transports.bus import BusDataMessage, BusJobResponseMessage, BusUIEventMessage
from trio_transports.bus.codec.plain import MAX_CONTAINERS, is_plain, is_untyped
from trio_transports.bus.codec.quick import quick_reader
from trio_transports.bus.messages import BusFrameMessage

TYPED = {"__type__": "x", "__data__": 1}


@pytest.mark.parametrize(
    ("value", "plain", "plain_if_typed"),
    [
        ("x", True, True),
        (1, True, True),
        (1.5, True, True),
        (None, True, True),
        (True, True, True),
        ({"a": [1, (2.5, None), {"b": "c"}], "d": {}}, True, True),
        ({"__type__": "x"}, True, True),
        ({"__data__": "x"}, True, True),
        (TYPED, False, True),
        ([{"a": TYPED}], False, True),
        (b"x", False, False),
        ([1, [b"x"]], False, False),
        ({"a": nan}, False, False),
        ([inf], False, False),
        ({"a": {1, 2}}, False, False),
        (object(), False, False),
    ],
)
def test_what_is_json_as_it_stands(value: object, plain: bool, plain_if_typed: bool) -> None:
    assert is_plain(value) is plain
    assert is_plain(value, typed=True) is plain_if_typed


def test_so_many_containers_are_looked_at_and_no_more() -> None:
    """The value itself stands in one. What contains itself has no end, and is not plain."""
    assert is_plain([[]] * (MAX_CONTAINERS - 2))
    assert not is_plain([[]] * (MAX_CONTAINERS - 1))
    endless: list[object] = []
    endless.append(endless)
    assert not is_plain(endless)


@pytest.mark.parametrize(
    ("document", "untyped"),
    [
        ('{"__type__":"x","__data__":{}}', True),
        (r'{"__type__":"x","__data__":{"a":"\n"}}', True),
        (r'{"__type__":"x","__data__":{"a":"\u0041"}}', False),
        ('{"__type__":"x","__data__":{"a":{"__type__":"y"}}}', False),
        ("{}", False),
    ],
)
def test_what_can_be_told_of_a_document_without_reading_it(document: str, untyped: bool) -> None:
    """Whether it has one typed value: the message. An escape may spell anything."""
    assert is_untyped(document) is untyped
    assert is_untyped(document.encode()) is untyped


def test_a_simple_message_is_read_quickly() -> None:
    read = quick_reader(BusJobResponseMessage)
    assert read is not None
    content = {"source": "s", "target": None, "id": 5, "job_id": "j", "status": "failed", "response": {"a": [1]}}
    assert read(content) == BusJobResponseMessage(**content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"source": "s", "job_id": "j"},
        {"source": 5, "job_id": "j", "status": "failed"},
        {"source": "s", "job_id": "j", "status": "strange"},
        {"source": "s", "job_id": "j", "status": 5},
        {"source": "s", "job_id": "j", "status": "failed", "response": []},
        {"source": "s", "job_id": "j", "status": "failed", "id": True},
        {"source": "s", "job_id": "j", "status": "failed", "newer": 1},
        {"source": "s", "job_id": "j", "status": "failed", "target": 5},
    ],
)
def test_what_is_not_as_simple_is_left_to_the_other_reader(content: object) -> None:
    """It says what is wrong, or leaves out what is not known."""
    read = quick_reader(BusJobResponseMessage)
    assert read is not None
    assert read(content) is None


@pytest.mark.parametrize("payload", ["x", 1, 1.5, True, {"a": 1}, [1], None])
def test_a_member_that_may_hold_anything_is_simple(payload: object) -> None:
    read = quick_reader(BusUIEventMessage)
    assert read is not None
    assert read({"source": "s", "payload": payload}) == BusUIEventMessage(source="s", payload=payload)


@frozen(kw_only=True)
class Renamed(BusDataMessage):
    own: str = field(alias="other", default="")


@frozen(kw_only=True)
class Made(BusDataMessage):
    own: str = field(init=False, default="")


@frozen(kw_only=True)
class Trailing(BusDataMessage):
    own_: str = ""


@frozen(kw_only=True)
class Nested(BusDataMessage):
    own: tuple[int, ...] = ()


@pytest.mark.parametrize("kind", [BusFrameMessage, Renamed, Made, Trailing, Nested])
def test_a_message_with_a_member_that_is_not_simple_has_no_quick_reader(kind: type[BusDataMessage]) -> None:
    assert quick_reader(kind) is None
