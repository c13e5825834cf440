"""Jambonz ``listen``, and FreeSWITCH's mod_audio_fork and mod_audio_stream: 16-bit PCM in binary messages.

Received: a first text message of any JSON (StartFrame), binary (AudioFrame), ``dtmf`` (DTMFFrame), ``mark``
(MarkFrame: played, or cleared), other text (MessageFrame). Sent: AudioFrame (binary, or ``streamAudio``), MarkFrame
(``mark``), InterruptionFrame (``killAudio``), EndFrame (``disconnect``, which hangs up), MessageFrame (as it is).

The first message says the rate and whether both sides are interleaved (``mixType`` "stereo": the caller first); where
it does not, as with FreeSWITCH, both are given. What is sent is at the verb's ``bidirectionalAudio.sampleRate``.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from attrs import define, field, frozen
from attrs.validators import in_, instance_of, optional

from ..._documented import documented
from ...audio.codecs import Encoder
from ...audio.codecs.codec import L16, whole_samples
from ...errors import RemoteProtocolError
from ...frames import Frame, JSONValue, MarkFrame, MessageFrame, StartFrame, checked_audio_frame
from ..codec import WHOLE, check_depth
from ..converters import TaggedUnion, make_converter
from .line import BOTH_TRACKS, Announcement, Coding, Line, given, known_rate
from .messages import CALLER, OWN_VOICE
from .serializer import LineSerializer, key_pressed
from .settings import known_sample_rate

RATES: Final = (8000, 16000, 24000, 32000, 48000, 64000)


@frozen(kw_only=True)
class Metadata:
    """The first message, whatever else it has in it."""


@frozen(kw_only=True)
class MarkData:
    name: str


@frozen(kw_only=True)
class Mark:
    data: MarkData


@frozen(kw_only=True)
class KillAudio:
    """Stop what is playing."""


@frozen(kw_only=True)
class Disconnect:
    """Hang up."""


_converter: Final = make_converter()
JAMBONZ: Final = Line(
    name="Jambonz",
    start=Metadata,
    incoming=TaggedUnion(_converter, tag="type", kinds={"mark": Mark}),
    outgoing=TaggedUnion(
        _converter, tag="type", kinds={"mark": Mark, "killAudio": KillAudio, "disconnect": Disconnect}
    ),
    codecs={L16: RATES},
    mark=lambda _stream, name: Mark(data=MarkData(name=name)),
    clear=lambda _stream: KillAudio(),
    end=lambda _stream: Disconnect(),
    tracks=BOTH_TRACKS,
    names_streams=False,
)


def stream_audio(_stream: str, encoder: Encoder) -> tuple[str, str]:
    """Around a packet's base64 in the words of mod_audio_stream."""
    rate = encoder.format.sample_rate
    head = f'{{"type":"streamAudio","data":{{"audioDataType":"raw","sampleRate":{rate},"audioData":"'
    return head, '"}}'


@documented
@final
@define(eq=False, kw_only=True)
class JambonzFrameSerializer(LineSerializer):
    """One stream; ``sample_rate`` and ``channels`` None take what the first message says, 8000 and 1 if it does not.

    ``send_rate`` None is the rate that is received. ``as_json`` sends audio as mod_audio_stream takes it.
    """

    line: ClassVar[Line] = JAMBONZ
    """Jambonz' table."""

    sample_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, of the audio that comes; None takes what the first message says, 8000 if it says
    none."""
    send_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, of the audio that leaves; None is the rate that is received."""
    channels: int | None = field(default=None, validator=optional(in_((1, 2))))
    """1 or 2 channels of what comes; None takes what the first message says. The second is the called side, with its
    name as ``destination``."""
    as_json: bool = field(default=False, validator=instance_of(bool))
    """Send audio in JSON, as FreeSWITCH's mod_audio_stream takes it, instead of in binary messages."""
    stream_id: str | None = field(default=None, init=False)
    """None: there is one stream on a socket."""
    _stereo: bool = field(default=False, init=False)

    def _before_start(self) -> tuple[Coding | None, Coding]:
        return None, given(self.line, None, self.send_rate or self.sample_rate)

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - Metadata
        told: dict[str, JSONValue] = document if isinstance(document, dict) else {"metadata": document}
        rate = self.sample_rate or known_rate(told.get("sampleRate"), RATES, RATES[0], path="sampleRate")
        self._stereo = (self.channels or (2 if told.get("mixType") == "stereo" else 1)) == 2
        return Announcement(
            receive=Coding(encoding=L16, rate=rate),
            send=Coding(encoding=L16, rate=self.send_rate or rate),
            media_at="sampleRate",
            start=StartFrame(
                call_id=_text(told, "callSid"),
                account_id=_text(told, "accountSid"),
                from_number=_text(told, "from"),
                to_number=_text(told, "to"),
                parameters=told,
            ),
        )

    def _address(self, stream_id: str) -> None:
        LineSerializer._address(self, stream_id)
        if self.as_json:
            self._out.open(*stream_audio(stream_id, self._out.encoder))

    def _binary(self, data: bytes) -> Sequence[Frame]:
        if not self._stereo:
            return LineSerializer._binary(self, data) if CALLER in self.tracks else ()
        if len(data) % 4:
            raise RemoteProtocolError(f"{len(data)} bytes are not whole 16-bit samples of two channels", path=WHOLE)
        both = np.frombuffer(whole_samples(data), "<i2").reshape(-1, 2)
        return tuple(
            checked_audio_frame(both[:, side].tobytes(), self._in.rate, destination=name)
            for side, track, name in ((0, CALLER, None), (1, OWN_VOICE, OWN_VOICE))
            if track in self.tracks and data
        )

    def _read(self, document: JSONValue) -> Sequence[Frame]:
        check_depth(document)
        if self.start is None:
            return self._started(Metadata(), document)
        if not isinstance(document, dict):
            return (MessageFrame(message=document),)
        if "dtmf" in (document.get("event"), document.get("type")):
            digit = document.get("dtmf", document.get("digit"))
            if not isinstance(digit, str):
                raise RemoteProtocolError("a digit is wanted", path="dtmf")
            return (key_pressed(digit, path="dtmf"),)
        if document.get("type") == "mark":
            told = self.line.incoming.structure(document)
            assert isinstance(told, Mark)
            return (MarkFrame(mark=told.data.name),)
        return (MessageFrame(message=document),)


def _text(told: dict[str, JSONValue], name: str) -> str | None:
    value = told.get(name)
    return value[:256] if isinstance(value, str) else None
