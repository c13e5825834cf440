"""What users of the replaced systems type first, and the row of the migration table that says how it is done here.

Rules
1. ``ROWS`` is the one source: the errors quote a row, and a test holds the guide "Coming from Pipecat or Scenario" to
   have each of them.
2. ``@moved`` gives a class answers for names that it has not. Type checkers see nothing of it: to them the names are
   as unknown as they are.
3. A name that is only written in the wrong place (``session.send``) is told its place, without a row.
4. ``@suggesting`` does the same for arguments that a class does not take, and names the one that is spelled most alike.
"""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from types import MappingProxyType
from typing import Final, Literal, NoReturn, TypeVar

C = TypeVar("C", bound=type)
Kind = Literal["transport", "session", "channel", "pipeline", "runner", "proxy"]
ArgumentKind = Literal["transport", "params", "line"]

ROWS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "client": (
            "`WebsocketClientTransport`, `WebsocketClientParams`, `WebsocketClientSession`",
            "the same, the same, `Session`",
        ),
        "server": (
            "`WebsocketServerTransport`, `WebsocketServerParams`, for one client at a time",
            "the same, for many; `max_sessions=1` keeps the first and tells a second 1013",
        ),
        "channels": (
            "`transport.input()`, `transport.output()`",
            "`session.input` and `session.output`, two trio channels; a transport makes the session",
        ),
        "events": (
            '`@transport.event_handler("on_client_connected")`',
            "`async for event in transport.events()`: `Connected`, `Disconnected`, `SessionTimeout`, `ServerReady`",
        ),
        "life": (
            "`setup(task_manager)`, `start`, `stop`, `cancel`, `cleanup`",
            "`async with transport.session()` or `nursery.start(transport.serve, handler)`: it ends with its block",
        ),
        "connect": (
            "`await adapter.connect()`, `await client.connect()`",
            "`async with adapter:`, `async with transport.session()`: a connection has tasks, and tasks need an owner",
        ),
        "send": (
            "`send_message(frame)`, `write_audio_frame(frame)`",
            "`session.output.send(frame)`, `output.send_message(document)`, `output.write_audio(frame)`",
        ),
        "raw": (
            "`await session.send(text_or_bytes)`, `await websocket.send(...)`",
            "`await session.output.send_raw(text_or_bytes)`, in order with the frames",
        ),
        "address": (
            "`websocket.remote_address`, `websocket.client`",
            "`session.peer`: `address`, `port`, `path`, `headers`, `query`; it is there after the call too",
        ),
        "task": (
            "`PipelineTask`, `PipelineRunner().run(task)`",
            "`await Pipeline([...]).run(session.input, session.output)` in the handler; trio runs it",
        ),
        "task_params": (
            "`PipelineParams(allow_interruptions=True, ...)`",
            "`Pipeline([...], allow_interruptions=True)`; sample rates are in the transport's parameters",
        ),
        "queue_frames": (
            "`await task.queue_frames([...])`",
            "`for frame in frames: await session.output.send(frame)`",
        ),
        "processor": (
            "`FrameProcessor`, `process_frame`, `push_frame`",
            "a stage: `async def stage(input, output)`, or a function of one frame that gives None, one or several",
        ),
        "fastapi": (
            "`FastAPIWebsocketTransport`, `FastAPIWebsocketParams`, `FastAPIWebsocketClient`",
            "`AsgiWebsocketTransport(websocket, params)`, `AsgiWebsocketParams`",
        ),
        "callbacks": (
            "`WebsocketClientCallbacks(on_connected, on_disconnected, on_message)`",
            "`transport.events()` for the first two, `transport.messages()` for the raw messages received",
        ),
        "audio_frames": (
            "`InputAudioRawFrame`, `OutputAudioRawFrame`, `TTSAudioRawFrame`",
            "`AudioFrame`: its direction is the channel that it is on",
        ),
        "message_frames": (
            "`InputTransportMessageFrame`, `OutputTransportMessageFrame`, `OutputTransportMessageUrgentFrame`",
            "`MessageFrame(message=..., urgent=...)`",
        ),
        "text_frames": (
            "`LLMTextFrame`, `TTSTextFrame`, `TTSSpeakFrame`",
            "`TextFrame(text=...)`",
        ),
        "end_frame": (
            "`EndFrame` pushed into the pipeline, `task.cancel()`",
            "`session.output.send(EndFrame())` says what is queued and ends the call; `CancelFrame()` ends it at once",
        ),
        "uvicorn": (
            "`uvicorn.run(app)`",
            "`await serve_asgi(app, config, signals=True)`: an app on trio needs a server on trio",
        ),
        "rtvi": (
            "`RTVIProcessor`, `RTVIObserver`",
            "`serializer=RTVIFrameSerializer()`: the dialect itself answers the handshake and tells what happens",
        ),
        "same_names": (
            "`ProtobufFrameSerializer`, `SileroVADAnalyzer`",
            "the same, in `serializers.protobuf` and `vad.silero`",
        ),
        "shared": (
            "`vad_analyzer=SileroVADAnalyzer()`, a serializer, a mixer: one for each call",
            "one for all calls: each session works on a `fresh()` copy",
        ),
        "min_volume": (
            "`VADParams(min_volume=0.6)`",
            "the same name on a scale of its own: 0.6 is -40 dBFS",
        ),
        "wav_header": (
            "`add_wav_header=True`, the client's default",
            "False everywhere: a header on each chunk is heard as a click; headers are taken off what comes in",
        ),
        "origins": (
            "any page may connect",
            "pages of the server's own host may, and those that `allowed_origins` names",
        ),
        "names": (
            "`input_name=`, `output_name=`, `name=` of a transport",
            "nothing: there is no object to be named; log lines and events have `session.id`",
        ),
        "line": (
            "`TwilioFrameSerializer(stream_sid=..., call_sid=..., account_sid=..., auth_token=...)`",
            "`TwilioFrameSerializer()`: a call's ids come with its start message, and what ends it is the parameter "
            "`hang_up=TwilioHangUp(account, token)`",
        ),
        "workers": (
            "`await runner.add_workers(one, other)`",
            "`await runner.run(one, other)`, or `await runner.add_worker(one)` for each while it runs",
        ),
        "adapter": (
            "`WebSocketAgentAdapter`, `WebSocketProtocol`, `AudioChunk`, `AdapterCapabilities`",
            "the same, in `trio_transports.agent`",
        ),
        "pacing": (
            "the adapter's `send_audio` sends at once",
            "it sends as one would speak, 20 ms at a time; `paced=False` sends at once",
        ),
        "jobs": (
            '`self.job("w", params=JobParams(name=n, payload=p, timeout=t))`, `self.send_job_response(id, r)`',
            '`await self.job("w", n, p, timeout=t)`; a method with `@job(n)` returns its answer',
        ),
        "proxy": (
            "`WebSocketProxyServer`, `WebSocketProxyClient`",
            "the same, in `trio_transports.bus`; `serve_proxies` makes one for each peer that connects",
        ),
        "proxy_events": (
            '`@proxy.event_handler("on_client_connected")`',
            "`async for event in proxy.events()`: `ProxyConnected`, `ProxyDisconnected`, `Reconnecting`",
        ),
    }
)


def row_of(name: str) -> str:
    """A row of the migration table, in one sentence."""
    there, here = ROWS[name]
    return f"{there} is here: {here} (python -m trio_transports docs, 'Coming from Pipecat or Scenario')"


_TRANSPORT: Final = {
    **dict.fromkeys(("input", "output"), "channels"),
    **dict.fromkeys(("event_handler", "add_event_handler"), "events"),
    **dict.fromkeys(("setup", "start", "stop", "cancel", "cleanup", "task_manager", "run"), "life"),
    **dict.fromkeys(("connect", "disconnect"), "connect"),
    **dict.fromkeys(("send_message", "write_audio_frame"), "send"),
    "send": "raw",
}
_SESSION: Final = {
    **dict.fromkeys(("event_handler", "add_event_handler"), "events"),
    **dict.fromkeys(("setup", "start", "stop", "cancel", "cleanup", "task_manager"), "life"),
    **dict.fromkeys(("connect", "disconnect"), "connect"),
    **dict.fromkeys(("send_message", "write_audio_frame"), "send"),
    **dict.fromkeys(("send", "send_text", "send_bytes"), "raw"),
    **dict.fromkeys(("remote_address", "client", "websocket"), "address"),
    "queue_frames": "queue_frames",
    "queue_frame": "queue_frames",
}
_NAMES: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        "transport": _TRANSPORT,
        "session": _SESSION,
        "channel": {},
        "pipeline": {
            **dict.fromkeys(("queue_frames", "queue_frame"), "queue_frames"),
            **dict.fromkeys(("setup", "start", "stop", "cancel", "cleanup"), "task"),
            **dict.fromkeys(("process_frame", "push_frame"), "processor"),
        },
        "runner": {"add_workers": "workers", "spawn": "workers"},
        "proxy": dict.fromkeys(("event_handler", "add_event_handler"), "proxy_events") | {"add_workers": "workers"},
    }
)
_PLACES: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        "transport": {
            "receive": "a transport makes sessions: `async with transport.session() as session`, then `session.input`",
            "close": "a transport holds no connection: leave the `async with`, or `await session.aclose()`",
            "aclose": "a transport holds no connection: leave the `async with`, or `await session.aclose()`",
            "is_connected": "a transport may have many connections: `session.is_connected`",
        },
        "session": {
            **dict.fromkeys(("receive", "recv", "receive_nowait"), "frames are read from `session.input`"),
            **dict.fromkeys(
                ("write_audio", "send_raw", "interrupt", "drain", "end", "queued_s", "playback"),
                "it is a verb of `session.output`",
            ),
            **dict.fromkeys(("start_audio", "stop_audio"), "it is a verb of `session.input`"),
            "close": "`await session.aclose()` flushes and closes",
            "events": "events are told by the transport: `transport.events()`",
            "serve": "a session is served by its handler: `await transport.serve(handler)`",
        },
        "channel": {},
        "pipeline": {},
        "runner": {},
        "proxy": {},
    }
)
_SYNTAX: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        "transport": {
            "__aenter__": "a transport makes any number of sessions: write `async with transport.session() as session`"
        },
        "session": {
            "__aiter__": "write `async for frame in session.input`",
            "__aenter__": "a session is entered where it is made: `async with transport.session() as session`",
        },
        "channel": {
            "__call__": row_of("channels"),
            "__iter__": "it is read with `async for`, in an `async def`",
        },
    }
)
"""What Python asks the class for where something is written that it cannot be: ``async for frame in session``."""
_ARGUMENTS: Final[Mapping[ArgumentKind, Mapping[str, str]]] = MappingProxyType(
    {
        "transport": dict.fromkeys(("input_name", "output_name", "name"), row_of("names"))
        | {"callbacks": row_of("callbacks"), "url": "the first argument, `uri`, is the address"},
        "params": {
            **dict.fromkeys(("host", "port", "uri", "url"), "that is an argument of the transport, not a parameter"),
            **{f"camera_out_{name}": f"it is `video_out_{name}`" for name in ("enabled", "is_live", "width", "height")},
            "camera_in_enabled": "it is `video_in_enabled`",
            "headers": "it is `additional_headers`",
            "origins": "it is `allowed_origins`",
        },
        "line": dict.fromkeys(
            ("stream_sid", "call_sid", "account_sid", "auth_token", "call_control_id", "call_id", "api_key"),
            row_of("line"),
        )
        | {"auth_id": row_of("line"), "params": row_of("line")},
    }
)
_MODULE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("PipelineTask", "PipelineRunner", "PipelineWorker"), "task"),
        "PipelineParams": "task_params",
        "FrameProcessor": "processor",
        **dict.fromkeys(
            ("FastAPIWebsocketTransport", "FastAPIWebsocketParams", "FastAPIWebsocketClient"),
            "fastapi",
        ),
        **{f"{kind}Callbacks": "callbacks" for kind in ("WebsocketClient", "WebsocketServer", "FastAPIWebsocket")},
        **dict.fromkeys(
            (
                "WebsocketClientInputTransport",
                "WebsocketClientOutputTransport",
                "WebsocketServerInputTransport",
                "WebsocketServerOutputTransport",
                "FastAPIWebsocketInputTransport",
                "FastAPIWebsocketOutputTransport",
            ),
            "channels",
        ),
        "WebsocketClientSession": "life",
        **dict.fromkeys(("InputAudioRawFrame", "OutputAudioRawFrame", "TTSAudioRawFrame"), "audio_frames"),
        **dict.fromkeys(
            (
                "InputTransportMessageFrame",
                "InputTransportMessageUrgentFrame",
                "OutputTransportMessageFrame",
                "OutputTransportMessageUrgentFrame",
                "TransportMessageFrame",
                "TransportMessageUrgentFrame",
            ),
            "message_frames",
        ),
        **dict.fromkeys(("LLMTextFrame", "TTSTextFrame", "TTSSpeakFrame"), "text_frames"),
    }
)
_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Pipeline": "pipeline",
        "FrameSerializer": "serializers",
        "JSONFrameSerializer": "serializers",
        "ProtobufFrameSerializer": "serializers.protobuf",
        "DetectingFrameSerializer": "serializers.detect",
        "RTVIFrameSerializer": "serializers.rtvi",
        "TwilioFrameSerializer": "serializers.twilio",
        "TelnyxFrameSerializer": "serializers.telnyx",
        "PlivoFrameSerializer": "serializers.plivo",
        "ExotelFrameSerializer": "serializers.exotel",
        "VonageFrameSerializer": "serializers.vonage",
        "VADAnalyzer": "vad",
        "VADParams": "vad",
        "EnergyVADAnalyzer": "vad",
        "SileroVADAnalyzer": "vad.silero",
        "LocalBus": "bus",
        "RedisBus": "bus.redis",
        "Worker": "bus",
        "WorkerRunner": "bus",
        "WebSocketProxyServer": "bus",
        "WebSocketProxyClient": "bus",
        "WebSocketAgentAdapter": "agent",
        "WebSocketProtocol": "agent",
        "AudioChunk": "agent",
        "AdapterCapabilities": "agent",
        "serve_asgi": "hosting",
        "SoundMixer": "audio.mixer",
        "TwilioHangUp": "telephony",
        "TwilioSignature": "telephony",
        "phone_call": "testing",
    }
)
"""Names that are imported from a module of their own, and which."""


def moved(kind: Kind) -> Callable[[C], C]:
    """Have a class say, for names that it has not, what is there instead."""
    rows, places = _NAMES[kind], _PLACES[kind]

    def decorate(cls: C) -> C:
        def explain(self: object, name: str) -> NoReturn:
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name in rows:
                text = f"{text}. {row_of(rows[name])}"
            elif name in places:
                text = f"{text}: {places[name]}"
            raise AttributeError(text, name=name, obj=self)

        cls.__getattr__ = explain  # type: ignore[attr-defined]  # rule 2
        for asked, text in _SYNTAX.get(kind, {}).items():
            setattr(cls, asked, _refusing(cls.__name__, text))
            if asked == "__aenter__":  # asked for after this one
                cls.__aexit__ = _refusing(cls.__name__, text)  # type: ignore[attr-defined]
        return cls

    return decorate


def _refusing(where: str, text: str) -> Callable[..., NoReturn]:
    def refuse(_self: object, *_given: object, **_named: object) -> NoReturn:
        raise TypeError(f"{where} cannot be used so: {text}")

    return refuse


def suggesting(kind: ArgumentKind) -> Callable[[C], C]:
    """Have a class say, for arguments that it does not take, which one is meant."""
    places = _ARGUMENTS[kind]

    def decorate(cls: C) -> C:
        make = vars(cls)["__init__"]

        @wraps(make)
        def init(self: object, *given: object, **named: object) -> None:
            try:
                make(self, *given, **named)
            except TypeError:
                taken = list(inspect.signature(make).parameters)[1:]
                unknown = next((name for name in named if name not in taken), None)
                if unknown is None:
                    raise
                raise TypeError(_not_taken(type(self).__name__, unknown, taken, places)) from None

        setattr(cls, "__init__", init)  # noqa: B010 - a type checker takes it for an instance's
        return cls

    return decorate


def _not_taken(where: str, name: str, taken: list[str], places: Mapping[str, str]) -> str:
    text = f"{where} takes no {name!r}"
    if name in places:
        return f"{text}: {places[name]}"
    alike = get_close_matches(name, taken, n=1)
    return f"{text}: is {alike[0]!r} meant?" if alike else f"{text}: it takes {', '.join(taken)}"


def explain_import(name: str) -> NoReturn:
    """Answer for a name that ``trio_transports`` has not: the package's ``__getattr__``."""
    text = f"cannot import name {name!r} from 'trio_transports'"
    if name in _MODULE:  # an ImportError: of an AttributeError the import statement would show nothing
        raise ImportError(f"{text}. {row_of(_MODULE[name])}", name="trio_transports")
    if name in _ELSEWHERE:
        module = f"trio_transports.{_ELSEWHERE[name]}"
        raise ImportError(f"{text}: write `from {module} import {name}`", name="trio_transports")
    raise AttributeError(f"module 'trio_transports' has no attribute {name!r}")
