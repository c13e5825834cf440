"""The ASGI app: one page with its files, one JSON document about the server, one WebSocket.

Every request must name this server as its ``Host`` (``wire.accepting.hosts``): no page of another site reads what is
said here.

``/ws?pcm=RATE`` speaks bare PCM at that rate beside JSON frames, for the page; ``/ws`` speaks JSON frames only, for any
client of the library.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from importlib.resources import files
from typing import Any, Final, TypeAlias, final
from urllib.parse import parse_qs

import trio
from attrs import define, field

from ..audio.format import AudioFormat
from ..params import AsgiWebsocketParams
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FrameSerializer
from ..session.session import Session
from ..transports.asgi import AsgiWebsocketTransport
from ..vad import EnergyVADAnalyzer, VADParams
from ..wire.accepting.hosts import wrong_host
from .bot import EchoBot
from .hall import Hall
from .serializer import PCMFrameSerializer

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


MAX_SESSIONS: Final = 64
IDLE_S: Final = 60.0
PAUSE_S: Final = 0.6
"""A shorter pause is within a sentence."""
RATES: Final = range(8000, 192_001)

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "wav": "audio/wav",
}
_FILES: Final = (
    *("page.html", "style.css", "icon.svg"),
    *("app.js", "charts.js", "link.js", "sound.js", "tables.js", "worklet.js"),
    *("hello.wav", "stop.wav"),
)
# Nothing from outside, and nobody may put the page into another. Not every browser counts ws: as 'self'.
_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


def load_files() -> Mapping[str, tuple[str, bytes]]:
    """Give path -> (content type, content) of all that the page consists of."""
    static = files(__package__) / "static"
    loaded = {f"/{name}": (_TYPES[name.rpartition(".")[2]], (static / name).read_bytes()) for name in _FILES}
    loaded["/"] = loaded.pop("/page.html")
    return loaded


@final
@define(eq=False)
class DemoApp:
    """An ASGI application for trio. ``host_names`` are those it may be reached by, besides addresses and localhost."""

    hall: Hall = field(factory=Hall)
    host_names: Collection[str] = ()
    _files: Mapping[str, tuple[str, bytes]] = field(factory=load_files, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case other:
                raise ValueError(f"this app does not know the ASGI scope {other!r}")

    async def _http(self, scope: Scope, send: Send) -> None:
        status, kind, body = 200, "application/json", b""
        refusal = wrong_host(_host(scope), self.host_names)
        if refusal is not None:
            status, kind, body = refusal.status, "text/plain", refusal.body.encode()
        elif scope["method"] not in ("GET", "HEAD"):
            status, kind, body = 405, "text/plain", b"only GET and HEAD\n"
        elif scope["path"] == "/status":
            body = json.dumps(self.hall.status()).encode()
        elif scope["path"] in self._files:
            kind, body = self._files[scope["path"]]
        else:
            status, kind, body = 404, "text/plain", b"there is no such page: the demo is at /\n"
        length = str(len(body)).encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", length), *_HEADERS]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        serializer = _serializer(scope["query_string"].decode("ascii", "replace"))
        is_misled = wrong_host(_host(scope), self.host_names) is not None
        if is_misled or scope["path"] != "/ws" or serializer is None or len(self.hall.bots) >= MAX_SESSIONS:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1013})  # before accept: HTTP 403
            return
        transport = AsgiWebsocketTransport((scope, receive, send), _params(scope, serializer))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hall.watch, transport.events())
            await transport.serve(self._answer)

    async def _answer(self, session: Session) -> None:
        bot = self.hall.bots[session.id] = EchoBot(session)
        try:
            await bot.run()
        finally:
            del self.hall.bots[session.id]


def _serializer(query: str) -> FrameSerializer | None:
    """Choose by the query; None when it asks for what cannot be."""
    asked = parse_qs(query, keep_blank_values=True).get("pcm")
    if asked is None:
        return JSONFrameSerializer()
    if not asked[0].isascii() or not asked[0].isdigit() or len(asked[0]) > 6 or int(asked[0]) not in RATES:
        return None
    return PCMFrameSerializer(AudioFormat(int(asked[0])))


def _host(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)


def _params(scope: Scope, serializer: FrameSerializer) -> AsgiWebsocketParams:
    host = _host(scope)
    return AsgiWebsocketParams(
        serializer=serializer,
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_10ms_chunks=2,
        audio_out_auto_silence=False,
        audio_out_end_silence_secs=0,
        vad_enabled=True,
        vad_analyzer=EnergyVADAnalyzer(VADParams(stop_secs=PAUSE_S)),
        idle_timeout=IDLE_S,
        # Pages of other sites must not listen in through the visitor's browser; programs send no origin.
        allowed_origins=(f"http://{host}", f"https://{host}") if host else (),
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
