"""What may be read in a log: no token, and no line that a peer made up. Every event and every error is looked at."""

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType, UnionType
from typing import Any, Literal, get_args, get_origin

import pytest

import trio_transports
from trio_transports import (
    AsgiWebsocketParams,
    AsgiWebsocketTransport,
    Connected,
    ConnectionClosed,
    Disconnected,
    HandshakeRejected,
    LocalProtocolError,
    Session,
    WebsocketClientParams,
    WebsocketClientTransport,
)
from trio_transports._showing import shown_text, shown_url
from trio_transports.bus.jobs import JobError
from trio_transports.errors import TransportError
from trio_transports.playground.hall import describe
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serve.params_file import ParamsFileError
from trio_transports.serve.supervisor import WorkerFailed
from trio_transports.serve.target import NoSuchBot
from trio_transports.serve.tls_files import TLSFilesError
from trio_transports.session.parts import Parts
from trio_transports.wire import Peer
from trio_transports.wire.asgi import asgi_wire
from trio_transports.wire.dialling import Address
from trio_transports.wire.memory import memory_wire_pair

SECRET = "s3cr3t"
FORGED = "\r\n2030-01-01 INFO all is well\x1b[2J\u2028\u202e"
URL = f"wss://me:{SECRET}@agents.example:8443/call?token={SECRET}"
HEADERS = (("authorization", f"Bearer {SECRET}"), ("cookie", f"session={SECRET}"))
PEER = Peer(address="10.0.0.7", port=4711, path=f"/call{FORGED}", query_string=f"token={SECRET}", headers=HEADERS)
REJECTED = HandshakeRejected(401, headers=HEADERS, body=FORGED.encode(), url=URL)
SCOPE = {
    "type": "websocket",
    "path": "/call",
    "query_string": f"token={SECRET}".encode(),
    "headers": [(name.encode(), value.encode()) for name, value in HEADERS],
    "client": ("10.0.0.7", 4711),
    "extensions": {},
}


async def _receive() -> dict[str, object]:
    return {"type": "websocket.connect"}


async def _send(_message: object) -> None:
    return None


def session() -> Session:
    wire, _ = memory_wire_pair(near=PEER)
    params = AsgiWebsocketParams(serializer=JSONFrameSerializer())

    return Session(wire.peer, Parts.of(params))


CLIENT = WebsocketClientParams(additional_headers={"Authorization": SECRET}, serializer=JSONFrameSerializer())
SHOWN: dict[str, object] = {
    "a peer": PEER,
    "an address": Address.parse(URL),
    "an ASGI wire": asgi_wire((SCOPE, _receive, _send), max_message_bytes=1),
    "client parameters": CLIENT,
    "a client": WebsocketClientTransport(URL, CLIENT),
    "an ASGI transport": AsgiWebsocketTransport(
        (SCOPE, _receive, _send), AsgiWebsocketParams(serializer=JSONFrameSerializer())
    ),
}

# -- every event and every error ----------------------------------------------------------------------------------

OF_THIS_SIDE = (LocalProtocolError, ParamsFileError, WorkerFailed, NoSuchBot, TLSFilesError)
"""Errors whose words are those of the program's own author or operator: they may have several lines."""

NAMED: dict[str, object] = {
    "addresses": (("127.0.0.1", 8765),),
    "body": FORGED.encode(),
    "errors": {"worker": JobError(FORGED, worker=FORGED)},
    "headers": HEADERS,
    "message": FORGED,
    "peer": PEER,
    "url": URL,
}
"""What a parameter of that name is given: the worst that a peer can bring about."""
TYPED: dict[str, object] = {
    "str": FORGED,
    "str | None": FORGED,
    "int": 1,
    "float": 0.5,
    "bool": True,
    "Exception": REJECTED,
}


def of_type(annotation: Any, name: str) -> object:  # noqa: ANN401 - whatever was annotated
    """What a parameter is given; KeyError where nothing here says."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)[-1]
    told = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    if told == "Session":
        return session()
    if name == "peer" and told == "str":
        return URL
    return NAMED[name] if name in NAMED else TYPED[told]


def worst(kind: type) -> Any:  # noqa: ANN401 - any event or error
    """An instance that was given everything that must not be shown."""
    if inspect.getattr_static(kind, "__init__") is inspect.getattr_static(Exception, "__init__"):
        return kind(FORGED)
    given = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        try:
            given[name] = of_type(parameter.annotation, name)
        except KeyError:
            if parameter.default is parameter.empty:
                pytest.fail(f"say in NAMED or TYPED what {kind.__name__}({name}: {parameter.annotation}) is given")
    return kind(**given)


@cache
def modules() -> tuple[ModuleType, ...]:
    found = []
    for each in pkgutil.walk_packages(trio_transports.__path__, "trio_transports."):
        if ".examples" not in each.name and not each.name.endswith("__main__"):
            with suppress(ImportError):  # it needs an extra that is not there
                found.append(importlib.import_module(each.name))
    return tuple(found)


def events() -> list[type]:
    """Every kind in every union of the package that is called an event: ``Event``, ``ProxyEvent`` and their kin."""
    unions = [
        value
        for module in modules()
        for name, value in vars(module).items()
        if name.endswith("Event") and isinstance(value, UnionType)
    ]
    kinds = {kind for union in unions for kind in get_args(union)}
    return sorted((kind for kind in kinds if kind.__module__.startswith("trio_transports")), key=str)


def errors(of: type[TransportError] = TransportError) -> Iterator[type[TransportError]]:
    modules()
    yield of
    for kind in of.__subclasses__():
        if kind.__module__.startswith("trio_transports"):
            yield from errors(kind)


def check_secret(value: object) -> None:
    assert SECRET not in f"{value!s} {value!r} {value}"
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s and %r", (value, value), None)
    assert SECRET not in record.getMessage()


async def test_no_event_shows_a_secret_or_forges_a_line() -> None:
    """Of whatever union; events hold the session, which holds its peer, with all that it sent."""
    kinds = events()
    names = {kind.__name__ for kind in kinds}
    assert names >= {"ServerReady", "Disconnected", "ProxyConnected", "Reconnecting", "StoringPaused", "AgentFault"}
    for kind in kinds:
        event = worst(kind)
        check_secret(event)
        assert str(event).isprintable(), kind
        assert repr(event).isprintable(), kind


def test_no_error_shows_a_secret_or_forges_a_line() -> None:
    """All that are raised on purpose, those of a peer's making on one line."""
    kinds = set(errors())
    names = {kind.__name__ for kind in kinds}
    assert names >= {"HandshakeRejected", "UnknownTypeError", "JobGroupError", "AgentSilent", "HangUpFailed"}
    for kind in kinds:
        error = worst(kind)
        check_secret(error)
        assert repr(error).isprintable(), kind
        if kind is not TransportError and not issubclass(kind, OF_THIS_SIDE):
            assert str(error).isprintable(), kind


@pytest.mark.parametrize("what", SHOWN)
def test_no_secret_is_shown(what: str) -> None:
    """Neither headers nor query tokens stand in ``str`` or ``repr``, nor in what a log makes of them."""
    check_secret(SHOWN[what])


def test_a_peer_still_tells_what_it_sent() -> None:
    """It is only not shown: the application reads it where it wants to."""
    peer = Peer(address="10.0.0.7", port=4711, path="/call", query_string=f"token={SECRET}", headers=HEADERS)
    assert peer.header("Authorization") == f"Bearer {SECRET}"
    assert peer.query == {"token": [SECRET]}
    assert str(peer) == "10.0.0.7:4711/call"


@pytest.mark.parametrize(
    "value",
    [
        Peer(address="10.0.0.7", path=f"/call{FORGED}"),
        Peer(address=f"10.0.0.7{FORGED}", port=1),
        ConnectionClosed(4000, f"bye{FORGED}", initiator="remote"),
        REJECTED,
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_line_can_be_forged(value: object) -> None:
    """What a peer says stays on its line and moves no cursor, in ``str`` and in ``repr``."""
    for text in (str(value), repr(value)):
        assert text.isprintable(), text
    assert "all is well" in str(value)  # it is shown, not hidden


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://host:8765/a/b", "ws://host:8765/a/b"),
        ("ws://host/?token=1", "ws://host/?..."),
        ("wss://me:secret@host/", "wss://host/"),
        ("ws://[::1]:80/x?y", "ws://[::1]:80/x?..."),
        ("ws://[broken/x?y", "ws://[broken/x?..."),
        ("the handshake with ws://host/x?y", "the handshake with ws://host/x?..."),
    ],
)
def test_addresses_without_their_query(url: str, shown: str) -> None:
    """Scheme, host, port and path; a query is only said to be there."""
    assert shown_url(url) == shown


def test_text_that_is_printable_stays_as_it_is() -> None:
    """Umlauts and pictures too."""
    assert shown_text("grüße 🎧") == "grüße 🎧"


async def test_what_a_page_or_a_terminal_is_told_stays_on_its_line() -> None:
    """The reason of a goodbye is the peer's own words."""
    told = [describe(event(session())) for event in (Connected, _said_goodbye)]
    assert all(line.isprintable() for line in told)
    assert "all is well" in told[-1]


def _said_goodbye(of: Session) -> Disconnected:
    return Disconnected(of, 4000, FORGED, "remote")
