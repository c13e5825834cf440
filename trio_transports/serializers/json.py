"""Frames as JSON: readable, for peers of your own making and for browsers without a protobuf library.

Rules
1. One frame is one message: a JSON object in a text message, or in a binary one, whichever ``binary`` says. Both are
   read.
2. ``type`` says which frame it is; the other members are the frame's fields under their own names. Fields that hold
   their default may be left out, members that are not known are ignored, and so is a ``type`` that is not known.
3. Bytes are base64 with padding. PCM is signed 16-bit little-endian, interleaved.

===========================  ========================================================================================
``type``                     members (``?``: may be left out)
===========================  ========================================================================================
``audio``                    ``audio`` base64, ``sample_rate``, ``num_channels``? 1, ``pts``?, ``destination``?,
                             ``id``?, ``name``?
``text``                     ``text``, ``aloud``? true, ``id``?, ``name``?
``transcription``            ``text``, ``final``? true, ``user_id``?, ``timestamp``?, ``id``?, ``name``?
``message``                  ``message`` any JSON, ``urgent``? false
``dtmf``                     ``digit`` one of ``0123456789*#ABCD``
``image``                    ``image`` base64, ``size`` [width, height], ``format``? "RGB", ``destination``?
``sprite``                   ``images`` a list of the members of ``image``
``start``                    ``stream_id``?, ``call_id``?, ``account_id``?, ``from_number``?, ``to_number``?,
                             ``audio_in_sample_rate``?, ``audio_out_sample_rate``?, ``parameters``? an object
``end``, ``cancel``          ``reason``?
``interruption``             ``id``?, ``name``?
``mark``                     ``mark``
``user_started_speaking``    ``at_s``?
``user_stopped_speaking``    ``at_s``?
``bot_started_speaking``     ``destination``?
``bot_stopped_speaking``     ``destination``?
``request``                  ``name``, ``data``? any JSON, ``id``?
``response``                 ``id``, ``name``?, ``data``? any JSON, ``error``?
``function_call``            ``name``, ``call_id``, ``arguments``? an object
``function_result``          ``name``, ``call_id``, ``arguments``?, ``result``? any JSON, ``cancelled``? false
``context``                  ``content`` any JSON, ``role``? "user", ``runs``? false, ``aloud``? true
``file``                     ``format``, ``data``? base64 or ``url``?, ``name``?, ``text``?, ``runs``?, ``aloud``?,
                             ``options``? an object
``ui``                       ``kind``, ``data``? any JSON
``error``                    ``error``, ``fatal``? false
``metrics``                  ``metrics`` an object
``level``                    ``level`` 0 to 1, ``speaker``? "user" or "bot"
``user_muted``               ``muted``
``bot_thinking``             ``thinking``
===========================  ========================================================================================
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, TypeAlias, final

from attrs import evolve, field, frozen
from attrs.validators import instance_of

from .._documented import documented
from ..frames import (
    AudioFrame,
    AudioLevelFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    BotThinkingFrame,
    CancelFrame,
    ContextFrame,
    DTMFFrame,
    EndFrame,
    ErrorFrame,
    FileFrame,
    FilterControlFrame,
    Frame,
    FunctionCallFrame,
    FunctionResultFrame,
    ImageFrame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    MetricsFrame,
    MixerControlFrame,
    RequestFrame,
    ResponseFrame,
    SpriteFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    UIFrame,
    UserMutedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VolumeFrame,
)
from .announced import audio_frame
from .codec import check_depth, dumps, loads_of_any_depth
from .converters import TaggedUnion, from_base64, make_converter, to_base64
from .protocol import Message

WireFrame: TypeAlias = (
    AudioFrame
    | TextFrame
    | TranscriptionFrame
    | MessageFrame
    | DTMFFrame
    | ImageFrame
    | SpriteFrame
    | StartFrame
    | EndFrame
    | CancelFrame
    | InterruptionFrame
    | MarkFrame
    | UserStartedSpeakingFrame
    | UserStoppedSpeakingFrame
    | BotStartedSpeakingFrame
    | BotStoppedSpeakingFrame
    | RequestFrame
    | ResponseFrame
    | FunctionCallFrame
    | FunctionResultFrame
    | ContextFrame
    | FileFrame
    | UIFrame
    | ErrorFrame
    | MetricsFrame
    | AudioLevelFrame
    | UserMutedFrame
    | BotThinkingFrame
)
"""Every frame but those that control this side's own mixer and filter."""

FRAME_TYPES: Final[Mapping[str, type[WireFrame]]] = {
    "audio": AudioFrame,
    "text": TextFrame,
    "transcription": TranscriptionFrame,
    "message": MessageFrame,
    "dtmf": DTMFFrame,
    "image": ImageFrame,
    "sprite": SpriteFrame,
    "start": StartFrame,
    "end": EndFrame,
    "cancel": CancelFrame,
    "interruption": InterruptionFrame,
    "mark": MarkFrame,
    "user_started_speaking": UserStartedSpeakingFrame,
    "user_stopped_speaking": UserStoppedSpeakingFrame,
    "bot_started_speaking": BotStartedSpeakingFrame,
    "bot_stopped_speaking": BotStoppedSpeakingFrame,
    "request": RequestFrame,
    "response": ResponseFrame,
    "function_call": FunctionCallFrame,
    "function_result": FunctionResultFrame,
    "context": ContextFrame,
    "file": FileFrame,
    "ui": UIFrame,
    "error": ErrorFrame,
    "metrics": MetricsFrame,
    "level": AudioLevelFrame,
    "user_muted": UserMutedFrame,
    "bot_thinking": BotThinkingFrame,
}

_frames: Final[TaggedUnion[WireFrame]] = TaggedUnion(make_converter(), tag="type", kinds=FRAME_TYPES)


def _audio_text(frame: AudioFrame) -> str:
    # The bulk of all traffic is written by hand: base64 needs no escaping, and the rest are two integers.
    head = f'{{"type":"audio","sample_rate":{frame.sample_rate},"num_channels":{frame.num_channels},"audio":"'
    tail = '"}'
    if frame.pts is not None or frame.destination is not None or frame.id or frame.name:
        rest = {"pts": frame.pts, "destination": frame.destination, "id": frame.id or None, "name": frame.name or None}
        tail = '",' + dumps({key: value for key, value in rest.items() if value is not None})[1:]
    return head + to_base64(frame.audio) + tail


_PIECE_BYTES: Final = 192 * 1024
"""A multiple of three: the base64 of pieces this long is that of the whole."""


def _image_text(frame: ImageFrame) -> str:
    # Piece by piece, so that a worker thread lets the others run in between; and nobody looks for what to escape.
    image, members = frame.image, _frames.unstructure(evolve(frame, image=b""))
    pieces = [to_base64(image[at : at + _PIECE_BYTES]) for at in range(0, len(image), _PIECE_BYTES)]
    del members["image"]
    return "".join((dumps(members)[:-1], ',"image":"', *pieces, '"}'))


@documented
@final
@frozen(kw_only=True)
class JSONFrameSerializer:
    """Frames as JSON objects, in text messages unless ``binary``."""

    writes_anywhere: ClassVar[bool] = True
    """Nothing is kept between two frames, so a worker thread may write large pictures."""

    binary: bool = field(default=False, validator=instance_of(bool))
    """Send binary messages instead of text ones, for peers that read nothing else; both are read. The bytes are the
    same."""

    @property
    def audio_format(self) -> None:
        """None: each audio message states its own format."""
        return None

    def encode(self, frame: Frame) -> Sequence[Message]:
        """The messages for one frame, in order; none where this dialect has no message for it."""
        if isinstance(frame, AudioFrame):
            text = _audio_text(frame)
        elif isinstance(frame, ImageFrame) and len(frame.image) > _PIECE_BYTES:
            text = _image_text(frame)
        elif isinstance(frame, MixerControlFrame | FilterControlFrame | VolumeFrame):
            return ()
        else:
            text = dumps(_frames.unstructure(frame))
        return (text.encode() if self.binary else text,)

    def decode(self, message: Message) -> Sequence[Frame]:
        """The frames in one message.

        What cannot be read raises ``RemoteProtocolError``; what is not known gives none.
        """
        value = loads_of_any_depth(message)
        if type(value) is dict and len(value) == 4 and value.get("type") == "audio":
            # The four members that encode writes: no need for the converter. Of these three none can hide anything.
            audio, sample_rate, num_channels = value.get("audio"), value.get("sample_rate"), value.get("num_channels")
            if type(audio) is str and type(sample_rate) is int and type(num_channels) is int:
                return (audio_frame(from_base64(audio, path="audio"), sample_rate, num_channels),)
        check_depth(value)
        frame = _frames.structure(value)
        return () if frame is None else (frame,)
