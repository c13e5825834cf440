"""The documents that telephone providers ask for when a call comes in: ``/answer/twilio`` and its like.

Rules
1. They are answered to GET and POST alike, since each provider's console lets one choose.
2. What stands in the query comes back in ``session.start.parameters``, where the provider has a way for that.
3. The stream's address is the public one where that was told, else the host that was asked for; ``wss``, as providers
   want it, but for a trial on this machine's own address.
"""

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from ..playground.asgi import Receive, Route, Scope, Send, answer, header, refuse_websocket
from ..playground.start import called_address, check_public_url
from ..telephony.answers import exoml, ncco, plivo_xml, relay_twiml, texml, twiml
from ..wire.accepting.hosts import host_name

Document: TypeAlias = Callable[[str, Mapping[str, str]], str]

MAX_PARAMETERS: Final = 32
_XML: Final = "application/xml"


def _exoml(url: str, _parameters: Mapping[str, str]) -> str:
    return exoml(url)


DOCUMENTS: Final[Mapping[str, tuple[Document, str]]] = {
    "twilio": (twiml, _XML),
    "signalwire": (twiml, _XML),
    "relay": (relay_twiml, _XML),
    "telnyx": (texml, _XML),
    "plivo": (plivo_xml, _XML),
    "exotel": (_exoml, _XML),
    "vonage": (ncco, "application/json"),
}


def answer_routes(*, ws_path: str = "/ws", public_url: str | None = None) -> Mapping[str, Route]:
    """Give path -> route for each provider that asks for a document."""
    check_public_url(public_url)
    return {
        f"/answer/{provider}": partial(_answer, document, kind, ws_path, public_url)
        for provider, (document, kind) in DOCUMENTS.items()
    }


async def _answer(
    document: Document,
    kind: str,
    ws_path: str,
    public_url: str | None,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    if scope["type"] == "websocket":
        await refuse_websocket(scope, receive, send)
    elif scope["method"] not in ("GET", "HEAD", "POST"):
        await answer(scope, send, 405, b"only GET and POST\n", headers=[(b"allow", b"GET, HEAD, POST")])
    else:
        try:
            query = scope["query_string"].decode("ascii", "replace")
            parameters = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
            text = document(stream_address(scope, ws_path, public_url), parameters)
        except ValueError as exc:
            await answer(scope, send, 400, f"{exc}\n".encode())
            return
        await answer(scope, send, 200, text.encode(), kind=kind)


def stream_address(scope: Scope, ws_path: str, public_url: str | None) -> str:
    """Where a provider is to stream to; rule 3."""
    address = called_address(scope, ws_path, public_url)
    is_here = public_url is not None or _is_own_machine(host_name(header(scope, b"host")))
    return address if is_here else address.replace("ws://", "wss://", 1)


def _is_own_machine(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
