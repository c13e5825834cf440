"""Azure Communication Services: JSON text messages both ways, audio as base64 of 16-bit PCM at 16 or 24 kHz.

Received: ``AudioMetadata`` (StartFrame), ``AudioData`` (AudioFrame), ``DtmfData`` (DTMFFrame). Sent: AudioFrame
(``AudioData``), InterruptionFrame (``StopAudio``). There are no marks; the call's end is the socket's.

Unmixed, each participant's audio comes by itself. The first that is heard is the caller; the others are heard with
``tracks=("inbound", "others")``, each with its raw id as destination, ``MAX_PARTICIPANTS`` of them at most.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, final

from attrs import define, field, frozen

from ..._documented import documented
from ...audio.codecs.codec import L16
from ...errors import RemoteProtocolError
from ...frames import Frame, JSONValue, StartFrame
from ..codec import loads
from ..converters import TaggedUnion, camel_case, make_converter
from ..protocol import Message
from .line import MAX_ID_CHARS, Announcement, Coding, Line, announced
from .messages import CALLER, MediaFormat
from .serializer import LineSerializer, key_pressed

OTHERS: Final = "others"
MAX_PARTICIPANTS: Final = 16


@frozen(kw_only=True)
class MetadataDetails:
    subscription_id: str | None = None
    encoding: str | None = None
    sample_rate: JSONValue = None
    channels: JSONValue = None


@frozen(kw_only=True)
class AudioMetadata:
    audio_metadata: MetadataDetails


@frozen(kw_only=True)
class AudioDetails:
    data: bytes
    timestamp: JSONValue = None
    participant_raw_ID: str | None = None  # noqa: N815 - their own spelling
    silent: JSONValue = None


@frozen(kw_only=True)
class AudioData:
    audio_data: AudioDetails


@frozen(kw_only=True)
class DtmfDetails:
    data: str


@frozen(kw_only=True)
class DtmfData:
    dtmf_data: DtmfDetails


_converter: Final = make_converter(rename=lambda name: "participantRawID" if "raw" in name else camel_case(name))
AZURE: Final = Line(
    name="Azure",
    start=AudioMetadata,
    incoming=TaggedUnion(
        _converter,
        tag="kind",
        kinds={"AudioMetadata": AudioMetadata, "AudioData": AudioData, "DtmfData": DtmfData},
    ),
    codecs={L16: (16000, 24000)},
    packet=lambda _stream, _encoder: ('{"Kind":"AudioData","AudioData":{"Data":"', '"},"StopAudio":null}'),
    clear=lambda _stream: '{"Kind":"StopAudio","AudioData":null,"StopAudio":{}}',
    tracks=(CALLER, OTHERS),
    names_streams=False,
    takes_messages=False,
)


@documented
@final
@define(eq=False, kw_only=True)
class AzureFrameSerializer(LineSerializer):
    """One call's stream."""

    line: ClassVar[Line] = AZURE
    """Azure's table."""

    stream_id: str | None = field(default=None, init=False)
    """None: the subscription's id is in the StartFrame, and nothing is addressed with it."""
    _caller: str | None = field(default=None, init=False)
    _participants: set[str] = field(factory=set, init=False)
    _began_at: datetime | None = field(default=None, init=False)

    def _before_start(self) -> tuple[Coding | None, Coding]:
        return None, Coding(encoding=self.line.default_media[0], rate=self.line.default_media[1])

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - an AudioMetadata
        details: MetadataDetails = message.audio_metadata
        media = MediaFormat(encoding=details.encoding, sample_rate=details.sample_rate, channels=details.channels)
        coding = announced(self.line, media, at="audioMetadata", rate_at="sampleRate")
        subscription = details.subscription_id
        return Announcement(
            receive=coding,
            send=coding,
            media_at="audioMetadata.encoding",
            start=StartFrame(parameters={} if subscription is None else {"subscriptionId": subscription}),
        )

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        return self._read(loads(message))

    def _news(self, message: object, document: JSONValue) -> Sequence[Frame]:
        if isinstance(message, DtmfData):
            return (key_pressed(message.dtmf_data.data, path="dtmfData.data"),)
        if not isinstance(message, AudioData):
            return ()
        audio = message.audio_data
        participant = audio.participant_raw_ID
        if OTHERS not in self.tracks and self._caller is not None and participant not in (None, self._caller):
            return ()  # however many they are
        destination = self._destination_of(participant)
        at = _time(audio.timestamp)
        if (CALLER if destination is None else OTHERS) in self.tracks:
            pts = self._pts(at)
            frames = self._in.heard(audio.data, pts=pts, destination=destination, path="audioData.data")
        elif self.start is None:
            return ()
        else:
            frames = ()
        # Only what was not refused says who the caller is and when the stream began.
        self._began_at = self._began_at or at
        if destination is not None:
            self._participants.add(destination)
        elif self._caller is None:
            self._caller = participant
        return frames

    def _destination_of(self, participant: str | None) -> str | None:
        if participant is None or participant == self._caller:
            return None
        is_known = participant in self._participants
        if len(participant) > MAX_ID_CHARS or (len(self._participants) >= MAX_PARTICIPANTS and not is_known):
            raise RemoteProtocolError(
                f"{MAX_PARTICIPANTS} participants beside the caller are heard, no more, with ids of at most "
                f"{MAX_ID_CHARS} characters",
                path="audioData.participantRawID",
            )
        return None if self._caller is None else participant

    def _pts(self, at: datetime | None) -> int | None:
        """Nanoseconds since the first packet; None when the packet says no time."""
        if at is None:
            return None
        try:
            passed = at - (self._began_at or at)
        except (TypeError, OverflowError):  # one of them says no time zone
            return None
        microseconds = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
        return microseconds * 1000 if microseconds >= 0 else None


def _time(timestamp: JSONValue) -> datetime | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp[:40])
    except ValueError:
        return None
