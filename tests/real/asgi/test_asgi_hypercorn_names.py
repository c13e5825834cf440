"""The names of hypercorn (and of wsproto and h2 beneath it) that ``serve_asgi`` leans on without their being public.

A failure here says that another version of hypercorn was installed than ``hosting`` was written for: read what has
changed, follow it in ``trio_transports/hosting``, and move the range in ``pyproject.toml``.
"""

import inspect
from importlib import import_module
from importlib.metadata import version
from typing import Final

import pytest

_CALLS: Final = {
    "hypercorn.protocol.h11:H11Protocol": (
        "app, config, context, task_group, connection_state, ssl, client, server, send"
    ),
    "hypercorn.protocol.h11:H11Protocol.initiate": "self",
    "hypercorn.protocol.h11:H11Protocol._check_protocol": "self, event",
    "hypercorn.protocol.h11:H11Protocol._create_stream": "self, request",
    "hypercorn.protocol.h11:H11Protocol._send_h11_event": "self, event",
    "hypercorn.protocol.h11:H11Protocol.handle": "self, event",
    "hypercorn.protocol.h11:H2ProtocolAssumedError": "data",
    "hypercorn.protocol.h11:H2CProtocolRequiredError": "data, request",
    "hypercorn.protocol.h2:H2Protocol": (
        "app, config, context, task_group, connection_state, ssl, client, server, send"
    ),
    "hypercorn.protocol.h2:H2Protocol.initiate": "self, headers, settings",
    "hypercorn.protocol.h2:H2Protocol.handle": "self, event",
    "hypercorn.protocol.h2:H2Protocol._flush": "self",
    "hypercorn.protocol.h2:H2Protocol._handle_events": "self, events",
    "hypercorn.protocol.h2:StreamBuffer": "event_class",
    "hypercorn.protocol.h2:StreamBuffer.push": "self, data",
    "hypercorn.protocol.h2:StreamBuffer.pop": "self, max_length",
    "hypercorn.protocol.h2:StreamBuffer.close": "self",
    "hypercorn.protocol.h2:BufferCompleteError": None,
    "hypercorn.protocol.h2:BUFFER_HIGH_WATER": None,
    "hypercorn.protocol.h2:BUFFER_LOW_WATER": None,
    "hypercorn.protocol.http_stream:HTTPStream": None,
    "hypercorn.protocol.ws_stream:WSStream": ("app, config, context, task_group, ssl, client, server, send, stream_id"),
    "hypercorn.protocol.ws_stream:WSStream.app_send": "self, message",
    "hypercorn.protocol.ws_stream:Handshake": "headers, http_version",
    "hypercorn.protocol.ws_stream:Handshake.accept": "self, subprotocol, additional_headers",
    "hypercorn.protocol.ws_stream:ASGIWebsocketState.CONNECTED": None,
    "hypercorn.protocol.events:Data": "stream_id, data",
    "hypercorn.events:RawData": "data, address",
    "hypercorn.events:Closed": "",
    "hypercorn.events:Updated": "idle",
    "hypercorn.trio.lifespan:Lifespan": "app, config, state",
    "hypercorn.trio.lifespan:Lifespan.handle_lifespan": "self, task_status",
    "hypercorn.trio.lifespan:Lifespan.wait_for_startup": "self",
    "hypercorn.trio.lifespan:Lifespan.wait_for_shutdown": "self",
    "hypercorn.trio.statsd:StatsdLogger": "config",
    "hypercorn.trio.worker_context:WorkerContext": "max_requests",
    "hypercorn.trio.worker_context:EventWrapper": "",
    "hypercorn.utils:wrap_app": "app, wsgi_max_body_size, mode",
    "hypercorn.utils:parse_socket_addr": "family, address",
    "hypercorn.utils:repr_socket_addr": "family, address",
    "hypercorn.config:Config.create_sockets": "self",
    "hypercorn.config:Config.create_ssl_context": "self",
    "hypercorn.config:Config.set_statsd_logger_class": "self, statsd_logger",
    "hypercorn.config:Sockets": "secure_sockets, insecure_sockets, quic_sockets",
    "hypercorn.logging:Logger.access": "self, request, response, request_time",
    "hypercorn.logging:Logger.error": "self, message, args, kwargs",
    "hypercorn.logging:Logger.info": "self, message, args, kwargs",
    "hypercorn.typing:TaskGroup.spawn_app": "self, app, config, scope, send",
    "hypercorn.typing:TaskGroup.spawn": "self, func, args",
    "wsproto.connection:Connection": "connection_type, extensions, trailing_data",
    "wsproto.connection:Connection.events": "self",
    "wsproto.connection:Connection.send": "self, event",
    "wsproto.events:Ping.response": "self",
    "h2.connection:H2Connection.receive_data": "self, data",
}

_ASSUMED: Final = {
    "the bytes of an unfinished frame are in a field": (
        "h2.frame_buffer:FrameBuffer",
        ["self._data = bytearray()"],
    ),
    "that buffer is the connection's": (
        "h2.connection:H2Connection",
        ["self.incoming_buffer = FrameBuffer(", "self.max_inbound_frame_size"],
    ),
    "a stream has the attributes that the guard reads or replaces": (
        "hypercorn.protocol.ws_stream:WSStream",
        [
            "self.buffer = WebsocketBuffer(",
            "self.scope",
            "self.handshake",
            "self.connection",
            "self.state",
            "self.closed",
            "self.stream_id",
            "self.send",
        ],
    ),
    "the app's send is a bound method of its stream": (
        "hypercorn.protocol.ws_stream:WSStream.handle",
        ["self.app_send"],
    ),
    "the app's send is a bound method of its HTTP stream": (
        "hypercorn.protocol.http_stream:HTTPStream.handle",
        ["self.app_send"],
    ),
    "a message is limited as it comes in": (
        "hypercorn.protocol.ws_stream:WebsocketBuffer.extend",
        ["if self.length > self.max_length:", "raise FrameTooLargeError()"],
    ),
    "accepting goes through the handshake": (
        "hypercorn.protocol.ws_stream:WSStream._accept",
        ["self.connection = self.handshake.accept("],
    ),
    "a ping is answered with its response": (
        "hypercorn.protocol.ws_stream:WSStream._handle_events",
        ["isinstance(event, Ping)", "self._send_wsproto_event(event.response())"],
    ),
    "HTTP/1.1 asks about its protocol before it makes a stream": (
        "hypercorn.protocol.h11:H11Protocol._handle_events",
        ["await self._check_protocol(event)", "await self._create_stream(event)", "self.stream is None"],
    ),
    "a protocol is exchanged as hypercorn's own wrapper does it": (
        "hypercorn.protocol:ProtocolWrapper.handle",
        [
            "except H2ProtocolAssumedError as error",
            "await self.protocol.initiate()",
            "except H2CProtocolRequiredError as error",
            "await self.protocol.initiate(error.headers, error.settings)",
        ],
    ),
    "HTTP/2 keeps its streams' buffers in a mapping": (
        "hypercorn.protocol.h2:H2Protocol",
        [
            "self.stream_buffers[request.stream_id] = StreamBuffer(",
            "self.connection = ",
            "self.streams[request.stream_id]",
        ],
    ),
    "a stream's buffer exists before its app is started": (
        "hypercorn.protocol.h2:H2Protocol._create_stream",
        ["self.stream_buffers[", ".handle("],
    ),
    "a stream's buffer is made of these": (
        "hypercorn.protocol.h2:StreamBuffer",
        ["self.buffer = bytearray()", "self._complete", "self._is_empty"],
    ),
}


def _found(path: str) -> object:
    module, _, names = path.partition(":")
    found: object = import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("path", _CALLS)
def test_a_name_is_there(path: str) -> None:
    """Each name that hosting uses is there, with the parameters it is called with."""
    try:
        found = _found(path)
    except (ImportError, AttributeError) as exc:
        pytest.fail(f"hypercorn {version('hypercorn')} has no {path} ({exc}): hosting leans on it")
    wanted = _CALLS[path]
    if wanted is not None:
        assert callable(found)
        got = ", ".join(inspect.signature(found).parameters)
        assert got == wanted, f"hypercorn {version('hypercorn')} has changed the parameters of {path}"


@pytest.mark.parametrize("assumption", _ASSUMED)
def test_an_assumption_holds(assumption: str) -> None:
    """What hosting assumes of hypercorn's inner workings is still to be read in its source."""
    path, fragments = _ASSUMED[assumption]
    source = inspect.getsource(_found(path))  # type: ignore[arg-type]
    position = 0
    for fragment in fragments:
        found = source.find(fragment, position if path.endswith("_create_stream") else 0)
        assert found >= 0, f"hypercorn {version('hypercorn')}: {assumption}, but {path} has no {fragment!r}"
        position = found
