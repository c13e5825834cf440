"""A stream in a code that this side does not speak, in virtual time: refused at its start, with the reason."""

import pytest

from tests.session.calls import call
from trio_transports import StartFrame
from trio_transports.errors import RemoteProtocolError
from trio_transports.serializers.protocol import CallSerializer, StartRefused
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer

TWILIO = (
    '{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1",'
    '"mediaFormat":{"encoding":"audio/x-flac","sampleRate":8000,"channels":1}},"streamSid":"MZ1"}'
)
TELNYX = '{"event":"start","stream_id":"ST1","start":{"call_control_id":"v3","media_format":{"encoding":"FLAC"}}}'
REFUSED = [(TwilioFrameSerializer, TWILIO), (TelnyxFrameSerializer, TELNYX)]


@pytest.mark.parametrize(("make", "start"), REFUSED)
def test_the_reason_names_the_code(make: type[CallSerializer], start: str) -> None:
    """The refusal says what was announced and where; the serializer stays as it was."""
    serializer = make()
    for _ in range(2):
        with pytest.raises(StartRefused, match=r"FLAC|flac") as refused:
            serializer.decode(start)
        assert isinstance(refused.value, RemoteProtocolError)
        assert refused.value.path.endswith(".encoding")
        assert serializer.start is None
        assert not serializer.is_ready


@pytest.mark.parametrize(("make", "start"), REFUSED)
async def test_the_call_ends_at_once(make: type[CallSerializer], start: str, autojump_clock: object) -> None:
    """The provider is told 1003 and why, instead of a caller hearing nothing or noise."""
    async with call(serializer=make()) as held:
        await held.phone.say(start)
        await held.phone.scripted.has_ended.wait()
        assert held.phone.close_code == 1003
        assert not [frame for frame in await held.heard() if isinstance(frame, StartFrame)]
