"""ConversationRelay, Twilio's and Telnyx's: the provider hears and speaks, and only text travels.

Received: ``setup`` (StartFrame), ``prompt`` (TranscriptionFrame; one that is not the last word yet as a MessageFrame),
``dtmf`` (DTMFFrame), ``interrupt`` (InterruptionFrame, and what was heard until then as a MessageFrame), ``error``
(MessageFrame). Sent: TextFrame (``text``), BotStoppedSpeakingFrame (the last, empty ``text`` of a turn), DTMFFrame
(``sendDigits``), EndFrame (``end``, its reason as ``handoffData``), MessageFrame of a type that the relay takes
(``text``, ``play``, ``sendDigits``, ``language``, ``end``: as it is).

Audio has no way on this line: the first that is sent is told in the log.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, TypeAlias, final

from attrs import define, field, frozen

from ..._documented import documented
from ...errors import LocalProtocolError, RemoteProtocolError
from ...frames import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
)
from ..codec import dumps, loads
from ..converters import TaggedUnion, camel_case, make_converter
from ..protocol import Message
from .audio_out import not_started
from .line import LINE_MESSAGE_BYTES
from .serializer import key_pressed

logger = logging.getLogger("trio_transports.serializers")

COMMANDS: Final = ("text", "play", "sendDigits", "language", "end")


@frozen(kw_only=True)
class Setup:
    """``call_control_id`` is Telnyx's name for the call, ``call_sid`` Twilio's."""

    session_id: str | None = None
    account_sid: str | None = None
    call_sid: str | None = None
    call_control_id: str | None = None
    from_: str | None = None
    to: str | None = None
    custom_parameters: Mapping[str, JSONValue] | None = None


@frozen(kw_only=True)
class Prompt:
    voice_prompt: str
    lang: str | None = None
    last: bool = True


@frozen(kw_only=True)
class RelayDtmf:
    digit: str


@frozen(kw_only=True)
class Interrupt:
    utterance_until_interrupt: str | None = None
    duration_until_interrupt_ms: JSONValue = None


@frozen(kw_only=True)
class Error:
    description: JSONValue = None


Incoming: TypeAlias = Setup | Prompt | RelayDtmf | Interrupt | Error

INCOMING: Final[TaggedUnion[Incoming]] = TaggedUnion(
    make_converter(rename=camel_case),
    tag="type",
    kinds={"setup": Setup, "prompt": Prompt, "dtmf": RelayDtmf, "interrupt": Interrupt, "error": Error},
)


@documented
@final
@define(eq=False, kw_only=True)
class RelayFrameSerializer:
    """One relayed call."""

    names_destinations: ClassVar[bool] = False
    """Whether messages can name the output track that they are for: if not, a session has one track."""
    carries_pictures: ClassVar[bool] = False
    """It has no message for a picture."""
    start: StartFrame | None = field(default=None, init=False)
    """What the setup message said; None until it came."""
    _has_told: bool = field(default=False, init=False)

    @property
    def audio_format(self) -> None:
        """A telephone's, though no audio is carried: Twilio speaks and listens itself."""
        return None

    @property
    def is_ready(self) -> bool:
        """Whether the peer has announced its stream, so that it can be addressed; audio waits until then."""
        return self.start is not None

    @property
    def has_marks(self) -> bool:
        """Whether the peer tells when a mark was played. Without, what was heard is reckoned by the clock."""
        return False

    @property
    def chunk_ms(self) -> None:
        """None: there is no audio."""
        return None

    @property
    def max_message_bytes(self) -> int:
        """The longest message, in bytes, that such a peer sends: what ``max_message_bytes`` is unless you set it."""
        return LINE_MESSAGE_BYTES

    def fresh(self) -> "RelayFrameSerializer":
        """One with the same settings for another call."""
        return RelayFrameSerializer()

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        match frame:
            case TextFrame(text=text):
                return self._say({"type": "text", "token": text, "last": False})
            case BotStoppedSpeakingFrame() if self.is_ready:
                return self._say({"type": "text", "token": "", "last": True})
            case DTMFFrame(digit=digit):
                return self._say({"type": "sendDigits", "digits": digit})
            case EndFrame(reason=reason) if self.is_ready:
                return self._say({"type": "end"} if reason is None else {"type": "end", "handoffData": reason})
            case MessageFrame(message=message):
                if not isinstance(message, dict) or message.get("type") not in COMMANDS:
                    raise LocalProtocolError(
                        f"the relay takes messages of type {', '.join(COMMANDS)}: a MessageFrame must be one of them"
                    )
                return self._say(message)
            case AudioFrame() if not self._has_told:
                self._has_told = True
                logger.warning("a relayed call carries text only: this audio and later audio is not sent")
        return ()

    def _say(self, command: dict[str, JSONValue]) -> Sequence[Message]:
        if not self.is_ready:
            raise not_started(str(command["type"]))
        return (dumps(command, path="message"),)

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        document = loads(message)
        told = INCOMING.structure(document)
        if self.start is None and isinstance(told, Prompt | RelayDtmf | Interrupt):
            raise RemoteProtocolError("a setup message is wanted first", path="type")
        match told:
            case Setup() as setup:
                return self._started(setup)
            case Prompt(voice_prompt=text, last=True):
                return (TranscriptionFrame(text=text),)
            case RelayDtmf(digit=digit):
                return (key_pressed(digit, path="digit"),)
            case Interrupt():
                return (MessageFrame(message=document), InterruptionFrame())
            case Prompt() | Error():
                return (MessageFrame(message=document),)
        return ()

    def _started(self, setup: Setup) -> Sequence[Frame]:
        if self.start is not None:
            raise RemoteProtocolError("the stream has started already", path="type")
        self.start = StartFrame(
            stream_id=setup.session_id,
            call_id=setup.call_sid or setup.call_control_id,
            account_id=setup.account_sid,
            from_number=setup.from_,
            to_number=setup.to,
            parameters=setup.custom_parameters or {},
        )
        return (self.start,)
