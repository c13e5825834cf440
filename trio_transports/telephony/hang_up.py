"""What the providers' hang-ups share: one request that ends the call a session carried, as ``params.hang_up``.

Rules
1. It runs once, at the session's own end, as ``await hang_up(session)``. Closing the WebSocket alone leaves the caller
   on a silent line that is still paid for.
2. The call is the one that the caller's start message named (``session.start.call_id``).
3. A call that has already ended is a success. Everything else that is not a plain yes is a ``HangUpFailed``.
4. One request, no redirects, one deadline for all of it. Cancelling it may leave the call up.
5. Credentials appear in no message, repr or log.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, final
from urllib.parse import quote, urlsplit

import trio
from attrs import Attribute

from .._extras import require
from .._showing import shown_text
from ..errors import TransportError
from ..frames import JSONValue, StartFrame

if TYPE_CHECKING:
    import ssl

    import httpx2

DEFAULT_TIMEOUT_S = 4.0
"""Under a session's own ``hang_up_timeout`` of 5 seconds, so that the failure can say what it waited for."""

_MAX_CALL_ID_CHARS = 256
_EXCERPT_CHARS = 200


class EndedCall(Protocol):
    """What a hang-up needs of a session."""

    @property
    def start(self) -> StartFrame | None:
        """What the peer's start message said; the call's id is in it."""


@final
class HangUpFailed(TransportError):
    """The provider did not confirm that the call has ended; ``status`` is its HTTP answer, None when there was none."""

    def __init__(self, message: str, *, provider: str, call_id: str | None = None, status: int | None = None) -> None:
        self.provider = provider
        self.call_id = call_id
        self.status = status
        super().__init__(message)

    def __str__(self) -> str:
        return shown_text(super().__str__())  # a provider's words may be in it


def text_field(instance: object, attribute: "Attribute[str]", value: object) -> None:
    where = f"{type(instance).__name__}.{attribute.name}"
    if not isinstance(value, str):
        raise TypeError(f"{where} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{where} must not be empty")


def web_address(instance: object, attribute: "Attribute[str]", value: str) -> None:
    text_field(instance, attribute, value)
    parts = urlsplit(value)
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        # The value itself stays out of the message: what is wrong with it may be a password in it.
        raise ValueError(
            f"{type(instance).__name__}.{attribute.name} must be an address like https://api.example.com, "
            "without query, fragment or credentials"
        )


def seconds(instance: object, attribute: "Attribute[float]", value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        where = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{where} must be a number of seconds above 0, not {value!r}")


def client_tls(instance: object) -> "ssl.SSLContext":
    require("httpx2", extra="http", needed_by=type(instance).__name__)
    import httpx2

    # Loading the certificates can take 0.2 s: once, here, and not at a hang-up while other callers' audio waits.
    return httpx2.create_ssl_context()


def call_id_of(session: EndedCall, provider: str) -> str:
    """The call that the start message named, or HangUpFailed."""
    start = session.start
    if start is None or not start.call_id:
        why = (
            "the caller left before its start message, or that was read elsewhere"
            if start is None
            else "the start message named no call"
        )
        raise HangUpFailed(f"there is no {provider} call to end: {why}", provider=provider)
    return checked_call_id(start.call_id, provider, "the start message")


def checked_call_id(call_id: str, provider: str, source: str) -> str:
    """The id as it came, or HangUpFailed for one that can be none."""
    # A stranger may have written it, and it becomes one segment of a path that the credentials open.
    if call_id in {".", ".."} or len(call_id) > _MAX_CALL_ID_CHARS or not (call_id.isascii() and call_id.isprintable()):
        raise HangUpFailed(f"{source} names an impossible {provider} call: {call_id[:40]!a}", provider=provider)
    return call_id


def segment(text: str) -> str:
    return quote(text, safe=":")


def basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode("ascii")


def document(response: "httpx2.Response") -> JSONValue:
    """The JSON that a provider has answered; None where it is none."""
    try:
        told: JSONValue = response.json()
    except (ValueError, RecursionError):  # not JSON, not text, or nested past reason
        return None
    return told


def _said(exc: BaseException) -> str:
    """What went wrong below: the HTTP library's own errors can be empty around a cause that is not."""
    cause: BaseException | None = exc
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return str(cause or "") or "no more is known"


AlreadyEnded: TypeAlias = "Callable[[httpx2.Response], bool]"


async def end_call(
    provider: str,
    call_id: str,
    *,
    method: str,
    url: str,
    authorization: str,
    secrets: tuple[str, ...],
    already_ended: AlreadyEnded,
    tls: "ssl.SSLContext",
    timeout_s: float,
    content_type: str | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    import httpx2

    asked = f"{provider} did not confirm the end of call {call_id}: {method} to {urlsplit(url).netloc}"
    told = {"Authorization": authorization, "Accept": "application/json", **(headers or {})}
    if content_type is not None:
        told["Content-Type"] = content_type
    request = httpx2.Request(method, url, headers=told, content=content)
    try:
        with trio.fail_after(timeout_s):
            async with httpx2.AsyncClient(verify=tls, timeout=None, follow_redirects=False) as client:
                response = await client.send(request)
    except trio.TooSlowError as exc:
        message = f"{asked} was not answered within {timeout_s:g} s"
        raise HangUpFailed(message, provider=provider, call_id=call_id) from exc
    except httpx2.RequestError as exc:
        message = f"{asked} failed with {type(exc).__name__}: {_said(exc)}"
        raise HangUpFailed(message, provider=provider, call_id=call_id) from exc
    if response.is_success or already_ended(response):
        return
    said = response.text
    for secret in secrets:
        said = said.replace(secret, "***")
    said = " ".join(said[:_EXCERPT_CHARS].split())
    raise HangUpFailed(
        f"{asked} was answered with status {response.status_code}" + (f": {said}" if said else ""),
        provider=provider,
        call_id=call_id,
        status=response.status_code,
    )
