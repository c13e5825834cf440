"""What 20 ms of a telephone call cost each provider's dialect, each way."""

from collections.abc import Callable
from functools import partial

from trio_transports.audio.g711 import ulaw_to_pcm
from trio_transports.frames import AudioFrame, InterruptionFrame
from trio_transports.serializers.converters import to_base64
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protocol import FrameSerializer, Message
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer

from ..genesys import GENESYS_OPEN
from .serializers import costs
from .timing import Figure

GROUP = "telephony"
ULAW = bytes(range(256))[:160]
PCM = bytes(1 + index % 255 for index in range(320))
WIDE = bytes(1 + index % 255 for index in range(640))
STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"
TWILIO_MEDIA = (
    '{"event": "media", "sequenceNumber": "3", "media": {"track": "inbound", "chunk": "2", "timestamp": "5", '
    f'"payload": "{to_base64(ULAW)}"}}, "streamSid": "{STREAM}"}}'
)
TWILIO_START = f'{{"event": "start", "start": {{"streamSid": "{STREAM}"}}}}'


def calls() -> dict[str, tuple[FrameSerializer, Message, AudioFrame]]:
    """Each dialect with a media message as its provider sends it and a frame in the line's own format."""
    ulaw = AudioFrame(audio=ulaw_to_pcm(ULAW), sample_rate=8000)
    linear = AudioFrame(audio=PCM, sample_rate=8000)
    media = f'{{"track": "inbound", "chunk": "2", "timestamp": "5", "payload": "{to_base64(ULAW)}"}}'
    detecting = DetectingFrameSerializer()
    detecting.decode(TWILIO_START)
    genesys = GenesysFrameSerializer()
    genesys.decode(GENESYS_OPEN)
    return {
        "twilio": (TwilioFrameSerializer(stream_id=STREAM), TWILIO_MEDIA, ulaw),
        "telnyx": (
            TelnyxFrameSerializer(stream_id="stream", receive_encoding="PCMU"),
            f'{{"event": "media", "stream_id": "stream", "media": {media}}}',
            ulaw,
        ),
        "plivo": (
            PlivoFrameSerializer(stream_id="stream"),
            f'{{"event": "media", "media": {media}, "streamId": "stream"}}',
            ulaw,
        ),
        "exotel": (
            ExotelFrameSerializer(stream_id="stream", sample_rate=8000),
            f'{{"event": "media", "stream_sid": "stream", "media": {{"chunk": 2, "payload": "{to_base64(PCM)}"}}}}',
            linear,
        ),
        "vonage": (VonageFrameSerializer(sample_rate=16000), WIDE, AudioFrame(audio=WIDE, sample_rate=16000)),
        "genesys": (genesys, ULAW, ulaw),
        "detected twilio": (detecting, TWILIO_MEDIA, ulaw),
    }


def figures(quick: bool) -> list[Figure]:
    found: list[Figure] = []
    for dialect, (serializer, message, frame) in calls().items():
        works: dict[str, Callable[[], object]] = {
            "decode audio": partial(serializer.decode, message),
            "encode audio": partial(serializer.encode, frame),
        }
        found += costs(GROUP, dialect, works, quick=quick)
    serializer = TwilioFrameSerializer(stream_id=STREAM)
    others: dict[str, Callable[[], object]] = {
        "decode dtmf": partial(serializer.decode, '{"event": "dtmf", "dtmf": {"digit": "5"}, "streamSid": "MZ1"}'),
        "encode clear": partial(serializer.encode, InterruptionFrame()),
    }
    return [*found, *costs(GROUP, "twilio", others, quick=quick)]
