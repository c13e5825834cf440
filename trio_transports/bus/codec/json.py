"""Bus messages as bytes: Pipecat's JSON, read by a closed registry.

Rules
1. A message is one UTF-8 JSON document, ``{"__type__": name, "__data__": {...}}``, and so is every typed value in it.
   bytes are ``{"__type__": "bytes", "__data__": base64}``, the direction of a frame is an enum in the same form.
2. A name is looked up in a table, and in nothing else: what a peer writes is never imported. A member of the
   wrong type, too deep or too large a document are a ``RemoteProtocolError`` that says where; a name that is not known
   is its subclass ``UnknownTypeError``, which whoever reads counts apart and holds against nobody (HAZARDS 46).
3. Members that are not known are ignored. Members that hold their default are not written.
4. A value inside a payload is JSON, bytes, or an instance of a registered class.
5. With ``pass_unknown`` a well-formed message with a name that is not known, at any place in it, becomes a
   ``BusOpaqueMessage`` with its envelope, which is written as it came. Pass on only what peers that trust each other
   say: a Pipecat peer imports the names that it reads.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal, Protocol, final, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.fns import identity
from cattrs.gen import make_dict_unstructure_fn, override

from ...errors import LocalProtocolError, RemoteProtocolError
from ...serializers.codec import MAX_DEPTH, check_writable, dumps, loads, loads_of_any_depth, write_quickly
from ...serializers.converters import from_base64, make_converter, mismatch, to_base64, within
from ..messages import (
    LOCAL_NAMES,
    WIRE_MESSAGES,
    BusFrame,
    BusFrameMessage,
    BusLocalMessage,
    BusMessage,
    BusOpaqueMessage,
    Content,
    CustomFrame,
    FrameDirection,
    Payload,
    WorkerRegistryEntry,
)
from ..ui_messages import UI_MESSAGES
from .frames import FrameTable, JSONObject, UnknownTypeError, tagged, unknown_name, untag, wrong_name
from .hops import MAX_HOPS, without_hops
from .plain import DATA, TYPE, is_plain, is_untyped
from .quick import QuickReader, quick_reader

PIPECAT_MESSAGES: Final = "pipecat.bus.messages."
PIPECAT_UI_MESSAGES: Final = "pipecat.bus.ui.messages."
PIPECAT_ENTRY: Final = "pipecat.registry.types.WorkerRegistryEntry"
PIPECAT_DIRECTION: Final = "pipecat.processors.frame_processor.FrameDirection"
BYTES: Final = "bytes"


class MessageSerializer(Protocol):
    """Any object with these two methods.

    ``decode`` raises ``RemoteProtocolError`` for bad input and nothing else; ``UnknownTypeError``, which is one, for
    what is well formed and not known.
    """

    def encode(self, message: BusMessage) -> bytes:
        """The message as bytes."""

    def decode(self, data: bytes | str) -> BusMessage:
        """The message in these bytes. What cannot be read raises ``RemoteProtocolError``."""


@cache
def shared_serializer() -> "JSONMessageSerializer":
    """The one that buses and proxies use when they are given none: making one takes milliseconds."""
    return JSONMessageSerializer()


def _may_be_deep(data: bytes) -> bool:
    """Whether there are enough brackets for more than ``MAX_DEPTH`` levels: only then is it worth to look."""
    return len(data) > 2 * MAX_DEPTH and data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _as_bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode("utf-8", "replace")


def _parse(data: bytes | str) -> object:
    if _may_be_deep(data if type(data) is bytes else _as_bytes(data)):
        return loads(data)
    return loads_of_any_depth(data)


def _write(document: JSONObject, path: str, *, was_looked_at: bool) -> bytes:
    """As ``codec.dumps``, without its walk where a quick look finds nothing to refuse."""
    if write_quickly is not None and (was_looked_at or is_plain(document, typed=True)):
        try:
            data = write_quickly(document)
        except (TypeError, ValueError):
            pass  # below it is said what is wrong, and where
        else:
            if not _may_be_deep(data):
                return data
    return dumps(document, path=path).encode()


def _text_or_none(value: object, _: object) -> object:
    if value is not None and type(value) is not str:
        raise mismatch("a string", value)
    return value


def _is_literal(kind: Any) -> bool:  # noqa: ANN401 - a type, of any kind
    return bool(get_origin(kind) == Literal)


def _literal(value: object, kind: Any) -> object:  # noqa: ANN401 - a Literal
    allowed = get_args(kind)
    if value not in allowed:
        raise RemoteProtocolError(f"one of {', '.join(map(str, allowed))} is wanted")
    return value


def _read_direction(value: object, kind: Any) -> object:  # noqa: ANN401 - a Literal
    name, data = untag(value)
    if name != PIPECAT_DIRECTION:
        raise wrong_name(PIPECAT_DIRECTION, name)
    return _literal(data, kind)


def _read_bytes(value: object, _: object) -> bytes:
    name, data = untag(value)
    if name != BYTES:
        raise wrong_name(BYTES, name)
    return from_base64(data, path=DATA)


@final
@attrs.frozen(kw_only=True)
class _Envelope:
    """What of a message that is not known has to be known to pass it on."""

    source: str
    target: str | None = None
    bridge: str | None = None
    id: int = 0
    name: str = ""


@final
class JSONMessageSerializer:
    """Writes and reads the messages of this package, and those given to ``register``.

    A message of more than ``max_message_bytes`` is refused, both ways. ``pass_unknown=True`` reads what is not known
    here as a ``BusOpaqueMessage`` and writes it as it came: only between peers that trust each other.
    """

    def __init__(self, *, max_message_bytes: int = 1024 * 1024, pass_unknown: bool = False) -> None:
        self._max_message_bytes = max_message_bytes
        self._pass_unknown = pass_unknown
        self._converter = self._make_converter()
        self._frames = FrameTable(self._converter, self._read_value)
        self._names: dict[type, str] = {}
        self._looked_at: set[type] = set()
        """Messages of which nothing is free but payloads, and these are looked at by themselves."""
        self._quick_readers: dict[str, QuickReader] = {}
        """Of the same messages."""
        self._writers: dict[type, Callable[[Any], Any]] = {}
        self._readers: dict[str, tuple[type, Callable[[Any, Any], Any]]] = {}
        self.register(WorkerRegistryEntry, PIPECAT_ENTRY)
        for message in WIRE_MESSAGES:
            self.register(message, PIPECAT_MESSAGES + message.__name__)
        for message in UI_MESSAGES:
            self.register(message, PIPECAT_UI_MESSAGES + message.__name__)

    def register(self, cls: type, name: str) -> None:
        """Let ``cls``, an attrs class, cross the bus as ``name``.

        It is a message of your own (of ``BusDataMessage`` or ``BusSystemMessage``), a frame (of ``CustomFrame``), or a
        value inside a payload (of neither).
        """
        if not attrs.has(cls):
            raise TypeError(f"register() takes attrs classes, not {cls!r}: decorate it with attrs.frozen")
        if issubclass(cls, BusLocalMessage):
            raise TypeError(f"{cls.__name__} is a BusLocalMessage, which never leaves the process: do not register it")
        if cls in self._names or name in self._readers or name == BYTES:
            taken = f"{cls.__name__} as {self._names[cls]!r}" if cls in self._names else f"the name {name!r}"
            raise ValueError(f"{taken} is already registered: register each class once, under a name of its own")
        attrs.resolve_types(cls)
        self._readers[name] = (cls, self._converter.get_structure_hook(cls))
        self._writers[cls] = self._converter.get_unstructure_hook(cls)
        self._names[cls] = name
        if issubclass(cls, BusMessage):
            quick = quick_reader(cls)
            if quick is not None:
                self._quick_readers[name] = quick
                self._looked_at.add(cls)
        if issubclass(cls, CustomFrame):
            self._frames.register(cls, name)
        elif not issubclass(cls, BusMessage):
            self._register_value(cls, name)

    def encode(self, message: BusMessage) -> bytes:
        """The message as bytes."""
        cls = type(message)
        if isinstance(message, BusOpaqueMessage):
            return message.data
        name = self._names.get(cls)
        if name is None:
            if isinstance(message, BusLocalMessage):
                raise LocalProtocolError(f"a {cls.__name__} never leaves the process: send it on the local bus")
            raise LocalProtocolError(f"{cls.__name__} is not registered: call register({cls.__name__}, name) first")
        try:
            document = tagged(name, self._writers[cls](message))
            data = _write(document, cls.__name__, was_looked_at=cls in self._looked_at)
        except RecursionError:
            raise LocalProtocolError(f"{cls.__name__} is nested deeper than {MAX_DEPTH} levels") from None
        if len(data) > self._max_message_bytes:
            self.check_size(data, local=True)
        return data

    def decode(self, data: bytes | str) -> BusMessage:
        """The message in these bytes. What cannot be read raises ``RemoteProtocolError``."""
        if len(data) > self._max_message_bytes:
            self.check_size(data)
        name, content = untag(_parse(data))
        quick = self._quick_readers.get(name)
        if quick is not None and is_untyped(data):
            message = quick(content)
            if message is not None:
                return message
        try:
            return self._read(name, content)
        except UnknownTypeError:
            if not self._pass_unknown or name.rpartition(".")[2] in LOCAL_NAMES:
                raise
        try:
            envelope: _Envelope = self._converter.structure(content, _Envelope)
        except RemoteProtocolError as exc:
            raise within(DATA, exc) from None
        hops, whole = without_hops(data if isinstance(data, bytes) else data.encode())
        if hops >= MAX_HOPS:
            raise UnknownTypeError(f"a {name[:100]!r} has gone round: it was read {hops} times", path=TYPE)
        return BusOpaqueMessage(**attrs.asdict(envelope), type_name=name, hops=hops + 1, data=whole)

    def _read(self, name: str, content: object) -> BusMessage:
        cls, read = self._readers.get(name, (None, None))
        if cls is None or read is None or not issubclass(cls, BusMessage):
            raise unknown_name(name)
        if cls is BusFrameMessage:
            self._tell_role(content)
        try:
            message: BusMessage = read(content, cls)
        except RemoteProtocolError as exc:
            raise within(DATA, exc) from None
        return message

    def check_size(self, data: bytes | str, *, local: bool = False) -> None:
        """Refuse what is over the limit; ``local`` says whose fault it would be."""
        if len(data) <= self._max_message_bytes:
            return
        what = f"a message of {len(data)} bytes is over the limit of {self._max_message_bytes}"
        if local:
            raise LocalProtocolError(f"{what}: send less, or make the serializers on both sides with a larger one")
        raise RemoteProtocolError(what)

    def _tell_role(self, content: object) -> None:
        """Add the role that the frame's name tells, to a document that is ours: it was just parsed."""
        if isinstance(content, dict) and "role" not in content:
            frame = content.get("frame")
            name = frame.get(TYPE) if isinstance(frame, dict) else None
            if isinstance(name, str) and self._frames.role(name) == "input":
                content["role"] = "input"

    def _make_converter(self) -> Converter:
        converter = make_converter()
        converter.register_structure_hook(bytes, _read_bytes)
        converter.register_unstructure_hook(bytes, lambda value: tagged(BYTES, to_base64(value)))
        converter.register_structure_hook_func(_is_literal, _literal)
        converter.register_structure_hook_func(lambda kind: kind == FrameDirection, _read_direction)
        # These by their own names, not as unions: most messages have some, and cattrs asks of each what it is.
        converter.register_structure_hook_func(lambda kind: kind == str | None, _text_or_none)
        converter.register_unstructure_hook_func(lambda kind: kind == str | None, identity)
        converter.register_structure_hook_func(lambda kind: kind == Payload | None, self._read_payload_or_none)
        converter.register_unstructure_hook_func(lambda kind: kind == Payload | None, self._write_content)
        converter.register_structure_hook_func(lambda kind: kind == Content, lambda value, _: self._read_content(value))
        converter.register_structure_hook_func(lambda kind: kind == BusFrame, lambda value, _: self._frames.read(value))
        converter.register_structure_hook_func(lambda kind: kind == Payload, lambda value, _: self._read_payload(value))
        converter.register_unstructure_hook_func(lambda kind: kind in (object, Content, Payload), self._write_content)
        converter.register_unstructure_hook_factory(
            lambda kind: kind == BusFrameMessage, lambda _: self._frame_message_writer(converter)
        )
        return converter

    def _frame_message_writer(self, converter: Converter) -> Callable[[BusFrameMessage], JSONObject]:
        by_hand = override(omit=True)
        rest = make_dict_unstructure_fn(
            BusFrameMessage,
            converter,
            _cattrs_omit_if_default=True,
            frame=by_hand,
            direction=by_hand,
            role=by_hand,
        )

        def write(message: BusFrameMessage) -> JSONObject:
            written: JSONObject = rest(message)
            frame = self._frames.write(message.frame, message.role)
            written["frame"] = frame
            written["direction"] = tagged(PIPECAT_DIRECTION, message.direction)
            if message.role == "input" and self._frames.role(str(frame[TYPE])) is None:
                written["role"] = message.role
            return written

        return write

    def _register_value(self, cls: type, name: str) -> None:
        read, write = self._readers[name][1], self._writers[cls]

        def read_tagged(value: object, kind: object) -> object:
            given, data = untag(value)
            if given != name:
                raise wrong_name(name, given)
            try:
                return read(data, kind)
            except RemoteProtocolError as exc:
                raise within(DATA, exc) from None

        self._converter.register_structure_hook_func(lambda kind: kind is cls, read_tagged)
        self._converter.register_unstructure_hook_func(lambda kind: kind is cls, lambda it: tagged(name, write(it)))

    def _read_payload_or_none(self, value: object, _: object) -> object:
        return None if value is None else self._read_payload(value)

    def _read_payload(self, value: object) -> object:
        if type(value) is not dict:
            raise mismatch("an object", value)
        return self._read_content(value)

    def _read_content(self, value: object) -> object:
        # What is plain needs no copy: the parser made it, for nobody else.
        return value if is_plain(value) else self._read_value(value)

    def _read_members(self, value: dict[str, object]) -> object:
        return {key: self._read_member(key, item) for key, item in value.items()}

    def _read_member(self, key: str, item: object) -> object:
        try:
            return self._read_value(item)
        except RemoteProtocolError as exc:
            raise within(key, exc) from None

    def _read_value(self, value: object) -> object:
        # The depth is bounded by the reader of JSON.
        if type(value) is list:
            return [self._read_member(f"[{index}]", item) for index, item in enumerate(value)]
        if type(value) is not dict:
            return value
        if TYPE not in value or DATA not in value:
            return self._read_members(value)
        name, data = untag(value)
        if name == BYTES:
            return from_base64(data, path=DATA)
        cls, read = self._readers.get(name, (None, None))
        if cls is None or read is None or issubclass(cls, BusMessage):
            raise unknown_name(name)
        try:
            return read(data, cls)
        except RemoteProtocolError as exc:
            raise within(DATA, exc) from None

    def _write_content(self, value: object) -> object:
        if is_plain(value):
            return value
        written = self._write_value(value)
        check_writable(written, path="payload")
        return written

    def _write_value(self, value: object) -> object:
        if isinstance(value, bytes):
            return tagged(BYTES, to_base64(value))
        if isinstance(value, list | tuple):
            return [self._write_value(item) for item in value]
        if isinstance(value, dict):
            if TYPE in value and DATA in value:
                raise LocalProtocolError(
                    f"a dict with the keys {TYPE} and {DATA} would be read as a typed value: name them otherwise"
                )
            return {key: self._write_value(item) for key, item in value.items()}
        if attrs.has(type(value)):
            cls = type(value)
            if cls not in self._names or issubclass(cls, BusMessage):
                raise LocalProtocolError(f"{cls.__name__} is not registered: call register({cls.__name__}, name) first")
            return tagged(self._names[cls], self._writers[cls](value))
        return value  # JSON, or refused with its place by the writer of JSON
