"""Hanging up against a local HTTP server that plays the provider. Real sockets, real time."""

import hmac
import logging
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeAlias

import pytest
import trio
import trustme
from attrs import frozen

from trio_transports.frames import StartFrame
from trio_transports.telephony import AzureHangUp, HangUpFailed, PlivoHangUp, TelnyxHangUp, TwilioHangUp
from trio_transports.telephony.hang_up import EndedCall
from trio_transports.testing.phones import HangUpApi, hang_up_api
from trio_transports.wire import Peer

HangUp: TypeAlias = Callable[[EndedCall], Awaitable[None]]

SECRET = "s3cret+/token=="


@frozen
class Ended:
    start: StartFrame | None


def ended(call_id: str) -> Ended:
    return Ended(StartFrame(call_id=call_id))


def twilio(url: str, timeout_s: float = 60) -> TwilioHangUp:
    return TwilioHangUp("AC42", SECRET, base_url=url, timeout_s=timeout_s)


def telnyx(url: str, timeout_s: float = 60) -> TelnyxHangUp:
    return TelnyxHangUp(SECRET, base_url=url, timeout_s=timeout_s)


def plivo(url: str, timeout_s: float = 60) -> PlivoHangUp:
    return PlivoHangUp("MA42", SECRET, base_url=url, timeout_s=timeout_s)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def basic(user: str) -> str:
    return "Basic " + b64encode(f"{user}:{SECRET}".encode()).decode()


async def test_twilio_completes_the_call() -> None:
    """A form post with basic credentials to the call's own address."""
    async with hang_up_api(HangUpApi(body=b'{"status": "completed"}')) as provider:
        await twilio(provider.url)(ended("CA7"))
    (asked,) = provider.requests
    assert (asked.method, asked.target) == ("POST", "/2010-04-01/Accounts/AC42/Calls/CA7.json")
    assert asked.body == b"Status=completed"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["authorization"] == basic("AC42")


async def test_telnyx_hangs_up_the_call() -> None:
    """A post with the bearer key to the call control id's hang-up action."""
    async with hang_up_api(HangUpApi(body=b'{"data": {"result": "ok"}}')) as provider:
        await telnyx(provider.url)(ended("v3:abc-_9"))
    (asked,) = provider.requests
    assert (asked.method, asked.target) == ("POST", "/v2/calls/v3:abc-_9/actions/hangup")
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.body == b"{}"


async def test_plivo_deletes_the_call() -> None:
    """A delete with basic credentials; 204 is the provider's yes."""
    async with hang_up_api(HangUpApi(status=204)) as provider:
        await plivo(provider.url)(ended("11-22"))
    (asked,) = provider.requests
    assert (asked.method, asked.target) == ("DELETE", "/v1/Account/MA42/Call/11-22/")
    assert asked.headers["authorization"] == basic("MA42")
    assert asked.body == b""


ENDED = [
    pytest.param(twilio, 404, b'{"code": 20404, "message": "not found"}', id="twilio"),
    pytest.param(telnyx, 422, b'{"errors": [{"code": "10015"}, {"code": "90018"}]}', id="telnyx"),
    pytest.param(telnyx, 422, b'{"errors": [{"code": 90018}]}', id="telnyx-number"),
    pytest.param(plivo, 404, b"", id="plivo"),
]


@pytest.mark.parametrize(("make", "status", "body"), ENDED)
async def test_an_already_ended_call_is_a_success(make: Callable[[str], HangUp], status: int, body: bytes) -> None:
    """The provider's own way to say that the call is over raises nothing."""
    async with hang_up_api(HangUpApi(status, body)) as provider:
        await make(provider.url)(ended("CA7"))
    assert len(provider.requests) == 1


FAILED = [
    pytest.param(twilio, 404, b'{"code": 20003}', id="twilio-404-of-another-kind"),
    pytest.param(twilio, 404, b"[" * 100_000, id="twilio-404-nested"),
    pytest.param(twilio, 404, b"\xff\xfe", id="twilio-404-not-text"),
    pytest.param(twilio, 401, b'{"code": 20404}', id="twilio-401"),
    pytest.param(twilio, 307, b"", id="twilio-redirect"),
    pytest.param(telnyx, 422, b'{"errors": [{"code": "90015"}]}', id="telnyx-422-of-another-kind"),
    pytest.param(telnyx, 422, b'{"errors": {"code": "90018"}}', id="telnyx-422-odd"),
    pytest.param(telnyx, 404, b'{"errors": [{"code": "90018"}]}', id="telnyx-404"),
    pytest.param(plivo, 500, b"oh no", id="plivo-500"),
    pytest.param(plivo, 403, b"", id="plivo-403"),
]


@pytest.mark.parametrize(("make", "status", "body"), FAILED)
async def test_any_other_answer_is_a_failure(make: Callable[[str], HangUp], status: int, body: bytes) -> None:
    """The error tells the call, the host, the status and the head of what the provider said; it is asked once."""
    async with hang_up_api(HangUpApi(status, body, headers={"Location": "http://127.0.0.1:9/elsewhere"})) as provider:
        with pytest.raises(HangUpFailed) as caught:
            await make(provider.url)(ended("CA7"))
    assert caught.value.status == status
    assert caught.value.call_id == "CA7"
    message = str(caught.value)
    assert "CA7" in message
    assert provider.url.removeprefix("http://") in message
    assert f"status {status}" in message
    assert len(message) < 400
    assert len(provider.requests) == 1


@pytest.mark.parametrize("make", [twilio, telnyx, plivo])
async def test_credentials_are_told_nowhere(make: Callable[[str], HangUp], caplog: pytest.LogCaptureFixture) -> None:
    """Not by the repr, not by a log at any level, and not by an error whose answer repeats them."""
    hidden = [SECRET, basic("AC42").split()[1], basic("MA42").split()[1]]
    caplog.set_level(logging.DEBUG)
    async with hang_up_api(HangUpApi(401, " ".join(hidden).encode())) as provider:
        hang_up = make(provider.url)
        with pytest.raises(HangUpFailed) as caught:
            await hang_up(ended("CA7"))
    for secret in hidden:
        assert secret not in repr(hang_up)
        assert secret not in caplog.text
    told = hidden[0], hidden[1 if make is twilio else 2]
    for secret in told[: 1 if make is telnyx else 2]:
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)


async def test_a_slow_provider_meets_the_deadline() -> None:
    """No answer in time is a failure that says how long it waited, and the connection is not left behind."""
    async with hang_up_api(HangUpApi(takes_s=60)) as provider:
        began = trio.current_time()
        with pytest.raises(HangUpFailed, match=r"not answered within 4 s"):
            await twilio(provider.url, timeout_s=4)(ended("CA7"))
        assert trio.current_time() - began < 20
        assert len(provider.requests) == 1


async def test_a_trickling_answer_meets_the_deadline() -> None:
    """The deadline is for the whole exchange: a byte now and then does not extend it."""

    async def trickle(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await stream.send_all(b".")
            await trio.sleep(0.02)

    async with hang_up_api(HangUpApi(instead=trickle)) as provider:
        with pytest.raises(HangUpFailed, match="not answered within"):
            await telnyx(provider.url, timeout_s=0.3)(ended("CA7"))


async def test_cancelling_leaves_nothing_open() -> None:
    """The session's own deadline may cut a hang-up short: no error of its own, no socket kept."""
    asked, left = trio.Event(), trio.Event()

    async def wait_for_the_end(stream: trio.abc.Stream) -> None:
        asked.set()
        assert await stream.receive_some() == b""
        left.set()

    async with hang_up_api(HangUpApi(instead=wait_for_the_end)) as provider:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(plivo(provider.url, timeout_s=60), ended("CA7"))
                await asked.wait()
                nursery.cancel_scope.cancel()
            await left.wait()


async def test_an_answer_that_is_not_http_is_a_failure() -> None:
    """Garbage and a dropped connection are told as such, with no status."""

    async def garbage(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"what?\r\n\r\n")

    async def nothing(stream: trio.abc.Stream) -> None:
        await stream.aclose()

    for behaviour in (garbage, nothing):
        async with hang_up_api(HangUpApi(instead=behaviour)) as provider:
            with pytest.raises(HangUpFailed, match="RemoteProtocolError") as caught:
                await twilio(provider.url)(ended("CA7"))
        assert caught.value.status is None


async def test_no_provider_there_is_a_failure() -> None:
    """A refused connection is a HangUpFailed like any other."""
    async with hang_up_api() as provider:
        pass
    with pytest.raises(HangUpFailed, match="ConnectError"):
        await twilio(provider.url)(ended("CA7"))


async def test_a_certificate_that_is_not_trusted_gets_no_credentials() -> None:
    """TLS is verified, so somebody in between is not even asked."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with hang_up_api(ssl_context=tls) as provider:
        with pytest.raises(HangUpFailed, match="certificate"):
            await twilio(provider.url)(ended("CA7"))
    assert provider.requests == []


async def test_a_trusted_certificate_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it over TLS, trusted by way of the environment."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        hang_up = twilio("https://127.0.0.1:1")
    async with hang_up_api(ssl_context=tls) as provider:
        hang_up.base_url = provider.url
        await hang_up(ended("CA7"))
    assert [asked.method for asked in provider.requests] == ["POST"]


async def test_a_stranger_cannot_choose_the_address() -> None:
    """A call id with path or query in it stays one segment of the path."""
    async with hang_up_api() as provider:
        await twilio(provider.url)(ended("../../Accounts/x?y#z %41"))
    (asked,) = provider.requests
    assert asked.target == "/2010-04-01/Accounts/AC42/Calls/..%2F..%2FAccounts%2Fx%3Fy%23z%20%2541.json"


@pytest.mark.parametrize("call_id", [".", "..", "a\r\nb", "x" * 257, "\u00e9"])
async def test_an_impossible_call_id_is_not_asked_for(call_id: str) -> None:
    """What cannot be a call id is refused before anything is sent."""
    async with hang_up_api() as provider:
        with pytest.raises(HangUpFailed, match="impossible Telnyx call"):
            await telnyx(provider.url)(ended(call_id))
    assert provider.requests == []


@pytest.mark.parametrize(
    ("start", "why"),
    [(None, "before its start message"), (StartFrame(), "named no call"), (StartFrame(call_id=""), "named no call")],
)
async def test_no_call_id_is_a_clear_error(start: StartFrame | None, why: str) -> None:
    """Without a call to end the error says why there is none."""
    with pytest.raises(HangUpFailed, match=why) as caught:
        await plivo("http://127.0.0.1:9")(Ended(start))
    assert caught.value.call_id is None


async def test_twilio_by_an_api_key() -> None:
    """With an API key its id and secret are the credentials, and the path still names the account."""
    async with hang_up_api(HangUpApi(body=b"{}")) as provider:
        await TwilioHangUp("AC42", SECRET, api_key="SK7", base_url=f"{provider.url}/api/laml")(ended("CA7"))
    (asked,) = provider.requests
    assert asked.target == "/api/laml/2010-04-01/Accounts/AC42/Calls/CA7.json"
    assert asked.headers["authorization"] == basic("SK7")


AZURE_KEY = b64encode(b"a key of Azure's").decode()


@frozen
class EndedUpgrade:
    peer: Peer


def azure(url: str, timeout_s: float = 60) -> AzureHangUp:
    return AzureHangUp(url, AZURE_KEY, timeout_s=timeout_s)


def upgrade(connection: str) -> EndedUpgrade:
    return EndedUpgrade(Peer(headers=(("x-ms-call-connection-id", connection),)))


async def test_azure_terminates_the_call() -> None:
    """A signed, empty POST for the call that the upgrade named; one that has ended is a success too."""
    for status in (204, 404):
        async with hang_up_api(HangUpApi(status=status)) as provider:
            await azure(provider.url)(upgrade("c-1"))
        (asked,) = provider.requests
        assert (asked.method, asked.body) == ("POST", b"")
        assert asked.target == "/calling/callConnections/c-1:terminate?api-version=2024-09-15"
        empty = b64encode(sha256(b"").digest()).decode()
        date, host = asked.headers["x-ms-date"], provider.url.removeprefix("http://")
        assert asked.headers["host"] == host
        signed = f"POST\n{asked.target}\n{date};{host};{empty}"
        signature = b64encode(hmac.digest(b"a key of Azure's", signed.encode(), "sha256")).decode()
        assert asked.headers["authorization"] == (
            f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
        )


async def test_azure_failures() -> None:
    """Another answer, and an upgrade that named no call, are failures that say so and show no key."""
    async with hang_up_api(HangUpApi(403, AZURE_KEY.encode())) as provider:
        with pytest.raises(HangUpFailed, match="status 403") as caught:
            await azure(provider.url)(upgrade("c-1"))
        assert AZURE_KEY not in str(caught.value) + repr(azure(provider.url))
        with pytest.raises(HangUpFailed, match="named none in x-ms-call-connection-id"):
            await azure(provider.url)(EndedUpgrade(Peer()))
        with pytest.raises(HangUpFailed, match="impossible Azure call"):
            await azure(provider.url)(upgrade(".."))
    with pytest.raises(ValueError, match=r"AzureHangUp\.access_key must be base64"):
        AzureHangUp("https://x.communication.azure.com", "no base64!")
