"""Hanging up at the end of real calls, against a local HTTP server that plays the provider."""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import pytest
import trio
from attrs import frozen

from tests.real.hosting import WAYS_IN, hosted
from tests.real.telephony.phone import Phone, caller, calling, packets
from trio_transports import AudioFrame, Disconnected, Session
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.telephony import PlivoHangUp, TelnyxHangUp, TwilioHangUp
from trio_transports.testing.phones import HangUpApi, ScriptedLine, hang_up_api

HangUp: TypeAlias = TwilioHangUp | TelnyxHangUp | PlivoHangUp

SECRET = "s3cret+/token=="
PATIENCE_S = 30


def basic(user: str) -> str:
    return b64encode(f"{user}:{SECRET}".encode()).decode()


@frozen(kw_only=True)
class Account:
    """A provider's account, and what is asked of the provider to end the call of ``line``."""

    line: ScriptedLine
    hang_up: Callable[[str], HangUp]
    secrets: tuple[str, ...]
    """The last one is what the provider is shown."""
    asked: tuple[str, str]
    ended: tuple[int, bytes]
    """The provider's way to say that the call was over already."""


TWILIO = Account(
    line=caller("twilio", call_id="CA7"),
    hang_up=lambda url: TwilioHangUp("AC42", SECRET, base_url=url, timeout_s=PATIENCE_S),
    secrets=(SECRET, basic("AC42")),
    asked=("POST", "/2010-04-01/Accounts/AC42/Calls/CA7.json"),
    ended=(404, b'{"code": 20404}'),
)
TELNYX = Account(
    line=caller("telnyx", call_id="v3:7"),
    hang_up=lambda url: TelnyxHangUp(SECRET, base_url=url, timeout_s=PATIENCE_S),
    secrets=(SECRET,),
    asked=("POST", "/v2/calls/v3:7/actions/hangup"),
    ended=(422, b'{"errors": [{"code": "90018"}]}'),
)
PLIVO = Account(
    line=caller("plivo", call_id="11-22"),
    hang_up=lambda url: PlivoHangUp("MA42", SECRET, base_url=url, timeout_s=PATIENCE_S),
    secrets=(SECRET, basic("MA42")),
    asked=("DELETE", "/v1/Account/MA42/Call/11-22/"),
    ended=(404, b""),
)
accounts = pytest.mark.parametrize("account", [TWILIO, TELNYX, PLIVO], ids=lambda account: str(account.line.name))


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _all_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def settings(account: Account, provider: HangUpApi, **more: object) -> dict[str, object]:
    return {
        "serializer": DetectingFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "hang_up": account.hang_up(provider.url),
        "hang_up_timeout": PATIENCE_S,
        "drain_timeout": PATIENCE_S,
        **more,
    }


def session_errors(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    """What was logged as an error of a session, without the handlers' own."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == "trio_transports.session"
    ]


def check_no_secret_was_logged(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    formatter = logging.Formatter()
    logged = "\n".join(f"{formatter.format(record)} {record.args!r}" for record in caplog.records)
    assert "POST" in logged or "DELETE" in logged, "the HTTP library's own records are looked through too"
    assert not [secret for secret in account.secrets if secret in logged]


async def call_to_the_end(url: str, account: Account) -> None:
    async with calling(url, account.line) as phone:
        await phone.open()
        with trio.fail_after(PATIENCE_S):
            await phone.scripted.has_ended.wait()


async def greet(session: Session) -> None:
    await session.output.send(AudioFrame(audio=bytes(3200), sample_rate=16000))


async def crash(session: Session) -> None:
    await greet(session)
    await session.output.drain()
    raise ZeroDivisionError("the handler's own")


async def listen(session: Session) -> None:
    await greet(session)
    async for _ in session.input:
        pass


ENDINGS: dict[str, Callable[[Session], Awaitable[None]]] = {
    "the handler returns": greet,
    "the handler crashes": crash,
    "the caller hangs up": listen,
    "the caller vanishes": listen,
    "the server shuts down": listen,
}


@pytest.mark.parametrize("way_in", WAYS_IN)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_each_call_is_hung_up_once(way_in: str, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever side ends it, and however: one request for each call, after its connection has ended."""
    connected_when_asked: list[bool] = []
    leave = trio.Event()

    async def hold(url: str, *, task_status: trio.TaskStatus[Phone]) -> None:
        async with calling(url, TWILIO.line) as phone:
            await phone.open()
            await phone.until(packets(3))
            task_status.started(phone)
            await leave.wait()

    async with hang_up_api() as provider, trio.open_nursery() as nursery:
        hang_up = TWILIO.hang_up(provider.url)

        async def watched(session: Session) -> None:
            connected_when_asked.append(session.is_connected)
            await hang_up(session)

        with trio.fail_after(60):
            async with hosted(way_in, ENDINGS[ending], **settings(TWILIO, provider, hang_up=watched)) as host:
                phone = await nursery.start(hold, host.url)
                match ending:
                    case "the handler returns" | "the handler crashes":
                        await phone.scripted.has_ended.wait()
                    case "the caller hangs up":
                        await phone.scripted.hang_up()
                    case "the caller vanishes":
                        leave.set()
                if ending == "the server shuts down":
                    assert provider.requests == []
                else:
                    await host.until(Disconnected)
        leave.set()
        asked = [(each.method, each.target, each.body) for each in provider.requests]
    assert asked == [(*TWILIO.asked, b"Status=completed")]
    assert connected_when_asked == [False]
    assert session_errors(caplog) == []
    check_no_secret_was_logged(TWILIO, caplog)


@accounts
async def test_every_provider(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """The call that is ended is the one that the start message named, by each provider's own interface."""
    async with hang_up_api() as provider:
        async with hosted("direct", greet, **settings(account, provider)) as host:
            await call_to_the_end(host.url, account)
        (asked,) = provider.requests
    assert (asked.method, asked.target) == account.asked
    assert asked.headers["authorization"].split()[1] == account.secrets[-1]
    assert session_errors(caplog) == []
    check_no_secret_was_logged(account, caplog)


@accounts
async def test_a_call_that_has_ended_already(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """The caller hung up first, and the provider says so: nothing is wrong, and nothing is logged as if it were."""
    status, body = account.ended
    async with hang_up_api(HangUpApi(status, body)) as provider:
        async with (
            hosted("direct", listen, **settings(account, provider)) as host,
            calling(host.url, account.line) as phone,
        ):
            await phone.open()
            with trio.fail_after(PATIENCE_S):
                await phone.until(packets(1))
                await phone.scripted.hang_up()
                await host.until(Disconnected)
        assert len(provider.requests) == 1
    assert session_errors(caplog) == []
    check_no_secret_was_logged(account, caplog)


@accounts
async def test_a_refusal(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that refuses is logged once, with the call and the answer but not what it repeats of the secrets."""
    async with hang_up_api(HangUpApi(401, f"who is {' '.join(account.secrets)}?".encode())) as provider:
        async with hosted("direct", greet, **settings(account, provider)) as host:
            for _ in range(2):
                await call_to_the_end(host.url, account)
            with trio.fail_after(PATIENCE_S):
                await host.until(Disconnected, 2)
        assert len(provider.requests) == 2
    assert session_errors(caplog) == [f"hanging up call {account.line.call_id!r} failed"] * 2
    assert "status 401" in caplog.text
    check_no_secret_was_logged(account, caplog)
    assert [end.code for end in host.ends] == [1000, 1000]


@pytest.mark.parametrize("whose", ["the session's", "the hang-up's own"])
@accounts
async def test_a_slow_answer(account: Account, whose: str, caplog: pytest.LogCaptureFixture) -> None:
    """The shorter of two deadlines ends the wait for the provider; the caller is long gone by then."""
    is_sessions = whose == "the session's"
    async with hang_up_api(HangUpApi(takes_s=60)) as provider:
        hang_up = account.hang_up(provider.url)
        hang_up.timeout_s = PATIENCE_S if is_sessions else 4
        more = {"hang_up": hang_up, "hang_up_timeout": 4 if is_sessions else PATIENCE_S}
        async with hosted("direct", greet, **settings(account, provider, **more)) as host:
            await call_to_the_end(host.url, account)
            ended_s = trio.current_time()
        took_s = trio.current_time() - ended_s
        assert len(provider.requests) == 1
    assert 0.1 < took_s < 20
    logged = "took longer than hang_up_timeout" if is_sessions else "failed"
    assert session_errors(caplog) == [f"hanging up call {account.line.call_id!r} {logged}"]
    check_no_secret_was_logged(account, caplog)
    assert [(end.code, end.initiator) for end in host.ends] == [(1000, "local")]


async def test_other_calls_do_not_wait_for_a_slow_answer(caplog: pytest.LogCaptureFixture) -> None:
    """While one call's hang-up hangs, the server takes and ends others."""
    async with hang_up_api(HangUpApi(takes_s=60)) as provider:
        async with hosted("direct", greet, **settings(TWILIO, provider, hang_up_timeout=8)) as host:
            began_s = trio.current_time()
            for _ in range(3):
                await call_to_the_end(host.url, TWILIO)
            took_s = trio.current_time() - began_s
        assert len(provider.requests) == 3
    assert took_s < 12  # of 16, if each waited for the one before
    assert len(session_errors(caplog)) == 3


async def test_no_call_no_request() -> None:
    """A caller that never said start has no call to end: nothing is asked, and nothing is wrong."""
    async with hang_up_api() as provider:
        async with hosted("direct", listen, **settings(TWILIO, provider)) as host:
            async with calling(host.url, TWILIO.line) as phone:
                await phone.say(phone.line.opening()[0])
                await phone.scripted.hang_up()
            with trio.fail_after(PATIENCE_S):
                await host.until(Disconnected)
        assert provider.requests == []
