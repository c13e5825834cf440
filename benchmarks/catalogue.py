"""Who is measured: one entry for each server program, with what it does for a frame and where it runs."""

from importlib.util import find_spec
from typing import Any, Literal, final

from attrs import frozen

from .results import PeerFacts


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


EVERYWHERE = frozenset({"echo", "growth", "capacity", "pacing", "interruption", "churn", "memory", "stall", "hostile"})
"""The scenarios that measure peers; the others measure programs of their own."""
COMMANDS = frozenset({"pacing", "interruption", "stall", "hostile"})
"""Those that ask for more than an echo of audio."""


@final
@frozen(kw_only=True)
class Peer:
    """``decodes``: it makes frames of messages and messages of frames. ``paces``: the transport keeps the time.

    What neither decodes nor paces is a floor, not a rival: it does less. ``measured_in`` says where it is measured if
    nobody is named; ``cannot`` where it cannot be.
    """

    name: str
    title: str
    program: str
    decodes: bool = False
    paces: bool = False
    ours: bool = False
    interpreter: Literal["here", "pipecat", "fastrtc"] = "here"
    one_client: bool = False
    quick: bool = False
    needs: tuple[str, ...] = ()
    measured_in: frozenset[str] = EVERYWHERE
    cannot: frozenset[str] = frozenset()
    arguments: tuple[str, ...] = ()
    """Of its program, after the number of clients."""

    def is_in(self, scenario: str) -> bool:
        return scenario in self.measured_in - self.cannot

    def missing(self) -> list[str]:
        """What this interpreter lacks for it. A foreign interpreter is only looked for when it is needed."""
        return [] if self.interpreter != "here" else [name for name in self.needs if not _is_installed(name)]

    def facts(self, python: str = "", versions: dict[str, str] | None = None) -> PeerFacts:
        return PeerFacts(
            title=self.title,
            ours=self.ours,
            decodes=self.decodes,
            paces=self.paces,
            python=python,
            versions=versions or {},
        )


def _ours(name: str, title: str, program: str, *needs: str, **more: Any) -> Peer:  # noqa: ANN401 - fields of Peer
    return Peer(
        name=name,
        title=f"trio_transports {title}",
        program=program,
        decodes=True,
        paces=True,
        ours=True,
        needs=("google.protobuf", *needs),
        **more,
    )


def _floor(name: str, title: str, program: str, *needs: str, **more: Any) -> Peer:  # noqa: ANN401 - fields of Peer
    return Peer(name=name, title=title, program=program, needs=needs, **more)


def _in(*scenarios: str) -> frozenset[str]:
    assert EVERYWHERE.issuperset(scenarios), scenarios
    return frozenset(scenarios)


PEERS = (
    _ours("ours-server", "WebsocketServerTransport", "ours_server", quick=True),
    _ours("ours-direct", "WebsocketServerTransport, engine=direct", "ours_direct", quick=True),
    _ours(
        "ours-untapped",
        "engine=direct, the places for observers taken out",
        "ours_untapped",
        quick=True,
        measured_in=_in("echo"),
    ),
    _ours(
        "ours-observed",
        "engine=direct, turns and counters observed, metrics asked for each second",
        "ours_observed",
        "prometheus_client",
        quick=True,
        measured_in=_in("echo"),
    ),
    _ours(
        "ours-functions",
        "engine=direct, the bot a pipeline of functions",
        "ours_functions",
        quick=True,
        measured_in=_in("echo", "growth", "capacity", "pacing"),
    ),
    _ours("ours-asgi", "AsgiWebsocketTransport, FastAPI on serve_asgi", "ours_asgi", "fastapi", quick=True),
    _ours(
        "ours-anycorn",
        "AsgiWebsocketTransport, FastAPI on anycorn (trio)",
        "ours_anycorn",
        "fastapi",
        "anycorn",
        measured_in=_in("echo", "churn"),
    ),
    Peer(
        name="pipecat-fastapi",
        title="Pipecat FastAPIWebsocketTransport on uvicorn",
        program="pipecat_fastapi",
        decodes=True,
        paces=True,
        interpreter="pipecat",
        quick=True,
        measured_in=EVERYWHERE - {"hostile"},
    ),
    Peer(
        name="pipecat-fastapi-uvloop",
        title="Pipecat FastAPIWebsocketTransport on uvicorn with uvloop",
        program="pipecat_fastapi_uvloop",
        decodes=True,
        paces=True,
        interpreter="pipecat",
        measured_in=_in("echo", "growth", "capacity", "pacing", "churn"),
    ),
    Peer(
        name="pipecat-server",
        title="Pipecat WebsocketServerTransport, one server for each client",
        program="pipecat_server",
        decodes=True,
        paces=True,
        interpreter="pipecat",
        one_client=True,
        measured_in=_in("echo"),
        cannot=_in("growth", "capacity", "stall", "hostile"),
    ),
    Peer(
        name="fastrtc",
        title="FastRTC WebSocketHandler on uvicorn, mu-law as base64 in JSON (another dialect: other work)",
        program="fastrtc_echo",
        decodes=True,
        paces=True,
        interpreter="fastrtc",
        measured_in=_in("echo", "growth", "capacity", "churn", "memory"),
        cannot=COMMANDS,
    ),
    _floor(
        "trio-websocket",
        "trio-websocket alone",
        "trio_websocket_bare",
        quick=True,
        measured_in=EVERYWHERE - {"hostile", "stall"},
    ),
    _floor("hypercorn", "hypercorn (trio) alone, raw ASGI", "hypercorn_bare", measured_in=_in("echo", "churn")),
    _floor(
        "websockets-trio",
        "websockets alone, on trio",
        "websockets_trio",
        "websockets.trio",
        measured_in=_in("echo"),
    ),
    _floor(
        "websockets-asyncio",
        "websockets alone, on asyncio",
        "websockets_asyncio",
        "websockets",
        measured_in=_in("echo"),
    ),
    _floor(
        "fastapi-uvicorn",
        "FastAPI on uvicorn alone",
        "fastapi_uvicorn",
        "fastapi",
        "uvicorn",
        "websockets",
        measured_in=_in("echo", "churn"),
    ),
    _floor(
        "picows",
        "picows alone, on asyncio: the floor, a frame is a call into Cython",
        "picows_echo",
        "picows",
        measured_in=_in("echo", "churn"),
    ),
)
"""In the order of every table. The first one that is Pipecat's is what ratios are taken against."""

BASELINE = "pipecat-fastapi"


def chosen(names: list[str] | None, *, quick: bool) -> list[Peer]:
    """The peers of those names; "all" is every one; none named is all, or those of a quick run."""
    if names is None:
        return [peer for peer in PEERS if peer.quick or not quick]
    if "all" in names:
        return [*PEERS]
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    return [peer for peer in PEERS if peer.name in names]
