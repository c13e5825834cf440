"""One Genesys session: opened, streamed both ways, and closed by the client's word.

Received: ``open`` (StartFrame, answered by ``opened``), binary (AudioFrame), ``dtmf`` (DTMFFrame), ``ping`` (answered),
``update`` (answered, and a MessageFrame), ``discarded``, ``paused``, ``resumed``, ``error``, ``playback_started`` and
``playback_completed`` (MessageFrame), ``close`` (EndFrame, answered by ``closed``). Sent: AudioFrame (binary),
InterruptionFrame (the barge-in entity), EndFrame (``disconnect``), MessageFrame with a ``type`` of ``disconnect``,
``pause``, ``resume``, ``reconnect`` or ``event`` and its ``parameters``, such as ``outputVariables``.

Genesys closes a session by ``close``, after ``disconnect`` too: after an EndFrame the connection stays open until that
was answered, ``close_timeout`` at most. A bot that sends ``disconnect`` as a MessageFrame reads its input to its end;
one that returns without either closes the connection itself.

Rules
1. Of the media that is offered the first is taken whose code is known here, with both channels if ``tracks`` asks for
   the agent's side too. If there is none, the session is refused and the client told why.
2. A connection probe (no conversation, or no participant, but zeros) is answered, and gives no frames: no call is
   there. Its end gives an EndFrame.
3. There is no audio before ``opened`` was given: see ``genesys.audio``.
4. Packets have 1600 samples, 200 ms: smaller ones can pass Genesys' limit of messages a second.
5. A pause is one of the client's audio, which the application asks for or the client begins: its own audio is played
   all the same.
6. A break of the rules of numbering (``genesys.numbering``) is answered once by ``disconnect``, with the reason.
"""

from collections.abc import Sequence
from typing import ClassVar, Final, final

from attrs import define, evolve, field
from attrs.validators import deep_iterable, in_

from ...._documented import documented
from ....audio.codecs.codec import L16, PCMU
from ....audio.format import AudioFormat
from ....errors import LocalProtocolError, RemoteProtocolError
from ....frames import AudioFrame, EndFrame, Frame, InterruptionFrame, JSONValue, MessageFrame, StartFrame
from ...codec import WHOLE, loads
from ...converters import mismatch
from ...protocol import Message, StartRefused, start_anew
from ..audio_out import not_started
from ..messages import CALLER, Told
from ..serializer import PACKET_MS_RULE, key_pressed
from .answers import Answers
from .audio import AGENT, RATE, SessionAudio
from .messages import (
    INCOMING,
    MAX_TEXT_BYTES,
    SERVER_TYPES,
    Close,
    Discarded,
    GenesysDtmf,
    Incoming,
    Open,
    OpenParameters,
    Ping,
    Resumed,
    Update,
    seconds_in,
    unnumbered,
)
from .numbering import Numbering
from .opening import chosen, is_probe, start_of, why_none

GENESYS_PACKET_MS: Final = 200
ENCODINGS: Final = (PCMU, L16)


@documented
@final
@define(eq=False, kw_only=True)
class GenesysFrameSerializer:
    """One session; ``tracks`` has "inbound" for the caller and "internal" for the agent's side."""

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""

    encodings: tuple[str, ...] = field(default=ENCODINGS, validator=deep_iterable(in_(ENCODINGS)))
    """The codes that may be taken, of those that are offered."""
    tracks: tuple[str, ...] = field(default=(CALLER,), validator=deep_iterable(in_((CALLER, AGENT))))
    """Which sides are heard: ``inbound`` is the caller, ``internal`` the agent, who comes with that name as
    ``destination``."""
    chunk_ms: int | None = field(default=GENESYS_PACKET_MS, validator=PACKET_MS_RULE)
    """How many milliseconds of audio one message carries. Genesys limits how many messages a second it takes: 200 is
    safe, 20 is cut off."""
    start: StartFrame | None = field(default=None, init=False)
    """What the open message said; None until it came."""
    _numbers: Numbering = field(factory=Numbering, init=False)
    _answers: Answers = field(factory=Answers, init=False)
    _audio: SessionAudio = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._audio = SessionAudio(self.tracks)

    @property
    def audio_format(self) -> AudioFormat:
        """The PCM that this dialect carries; the session converts to it and from it."""
        return self._audio.encoder.format

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""
        return self._numbers.id is not None

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""
        return False

    @property
    def numbers(self) -> bool:
        """True: each text message has a number."""
        return True

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that such a peer sends: what ``max_message_bytes`` is unless you set it."""
        return MAX_TEXT_BYTES

    @property
    def awaits_close(self) -> bool:
        """Whether Genesys' own ``close`` is still to come."""
        return self._answers.awaits_close

    def fresh(self) -> "GenesysFrameSerializer":
        """One with the same settings for another call."""
        return evolve(self)

    def reconnected(self) -> None:
        """Forget what was known of a connection that is lost: the next begins with its own open message."""
        start_anew(self, self.fresh())

    # Out

    def numbered(self, message: Message) -> Message:
        """Put the next number into a message that is written now."""
        return self._numbers.numbered(message)

    def replies(self) -> Sequence[Message]:
        """What Genesys is owed since the last call."""
        return self._answers.give()

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        session_id, answers = self._numbers.id, self._answers
        match frame:
            case AudioFrame():
                return self._audio.packet(frame, is_open=session_id is not None)
            case InterruptionFrame():
                barge_in: JSONValue = {"type": "barge_in", "data": {}}
                return () if session_id is None else (unnumbered("event", session_id, {"entities": [barge_in]}),)
            case EndFrame(reason=reason):
                if session_id is None or answers.has_disconnected:
                    return ()
                answers.has_disconnected = True
                told: dict[str, JSONValue] = {"reason": "completed"}
                return (unnumbered("disconnect", session_id, told if reason is None else {**told, "info": reason}),)
            case MessageFrame(message=message):
                return self._custom(message)
            case _:
                return ()

    def _custom(self, message: JSONValue) -> Sequence[Message]:
        if isinstance(message, dict) and message.get("label") == "rtvi-ai":
            return ()
        match message:
            case {"type": str(kind), **rest} if kind in SERVER_TYPES:
                session_id = self._numbers.id
                if session_id is None:
                    raise not_started(kind)
                self._answers.has_disconnected |= kind == "disconnect"
                parameters = rest.get("parameters")
                return (unnumbered(kind, session_id, parameters if isinstance(parameters, dict) else {}),)
        raise LocalProtocolError(
            f"a MessageFrame to Genesys must be an object with a type of {', '.join(SERVER_TYPES)}, and its parameters"
        )

    # In

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        if isinstance(message, bytes):
            return self._audio.heard(message)
        if len(message) > MAX_TEXT_BYTES:
            raise RemoteProtocolError(f"a text message has at most {MAX_TEXT_BYTES} bytes", path=WHOLE)
        with self._numbers.unread_if_refused():
            document = loads(message)
            if not isinstance(document, dict):
                raise mismatch("an object", document, path=WHOLE)
            incoming = INCOMING.structure(document)
        self._check_number(document, is_open=isinstance(incoming, Open))
        with self._numbers.unread_if_refused():
            frames = self._frames(incoming, document) if incoming is not None else ()
        self._numbers.took(document)
        return frames

    def _check_number(self, document: dict[str, JSONValue], *, is_open: bool) -> None:
        """RemoteProtocolError for what breaks the protocol's own rules; rule 6."""
        self._numbers.check_place(document, is_open=is_open)
        broken = self._numbers.broken_by(document, is_open=is_open)
        if broken is None:
            return
        reason, path = broken
        if self._numbers.id is not None:
            self._answers.disconnect(self._numbers.id, f"{path}: {reason}")
        raise RemoteProtocolError(reason, path=path)

    def _frames(self, incoming: Incoming, document: dict[str, JSONValue]) -> Sequence[Frame]:
        if isinstance(incoming, Open):
            return self._opened(incoming.parameters, document)
        session_id, answers = self._numbers.id or "", self._answers
        told = (MessageFrame(message=document),)
        match incoming:
            case Close(parameters=parameters):
                answers.close(session_id)
                return (EndFrame(reason=parameters.reason),)
            case Ping():
                answers.owe("pong", session_id, {})
                return ()
            case Update():
                answers.owe("updated", session_id, {})
                return told
            case GenesysDtmf(parameters=key):
                return (key_pressed(key.digit, path="parameters.digit"),)
            case Discarded(parameters=parameters):
                seconds = seconds_in(parameters.discarded)
                if seconds is None:
                    raise RemoteProtocolError("a duration like PT1.5S is wanted", path="parameters.discarded")
                self._audio.discard(seconds)
                return told
            case Resumed(parameters=parameters):
                self._audio.discard(seconds_in(parameters.discarded or "") or 0.0)
                return told
            case Told():
                return told

    def _opened(self, told: OpenParameters, document: dict[str, JSONValue]) -> Sequence[Frame]:
        identity = document["id"]
        assert isinstance(identity, str)
        offer, there_is_no_call = chosen(told.media, encodings=self.encodings, tracks=self.tracks), is_probe(told)
        if offer is None and (told.media or not there_is_no_call):
            reason = why_none(told.media, self.encodings)
            self._answers.disconnect(identity, reason)
            raise StartRefused(reason, path="parameters.media")
        self._numbers.id = identity
        media: list[JSONValue] = []
        if offer is not None:
            self._audio.use(offer)
            media = [{"type": "audio", "format": offer.format, "channels": list(offer.channels), "rate": RATE}]
        self._answers.owe("opened", identity, {"startPaused": False, "media": media})
        if there_is_no_call:
            return ()
        self.start = start_of(told, identity)
        return (self.start,)
