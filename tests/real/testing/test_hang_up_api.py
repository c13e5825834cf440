"""The fake REST interface: a bot's EndFrame hangs the call up by the library's own hang-up, over a real socket."""

from functools import partial

import pytest
import trio

from tests.tools import requires_module
from trio_transports import EndFrame, Session, StartFrame, TransportParams
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.telephony import TwilioHangUp
from trio_transports.testing.phones import hang_up_api, phone_call


async def goodbye(session: Session) -> None:
    async for frame in session.input:
        if isinstance(frame, StartFrame):
            await session.output.send(EndFrame())


@pytest.mark.parametrize("status", [200, 500])
async def test_a_call_is_hung_up_by_http(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each of two calls is asked for once, by its id; a refusal is logged and ends nothing else."""
    requires_module("httpx2", extra="http")
    async with hang_up_api() as api:
        api.status = status
        hang_up = TwilioHangUp("AC1", "secret", base_url=api.url, timeout_s=60)
        params = TransportParams(
            serializer=DetectingFrameSerializer(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_end_silence_secs=0,
            hang_up=hang_up,
            hang_up_timeout=60,
        )
        for _ in range(2):
            async with phone_call(goodbye, "twilio", params=params) as phone:
                with trio.fail_after(60):
                    await phone.has_ended.wait()
    assert [request.method for request in api.requests] == ["POST", "POST"]
    assert all("CA00000000000000000000000000000001" in request.target for request in api.requests)
    assert ("hanging up call" in caplog.text) is (status == 500)


async def test_nobody_is_waited_for() -> None:
    """One that takes for ever is left at the session's own limit."""
    requires_module("httpx2", extra="http")
    async with hang_up_api() as api:
        api.takes_s = 60
        make = partial(TransportParams, serializer=DetectingFrameSerializer(), audio_out_enabled=True)
        params = make(audio_in_enabled=True, hang_up=TwilioHangUp("AC1", "secret", base_url=api.url, timeout_s=4))
        with trio.fail_after(40):
            async with phone_call(goodbye, "twilio", params=params) as phone:
                await phone.has_ended.wait()
    assert len(api.requests) == 1
