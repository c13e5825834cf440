"""Any bot's handler as ASGI routes: the page, its client files, ``/ws``, ``/start``, ``/about`` and ``/status``.

==========================  ==========================================================================================
path                        what is there
==========================  ==========================================================================================
``/``, ``/client/voice.js``  the page for this bot, and its client side, which other pages may import too
``/ws``                     any caller, told by its first message; ``?dialect=NAME`` asks for one; ``?pcm=RATE`` is the
                            page's own: bare PCM beside JSON frames
``/start``                  where Pipecat's clients ask for the address of ``/ws``
``/about``                  what the page shows of the bot: its title, its controls
``/status``                 who is here and what has happened, where ``shows_sessions``
==========================  ==========================================================================================

``routed`` makes one ASGI app of them, and of others that are put beside them.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Final
from urllib.parse import parse_qs

import trio
from attrs import evolve

from .. import __version__
from ..audio.format import AudioFormat
from ..params import AsgiWebsocketParams
from ..serializers.detect import PROVIDERS, DetectingFrameSerializer
from ..serializers.protocol import FrameSerializer, per_session
from ..session.session import Session
from ..transports.asgi import AsgiWebsocketTransport
from ..vad.analyzer import VADParams
from ..vad.energy import EnergyVADAnalyzer
from ..wire.accepting.hosts import wrong_host
from ..wire.refusal import Refusal
from ..wire.running import ASGI_WAYS_OUT, require_trio
from .asgi import Receive, Route, Scope, Send, answer, answer_json, header, refuse_websocket
from .controls import Control, described
from .dialect import PCMFrameSerializer
from .files import load_files
from .hall import Hall
from .start import StartTokens, start_route, with_tokens

Handler = Callable[[Session], Awaitable[None]]

MAX_SESSIONS: Final = 64
IDLE_S: Final = 60.0
PAUSE_S: Final = 0.6
"""A shorter pause is within a sentence."""
RATES: Final = range(8000, 192_001)
_NO_SUCH_DIALECT: Final = Refusal(
    status=400,
    body=f"dialect must be one of {', '.join(sorted(PROVIDERS))}, "
    f"and pcm a rate in Hz from {RATES[0]} to {RATES[-1]}\n",
)
_FULL: Final = Refusal(status=503, body="the bot is full: try again later\n", headers=(("Retry-After", "1"),))


def bot_params() -> AsgiWebsocketParams:
    """What a bot is served with unless its author says otherwise.

    Audio and pictures both ways; speech found, and interruptions; gaps not filled with silence, nor the end; and who
    has sent nothing for a minute is let go.
    """
    return AsgiWebsocketParams(
        serializer=DetectingFrameSerializer(),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_10ms_chunks=2,
        audio_out_auto_silence=False,
        audio_out_end_silence_secs=0,
        vad_enabled=True,
        vad_analyzer=EnergyVADAnalyzer(VADParams(stop_secs=PAUSE_S)),
        allow_interruptions=True,
        video_in_enabled=True,
        # Pages cannot show bare pixels: without the extra nothing can be shown there. JPEG costs a tenth of what PNG
        # does, so a bot's pictures may move.
        video_out_enabled=find_spec("PIL") is not None,
        video_out_codec="JPEG" if find_spec("PIL") is not None else None,
        idle_timeout=IDLE_S,
    )


def bot_routes(
    handler: Handler,
    params: AsgiWebsocketParams | None = None,
    *,
    title: str = "Say something.",
    lede: str = "",
    controls: Sequence[Control] = (),
    hall: Hall | None = None,
    shows_sessions: bool = False,
    tokens: StartTokens | None = None,
    allowed_origins: Collection[str] = (),
    host_names: Collection[str] = (),
    public_url: str | None = None,
    max_sessions: int = MAX_SESSIONS,
) -> Mapping[str, Route]:
    """Give path -> route for a bot.

    Pages of other origins than this server's own need ``allowed_origins``; ``host_names`` are those it may be reached
    by, besides addresses and localhost.

    ``title``, ``lede`` and ``controls`` are what the page says and offers; ``params``, ``shows_sessions``, ``tokens``
    and ``public_url`` are as for ``serve.bot_app``. ``hall`` knows who is here: give several bots the same one. Past
    ``max_sessions`` calls at once a further caller is refused.
    """
    place = Hall() if hall is None else hall
    settings = bot_params() if params is None else params
    if tokens is not None:
        settings = with_tokens(settings, tokens)
    about = partial(_about, title=title, lede=lede, controls=controls, needs_token=tokens is not None)
    about = partial(about, takes_pictures=settings.video_in_enabled)
    socket = partial(_websocket, handler, settings, place, allowed_origins, max_sessions)
    routes: dict[str, Route] = {
        "/ws": socket,
        "/start": start_route(tokens=tokens, allowed_origins=allowed_origins, public_url=public_url),
        "/about": partial(_get_json, about),
        "/status": partial(_get_json, partial(place.status, shows_sessions=shows_sessions)),
    }
    for path, (kind, body) in load_files().items():
        routes[path] = partial(_file, kind, body)
    return {path: guarded(route, host_names) for path, route in routes.items()}


def routed(routes: Mapping[str, Route]) -> Route:
    """One ASGI app of several routes; it may be mounted below a path of another app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await _lifespan(receive, send)
            return
        if kind not in ("http", "websocket"):
            raise ValueError(f"this app does not know the ASGI scope {kind!r}")
        route = routes.get(_path(scope))
        if route is not None:
            await route(scope, receive, send)
        elif kind == "websocket":
            await refuse_websocket(scope, receive, send)
        else:
            await answer(scope, send, 404, b"there is no such page: the bot is at /\n")

    return app


def _path(scope: Scope) -> str:
    """The path below where this app is mounted; some frameworks leave in ``path`` what they tell in ``root_path``."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    # Where a proxy has taken off a prefix (an app's own root_path), only where this app is mounted is in the path.
    mounted = root.removeprefix(str(scope.get("app_root_path", "")).rstrip("/"))
    for prefix in filter(None, (root, mounted)):
        if f"{path}/".startswith(f"{prefix}/"):
            return path[len(prefix) :] or "/"
    return path


def guarded(route: Route, host_names: Collection[str]) -> Route:
    """The route for those who reach this server by its address or one of its names."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = wrong_host(header(scope, b"host") or None, host_names)
        if refusal is None:
            await route(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, refusal)
        else:
            await answer(scope, send, refusal.status, refusal.body.encode())

    return checked


async def _file(kind: str, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await refuse_websocket(scope, receive, send)
    elif scope["method"] in ("GET", "HEAD"):
        await answer(scope, send, 200, body, kind=kind)
    else:
        await answer(scope, send, 405, b"only GET and HEAD\n", headers=[(b"allow", b"GET, HEAD")])


async def _get_json(told: Callable[[], object], scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await refuse_websocket(scope, receive, send)
    elif scope["method"] in ("GET", "HEAD"):
        await answer_json(scope, send, 200, told())  # type: ignore[arg-type]  # what each of them tells is JSON
    else:
        await answer(scope, send, 405, b"only GET and HEAD\n", headers=[(b"allow", b"GET, HEAD")])


def _about(*, title: str, lede: str, controls: Sequence[Control], needs_token: bool, takes_pictures: bool) -> object:
    return {
        "title": title,
        "lede": lede,
        "version": __version__,
        "controls": described(controls),
        "needs_token": needs_token,
        "takes_pictures": takes_pictures,
    }


async def _websocket(
    handler: Handler,
    params: AsgiWebsocketParams,
    hall: Hall,
    allowed_origins: Collection[str],
    max_sessions: int,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    if scope["type"] != "websocket":
        await answer(scope, send, 426, b"a WebSocket is here, for callers\n", headers=[(b"upgrade", b"websocket")])
        return
    require_trio("bot_app", ASGI_WAYS_OUT)
    serializer = _serializer(scope["query_string"].decode("ascii", "replace"), params.serializer)
    if serializer is None:
        await refuse_websocket(scope, receive, send, _NO_SUCH_DIALECT)
        return
    if hall.callers >= max_sessions:
        await refuse_websocket(scope, receive, send, _FULL)
        return
    transport = AsgiWebsocketTransport((scope, receive, send), _for_caller(params, scope, serializer, allowed_origins))
    with hall.admitted():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hall.watch, transport.events())
            await transport.serve(partial(_answer, handler, hall))


async def _answer(handler: Handler, hall: Hall, session: Session) -> None:
    if isinstance(session.serializer, PCMFrameSerializer):
        session.serializer.information = partial(hall.figures, session)
    with hall.present(session):
        await handler(session)


def _serializer(query: str, usual: object) -> FrameSerializer | None:
    """Choose by the query; None when it asks for what cannot be."""
    asked = parse_qs(query, keep_blank_values=True)
    if "pcm" in asked:
        rate = asked["pcm"][0]
        if not (rate.isascii() and rate.isdigit() and len(rate) <= 6 and int(rate) in RATES):
            return None
        return PCMFrameSerializer(AudioFormat(int(rate)), has_marks="marks" in asked)
    if "dialect" in asked:
        source = PROVIDERS.get(asked["dialect"][0])
        return None if source is None else per_session(source)
    return DetectingFrameSerializer() if usual is None else usual  # type: ignore[return-value]  # checked by params


def _for_caller(
    params: AsgiWebsocketParams, scope: Scope, serializer: FrameSerializer, allowed_origins: Collection[str]
) -> AsgiWebsocketParams:
    host = header(scope, b"host")
    # Pages of other sites must not listen in through the visitor's browser; programs send no origin.
    own = (f"http://{host}", f"https://{host}") if host else ()
    return evolve(
        params, serializer=serializer, allowed_origins=(*own, *allowed_origins, *(params.allowed_origins or ()))
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
