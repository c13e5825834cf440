"""The JSON of the bus: how deep, how large, whose fault, and what is passed on unread."""

import json

import pytest
from attrs import frozen

from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusDataMessage,
    BusFrameMessage,
    BusMessage,
    BusOpaqueMessage,
    BusWorkerLocalErrorMessage,
    BusWorkerRegistryMessage,
    CustomFrame,
    JSONMessageSerializer,
    WorkerRegistryEntry,
)
from trio_transports.bus.codec.frames import UnknownTypeError
from trio_transports.bus.codec.hops import MAX_HOPS, with_hops
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.serializers.codec import MAX_DEPTH

ACTIVATE = "pipecat.bus.messages.BusActivateWorkerMessage"


def nested(levels: int, inner: object) -> object:
    for _ in range(levels):
        inner = [inner]
    return inner


def activate(levels: int) -> BusActivateWorkerMessage:
    """Its document has so many levels: the message, its data and its payload are three of them."""
    return BusActivateWorkerMessage(source="s", args={"x": nested(levels - 3, "y" * 2 * MAX_DEPTH)})


def document(message: BusActivateWorkerMessage) -> str:
    return json.dumps({"__type__": ACTIVATE, "__data__": {"source": "s", "args": message.args}})


def test_so_many_levels_are_written_and_read_and_no_more() -> None:
    """As text and as bytes, and whatever long text is in them."""
    serializer = JSONMessageSerializer()
    deepest, too_deep = activate(MAX_DEPTH), activate(MAX_DEPTH + 1)
    for data in (serializer.encode(deepest), document(deepest), document(deepest).encode()):
        assert serializer.decode(data) == deepest
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        serializer.encode(too_deep)
    for data in (document(too_deep), document(too_deep).encode()):
        with pytest.raises(RemoteProtocolError, match="nested deeper"):
            serializer.decode(data)


def test_many_levels_beside_each_other_are_not_deep() -> None:
    serializer = JSONMessageSerializer()
    wide = BusActivateWorkerMessage(source="s", args={"x": [[[]] for _ in range(10 * MAX_DEPTH)]})
    assert serializer.decode(serializer.encode(wide)) == wide


def test_a_message_has_so_many_bytes_and_no_more() -> None:
    """What just fits is written and read; whose fault a byte more is depends on who wrote it."""
    message = BusDataMessage(source="x" * 50)
    data = JSONMessageSerializer().encode(message)
    serializer = JSONMessageSerializer(max_message_bytes=len(data))
    assert serializer.decode(serializer.encode(message)) == message
    assert serializer.decode(data.decode()) == message
    longer = BusDataMessage(source="x" * 51)
    what = f"a message of {len(data) + 1} bytes is over the limit of {len(data)}"
    with pytest.raises(LocalProtocolError, match=f"{what}: send less"):
        serializer.encode(longer)
    with pytest.raises(RemoteProtocolError, match=what):
        serializer.decode(JSONMessageSerializer().encode(longer))


@pytest.mark.parametrize("text", ["x\ud800", "\udfff"])
def test_half_a_letter_is_the_senders_fault(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        JSONMessageSerializer().encode(BusActivateWorkerMessage(source="s", args={"x": text}))


@frozen(kw_only=True)
class Place:
    x: int = 0


@frozen(kw_only=True)
class Flag(CustomFrame):
    colour: str = ""


@frozen(kw_only=True)
class Raised(BusDataMessage):
    flag: str = ""
    raw: bytes = b""


def test_what_cannot_be_registered_says_why() -> None:
    """A class twice, a name twice, whatever each was registered as; and what never leaves the process."""
    serializer = JSONMessageSerializer()
    for kind, name in ((Place, "app.Place"), (Flag, "app.Flag"), (Raised, "app.Raised")):
        serializer.register(kind, name)
        with pytest.raises(ValueError, match=f"{kind.__name__} as '{name}' is already registered"):
            serializer.register(kind, "app.Another")

    @frozen(kw_only=True)
    class Other:
        x: int = 0

    for name in ("app.Place", "app.Flag", "app.Raised", "bytes", ACTIVATE):
        with pytest.raises(ValueError, match=f"the name '{name}' is already registered"):
            serializer.register(Other, name)
    with pytest.raises(TypeError, match="takes attrs classes"):
        serializer.register(int, "app.int")
    with pytest.raises(TypeError, match="BusLocalMessage, which never leaves the process"):
        serializer.register(BusWorkerLocalErrorMessage, "app.Error")


def test_what_is_registered_crosses_as_what_it_is() -> None:
    """A value inside a payload, a frame inside its message, and a message of its own; each at any depth."""
    serializer = JSONMessageSerializer()
    for kind, name in ((Place, "app.Place"), (Flag, "app.Flag"), (Raised, "app.Raised")):
        serializer.register(kind, name)
    entry = WorkerRegistryEntry(name="w", parent="p", active=True, started_at=1.5)
    args = {"a": Place(x=1), "b": [Place(), {"c": Place(x=2), "d": b"raw"}], "e": entry}
    messages: tuple[BusMessage, ...] = (
        BusActivateWorkerMessage(source="s", args=args),
        BusFrameMessage(source="s", frame=Flag(colour="red"), role="input"),
        BusFrameMessage(source="s", frame=Flag(), role="output"),
        Raised(source="s", flag="f", raw=b"\0\xff"),
        BusWorkerRegistryMessage(source="s", runner="r", workers=[entry, WorkerRegistryEntry(name="x")]),
    )
    for message in messages:
        assert serializer.decode(serializer.encode(message)) == message


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Place(x=1), "Place is not registered: call register"),
        ([{"a": Raised(source="s")}], "Raised is not registered"),
        ([BusDataMessage(source="s")], "BusDataMessage is not registered"),
        ({"__type__": 1, "__data__": 2}, "would be read as a typed value"),
        ([{"a": {"__type__": 1, "__data__": 2}}], "would be read as a typed value"),
    ],
)
def test_what_no_payload_may_hold_is_the_senders_fault(value: object, why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        JSONMessageSerializer().encode(BusActivateWorkerMessage(source="s", args={"x": value}))


def test_a_class_that_is_not_registered_is_not_written() -> None:
    for message, why in (
        (Raised(source="s"), "Raised is not registered: call register"),
        (BusFrameMessage(source="s", frame=Flag()), "Flag is not registered: call register"),
        (BusWorkerLocalErrorMessage(source="s", error="x"), "never leaves the process"),
    ):
        with pytest.raises(LocalProtocolError, match=why):
            JSONMessageSerializer().encode(message)


def test_a_payload_says_in_which_of_its_members_it_is_wrong() -> None:
    typed = {"__type__": "app.Place", "__data__": {"x": "no number"}}
    serializer = JSONMessageSerializer()
    serializer.register(Place, "app.Place")
    for args, path in (
        ({"a": typed}, "a.__data__.x"),
        ({"a": [1, {"b": typed}]}, "a[1].b.__data__.x"),
        ({"a": {"__type__": "bytes", "__data__": "?"}}, "a.__data__"),
        ({"a": {"__type__": ACTIVATE, "__data__": {"source": "s"}}}, "a.__type__"),
        ({"a": {"__type__": 5, "__data__": 1}}, "a.__type__"),
    ):
        with pytest.raises(RemoteProtocolError) as info:
            serializer.decode(json.dumps({"__type__": ACTIVATE, "__data__": {"source": "s", "args": args}}))
        assert info.value.path == f"__data__.args.{path}"


# What is passed on unread.


STRANGE = b'{"__type__":"x.Strange","__data__":{"source":"s","target":"t","bridge":"b","id":5,"name":"n","more":[1]}}'


def test_a_strangers_message_is_kept_as_it_came_where_that_is_wanted() -> None:
    """With what of it has to be known to pass it on; written again it is the same, byte for byte."""
    with pytest.raises(UnknownTypeError, match=r"'x\.Strange' is not registered"):
        JSONMessageSerializer().decode(STRANGE)
    passing = JSONMessageSerializer(pass_unknown=True)
    for data in (STRANGE, STRANGE.decode()):
        message = passing.decode(data)
        assert message == BusOpaqueMessage(
            source="s", target="t", bridge="b", id=5, name="n", type_name="x.Strange", hops=1, data=STRANGE
        )
        assert passing.encode(message) == STRANGE


def test_what_has_come_too_far_is_not_read() -> None:
    passing = JSONMessageSerializer(pass_unknown=True)
    last = passing.decode(with_hops(STRANGE, MAX_HOPS - 1))
    assert isinstance(last, BusOpaqueMessage)
    assert (last.hops, last.data) == (MAX_HOPS, STRANGE)
    with pytest.raises(UnknownTypeError, match=f"has gone round: it was read {MAX_HOPS} times"):
        passing.decode(with_hops(STRANGE, MAX_HOPS))


@pytest.mark.parametrize("name", ["pipecat.bus.messages.BusAddWorkerMessage", "x.BusWorkerLocalErrorMessage"])
def test_what_never_leaves_a_process_is_not_passed_on_whatever_its_module(name: str) -> None:
    data = json.dumps({"__type__": name, "__data__": {"source": "s"}})
    with pytest.raises(UnknownTypeError):
        JSONMessageSerializer(pass_unknown=True).decode(data)


def test_a_strangers_message_has_an_envelope() -> None:
    """One that names no source cannot be passed on, and says so with its place."""
    with pytest.raises(RemoteProtocolError) as info:
        JSONMessageSerializer(pass_unknown=True).decode('{"__type__":"x.Strange","__data__":{"source":5}}')
    assert info.value.path == "__data__.source"
