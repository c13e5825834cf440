"""A bot as one ASGI app: its page, its callers, its documents, its health and its figures.

======================  ==============================================================================================
path                    what is there
======================  ==============================================================================================
``/``                   the page for this bot (``playground.routes`` says what else it brings)
``/ws``                 any caller, told by its first message; ``?dialect=NAME`` asks for one
``/start``              where Pipecat's clients ask for the address of ``/ws``
``/answer/PROVIDER``    the document by which a telephone provider is sent to ``/ws``
``/health``             200, or 503 from when the server leaves
``/metrics``            Prometheus' text (extra ``metrics``)
======================  ==============================================================================================
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import final
from urllib.parse import urlsplit

from attrs import frozen

from .._documented import documented
from ..observe import ProcessFigures, ServerCounters, ServerFigures, process_figures
from ..params import AsgiWebsocketParams
from ..playground.asgi import Receive, Route, Scope, Send
from ..playground.controls import Control
from ..playground.hall import Hall
from ..playground.routes import MAX_SESSIONS, Handler, bot_routes, guarded, routed
from ..playground.start import StartTokens, check_public_url
from ..session.events import Event
from ..wire.accepting.boundary import failures_end_here
from .answers import answer_routes
from .pages import Gather, health_route, metrics_route

logger = logging.getLogger("trio_transports.serve")


@documented
@final
@frozen(kw_only=True)
class Bot:
    """What is served: a handler, and what its page says."""

    handler: Handler
    """Called with each caller's session; the call ends when it returns."""
    name: str
    """What people call it, in a log or on a terminal."""
    title: str = "Say something."
    """What the page says first."""
    lede: str = ""
    """What the page says below its title."""
    controls: Sequence[Control] = ()
    """What callers can set on the page."""
    interrupts_itself: bool = False
    """The handler decides itself whether speech interrupts it."""


def bot_app(
    handler: Handler,
    params: AsgiWebsocketParams | None = None,
    *,
    title: str = "Say something.",
    lede: str = "",
    controls: Sequence[Control] = (),
    shows_sessions: bool = False,
    tokens: StartTokens | None = None,
    allowed_origins: Collection[str] = (),
    host_names: Collection[str] = (),
    public_url: str | None = None,
    max_sessions: int = MAX_SESSIONS,
    counters: ServerCounters | None = None,
    gather: Gather | None = None,
    observers: Sequence[Callable[[Event], object]] = (),
) -> Route:
    """Make the ASGI app that ``trio-transports serve`` serves, to be served by trio or mounted in an app of one's own.

    Without ``params`` audio goes both ways, speech is found and interrupts. ``host_names`` are those by which the app
    may be reached besides addresses and localhost; pages of other origins than its own need ``allowed_origins``.
    ``public_url`` is what callers call this server, where a proxy makes that another than they ask for here; its host
    is one of ``host_names``, and its pages may call.
    ``shows_sessions`` lets anybody who opens the page see who else is here. ``tokens`` let in only who has been to
    ``/start``. ``counters`` are given to look at, and ``gather`` tells of other processes too.

    Each of ``observers`` is called with every event of every caller, such as ``SessionTracer().note``: it notes and
    returns. What one raises is logged, and the calls go on. A recording goes round what the handler does:
    ``async with recorder(session, path)``.

    ``title``, ``lede`` and ``controls`` are what the page says and offers. Past ``max_sessions`` calls at once a
    further caller is refused.
    """
    check_public_url(public_url)
    if public_url is not None:
        named, origin = _as_called(public_url)
        host_names, allowed_origins = (*host_names, named), (*allowed_origins, origin)
    counted = ServerCounters() if counters is None else counters
    hall = Hall(tells=(counted.note, *(partial(_tell, observer) for observer in observers)))

    async def of_this_process() -> tuple[ServerFigures, list[ProcessFigures]]:
        return counted.figures(), [process_figures()]

    beside: Mapping[str, Route] = {
        "/health": health_route(lambda: len(hall.sessions)),
        "/metrics": metrics_route(gather or of_this_process),
        **answer_routes(public_url=public_url),
    }
    routes = bot_routes(
        handler,
        params,
        title=title,
        lede=lede,
        controls=controls,
        hall=hall,
        shows_sessions=shows_sessions,
        tokens=tokens,
        allowed_origins=allowed_origins,
        host_names=host_names,
        public_url=public_url,
        max_sessions=max_sessions,
    )
    app = routed({**routes, **{path: guarded(route, host_names) for path, route in beside.items()}})

    async def counted_app(scope: Scope, receive: Receive, send: Send) -> None:
        counted.found_in(scope)
        await app(scope, receive, send)

    return counted_app


def _tell(observer: Callable[[Event], object], event: Event) -> None:
    with failures_end_here(partial(_tell_failed, type(event).__name__)):
        observer(event)


def _tell_failed(event: str, failure: BaseException) -> None:
    logger.error("an observer failed at %s", event, exc_info=failure)


def _as_called(public_url: str) -> tuple[str, str]:
    """The host that callers name, and the origin of the pages that they find there."""
    parts = urlsplit(public_url)
    scheme = "https" if parts.scheme in ("https", "wss") else "http"
    return parts.hostname or "", f"{scheme}://{parts.netloc.rpartition('@')[2]}"
