"""Who is measured: one entry for each server program, with what it does for a frame and where it runs."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, final

from attrs import frozen

from .results import PeerFacts

PEERS_DIR = Path(__file__).parent / "peers"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@final
@frozen(kw_only=True)
class Peer:
    """``decodes``: it makes frames of messages and messages of frames. ``paces``: the transport keeps the time.

    What neither decodes nor paces is a floor, not a rival: it does less.
    """

    name: str
    title: str
    program: str
    decodes: bool = False
    paces: bool = False
    ours: bool = False
    interpreter: Literal["here", "pipecat"] = "here"
    one_client: bool = False
    quick: bool = False
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What this interpreter lacks for it. Pipecat's own interpreter is only looked for when it is needed."""
        return [] if self.interpreter == "pipecat" else [name for name in self.needs if not _is_installed(name)]

    def facts(self, python: str = "", versions: dict[str, str] | None = None) -> PeerFacts:
        return PeerFacts(
            title=self.title,
            ours=self.ours,
            decodes=self.decodes,
            paces=self.paces,
            python=python,
            versions=versions or {},
        )


PEERS = (
    Peer(
        name="ours-server",
        title="trio_transports WebsocketServerTransport",
        program="ours_server",
        decodes=True,
        paces=True,
        ours=True,
        quick=True,
        needs=("google.protobuf",),
    ),
    Peer(
        name="ours-direct",
        title="trio_transports WebsocketServerTransport, engine=direct",
        program="ours_direct",
        decodes=True,
        paces=True,
        ours=True,
        quick=True,
        needs=("google.protobuf",),
    ),
    Peer(
        name="ours-asgi",
        title="trio_transports AsgiWebsocketTransport, FastAPI on serve_asgi",
        program="ours_asgi",
        decodes=True,
        paces=True,
        ours=True,
        quick=True,
        needs=("google.protobuf", "fastapi"),
    ),
    Peer(
        name="pipecat-fastapi",
        title="Pipecat FastAPIWebsocketTransport on uvicorn",
        program="pipecat_fastapi",
        decodes=True,
        paces=True,
        interpreter="pipecat",
        quick=True,
    ),
    Peer(
        name="pipecat-fastapi-uvloop",
        title="Pipecat FastAPIWebsocketTransport on uvicorn with uvloop",
        program="pipecat_fastapi_uvloop",
        decodes=True,
        paces=True,
        interpreter="pipecat",
    ),
    Peer(
        name="pipecat-server",
        title="Pipecat WebsocketServerTransport, one server for each client",
        program="pipecat_server",
        decodes=True,
        paces=True,
        interpreter="pipecat",
        one_client=True,
    ),
    Peer(
        name="trio-websocket",
        title="trio-websocket alone",
        program="trio_websocket_bare",
        quick=True,
    ),
    Peer(
        name="hypercorn",
        title="hypercorn (trio) alone, raw ASGI",
        program="hypercorn_bare",
    ),
    Peer(
        name="websockets-trio",
        title="websockets alone, on trio",
        program="websockets_trio",
        needs=("websockets.trio",),
    ),
    Peer(
        name="websockets-asyncio",
        title="websockets alone, on asyncio",
        program="websockets_asyncio",
        needs=("websockets",),
    ),
    Peer(
        name="fastapi-uvicorn",
        title="FastAPI on uvicorn alone",
        program="fastapi_uvicorn",
        needs=("fastapi", "uvicorn", "websockets"),
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
