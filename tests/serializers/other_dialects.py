"""The dialects that are unlike Twilio's, with what the contract test needs to know of them."""

from collections.abc import Callable

from hypothesis import strategies as st

from tests.serializers.conversations import ULAW
from tests.serializers.genesys_conversation import DISCARDED, GENESYS_OPEN, PING, client
from tests.serializers.scripts import Script
from tests.serializers.strategies import texts
from trio_transports import frames as f
from trio_transports.audio.g711 import ulaw_to_pcm
from trio_transports.serializers import FrameSerializer, Message
from trio_transports.serializers.asterisk import AsteriskFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer

marks: st.SearchStrategy[f.Frame] = st.builds(f.MarkFrame, mark=texts)
keys: st.SearchStrategy[f.Frame] = st.sampled_from("0123456789*#ABCD").map(lambda digit: f.DTMFFrame(digit=digit))


def started(script: Script) -> Callable[[], FrameSerializer]:
    """A serializer of a call that has begun."""

    def make() -> FrameSerializer:
        serializer = script.make()
        for message in script.received:
            if serializer.start is not None:
                break
            serializer.decode(message)
        return serializer

    return make


def heard(script: Script) -> list[Message]:
    """What comes after the start."""
    serializer, after = script.make(), []
    for message in script.received:
        if serializer.start is not None:
            after.append(message)
        serializer.decode(message)
    return after


def linear(rate: int) -> st.SearchStrategy[f.Frame]:
    return st.binary(min_size=1, max_size=40).map(lambda code: f.AudioFrame(audio=code * 2, sample_rate=rate))


def mu_law(pts: int | None = None) -> st.SearchStrategy[f.Frame]:
    audio = st.binary(min_size=1, max_size=40)
    return audio.map(lambda code: f.AudioFrame(audio=ulaw_to_pcm(code), sample_rate=8000, pts=pts))


def azure_returns(message: Message) -> Message:
    assert isinstance(message, str)
    return message.replace("Kind", "kind").replace('"AudioData":{"Data"', '"audioData":{"data"')


def asterisk_returns(message: Message) -> Message:
    if isinstance(message, bytes):
        return message
    return message.replace('"command":"MARK_MEDIA"', '"event":"MEDIA_MARK_PROCESSED"', 1)


def asterisk_plain_returns(message: Message) -> Message:
    assert isinstance(message, str)
    return message.replace("MARK_MEDIA ", "MEDIA_MARK_PROCESSED correlation_id:", 1)


def relay_returns(message: Message) -> Message:
    assert isinstance(message, str)
    return message.replace('"type":"sendDigits","digits"', '"type":"dtmf","digit"', 1)


def asterisk() -> FrameSerializer:
    serializer = AsteriskFrameSerializer()
    serializer.decode('{"event":"MEDIA_START","format":"ulaw"}')
    return serializer


def genesys() -> FrameSerializer:
    serializer = GenesysFrameSerializer()
    serializer.decode(GENESYS_OPEN)
    for message in serializer.replies():
        serializer.numbered(message)
    return serializer


GENESYS_SAMPLES: dict[str, Message] = {
    "audio": ULAW,
    "ping": PING,
    "dtmf": client("dtmf", 2, 1, '{"digit":"4"}'),
    "discarded": client("discarded", 2, 1, DISCARDED),
    "close": client("close", 2, 1, '{"reason":"end"}'),
    "update": client("update", 2, 1, '{"language":"de"}'),
}
"""One message each, since every one has the number that it has to have."""
