"""Frames as Pipecat's bus writes them: a closed table between its dotted names and our values.

Rules
1. A frame is ``{"__type__": name, "__data__": {...}}``. A name that is not in the table is an ``UnknownTypeError``;
   members that are not known are ignored.
2. Pipecat has two names where we have one frame: what came in from a caller, and what goes out to one. ``role`` in
   ``BusFrameMessage`` chooses the name to write, and is what was read.
3. Frames for which Pipecat has no counterpart are written under this library's own name; a Pipecat peer ignores them.
4. Pipecat leaves an image's size out (its writer skips tuples): it is read as (0, 0).
"""

from collections.abc import Callable
from typing import Final, final, get_args

from attrs import asdict, fields_dict, frozen
from cattrs import Converter

from ..._documented import documented
from ...errors import LocalProtocolError, RemoteProtocolError
from ...frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    SpriteFrame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ...serializers.announced import audio_frame
from ...serializers.converters import mismatch, within
from ..messages import BusFrame, CustomFrame, FrameRole
from .plain import DATA, TYPE

PIPECAT_FRAMES: Final = "pipecat.frames.frames."
PIPECAT_KEY: Final = "pipecat.audio.dtmf.types.KeypadEntry"
OWN_FRAMES: Final = "trio_transports.frames."

JSONObject = dict[str, object]


@final
@frozen(kw_only=True)
class _Audio:
    """What of Pipecat's audio frames is known here; the others below likewise."""

    audio: bytes
    sample_rate: int
    num_channels: int
    pts: int | None = None
    transport_destination: str | None = None
    id: int = 0
    name: str = ""


@final
@frozen(kw_only=True)
class _Message:
    message: object = None
    urgent: bool = False


@final
@frozen(kw_only=True)
class _Text:
    text: str
    skip_tts: bool | None = None
    id: int = 0
    name: str = ""


@final
@frozen(kw_only=True)
class _Said:
    text: str
    user_id: str = ""
    timestamp: str = ""
    id: int = 0
    name: str = ""


@final
@frozen(kw_only=True)
class _Keys:
    """A key is an enum to Pipecat, which writes it as its plain value, and can read only the tagged one."""

    button: object = None
    buttons: tuple[object, ...] | None = None


@final
@frozen(kw_only=True)
class _Image:
    image: bytes
    size: tuple[int, int] = (0, 0)
    format: str | None = None
    transport_destination: str | None = None


@final
@frozen(kw_only=True)
class _Sprite:
    images: tuple[object, ...]


@final
@frozen(kw_only=True)
class _Kind:
    """One name: how its data is read, and what role the frame then has (None: the name does not tell)."""

    read: Callable[[object], BusFrame]
    role: FrameRole | None = None


def tagged(name: str, data: object) -> JSONObject:
    return {TYPE: name, DATA: data}


def untag(value: object) -> tuple[str, object]:
    """The name and data of a typed value."""
    if type(value) is not dict:
        raise mismatch("a typed value", value)
    if TYPE not in value or DATA not in value:
        raise RemoteProtocolError(f"a typed value has the members {TYPE} and {DATA}")
    name = value[TYPE]
    if type(name) is not str:
        raise within(TYPE, mismatch("a type's name", name))
    return name, value[DATA]


@documented
@final
class UnknownTypeError(RemoteProtocolError):
    """A well-formed message with a name that is not registered here: a newer peer's, or a stranger's. No fault."""


def unknown_name(name: str) -> UnknownTypeError:
    # The name is the peer's: shown escaped and cut, never looked up anywhere.
    return UnknownTypeError(f"the type {name[:100]!r} is not registered here", path=TYPE)


def wrong_name(wanted: str, name: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"a {wanted} is wanted, not the type {name[:100]!r}", path=TYPE)


@final
class FrameTable:
    """Reads and writes frames with the hooks of one converter."""

    def __init__(self, converter: Converter, read_value: Callable[[object], object]) -> None:
        self._converter = converter
        self._read_value = read_value
        self._kinds = self._table()
        self._custom: dict[type, str] = {}

    def read(self, value: object) -> BusFrame:
        """The frame of a tagged value; UnknownTypeError for a name that is not here, else RemoteProtocolError."""
        name, data = untag(value)
        kind = self._kinds.get(name)
        if kind is None:
            raise unknown_name(name)
        try:
            return kind.read(data)
        except RemoteProtocolError as exc:
            raise within(DATA, exc) from None
        except ValueError as exc:  # the frame's own validators
            raise RemoteProtocolError(str(exc.args[0]), path=DATA) from None

    def register(self, cls: type[CustomFrame], name: str) -> None:
        """Let a frame of the application's own be read and written."""
        self._kinds[name] = _Kind(read=self._plain(cls))
        self._custom[cls] = name

    def _write_custom(self, frame: CustomFrame) -> JSONObject:
        name = self._custom.get(type(frame))
        if name is None:
            kind = type(frame).__name__
            raise LocalProtocolError(f"{kind} is not registered: call register({kind}, name) first")
        return tagged(name, self._converter.unstructure(frame))

    def role(self, name: str) -> FrameRole | None:
        """The role that a frame of this name has by its name alone."""
        kind = self._kinds.get(name)
        return None if kind is None else kind.role

    def _shape(self, cls: type) -> Callable[[object], object]:
        hook = self._converter.get_structure_hook(cls)
        return lambda data: hook(data, cls)

    def _table(self) -> dict[str, _Kind]:
        kinds: dict[str, _Kind] = {}

        def add(read: Callable[[object], Frame], *names: str, role: FrameRole | None = None) -> None:
            for name in names:
                kinds[PIPECAT_FRAMES + name] = _Kind(read=read, role=role)

        outputs = ("OutputAudioRawFrame", "TTSAudioRawFrame", "SpeechOutputAudioRawFrame")
        add(self._audio, *outputs, role="output")
        add(self._audio, "InputAudioRawFrame", "UserAudioRawFrame", role="input")
        add(self._text, "TextFrame", "LLMTextFrame")
        add(self._text, "InputTextRawFrame", role="input")
        add(self._said(final=True), "TranscriptionFrame")
        add(self._said(final=False), "InterimTranscriptionFrame")
        add(self._message(urgent=False), "OutputTransportMessageFrame", role="output")
        add(self._message(urgent=True), "OutputTransportMessageUrgentFrame", role="output")
        add(self._message(urgent=False), "InputTransportMessageFrame", role="input")
        add(self._keys, "OutputDTMFFrame", "OutputDTMFUrgentFrame", role="output")
        add(self._keys, "InputDTMFFrame", role="input")
        add(self._image, "OutputImageRawFrame", "URLImageRawFrame", role="output")
        add(self._image, "InputImageRawFrame", "UserImageRawFrame", role="input")
        add(self._sprite, "SpriteFrame")
        for cls in _PLAIN:
            add(self._plain(cls), cls.__name__)
        for own in _OWN:
            kinds[OWN_FRAMES + own.__name__] = _Kind(read=self._plain(own))
        return kinds

    def _plain(self, cls: type) -> Callable[[object], Frame]:
        return self._shape(cls)  # type: ignore[return-value]

    def _audio(self, data: object) -> AudioFrame:
        raw = self._converter.structure(data, _Audio)
        return audio_frame(
            raw.audio,
            raw.sample_rate,
            raw.num_channels,
            pts=raw.pts,
            destination=raw.transport_destination,
            id=raw.id,
            name=raw.name,
        )

    def _text(self, data: object) -> TextFrame:
        raw = self._converter.structure(data, _Text)
        return TextFrame(text=raw.text, aloud=not raw.skip_tts, id=raw.id, name=raw.name)

    def _said(self, *, final: bool) -> Callable[[object], TranscriptionFrame]:
        def read(data: object) -> TranscriptionFrame:
            return TranscriptionFrame(**asdict(self._converter.structure(data, _Said)), final=final)

        return read

    def _message(self, *, urgent: bool) -> Callable[[object], MessageFrame]:
        def read(data: object) -> MessageFrame:
            raw = self._converter.structure(data, _Message)
            try:
                message: JSONValue = self._read_value(raw.message)  # type: ignore[assignment]
            except RemoteProtocolError as exc:
                raise within("message", exc) from None
            return MessageFrame(message=message, urgent=urgent or raw.urgent)

        return read

    def _keys(self, data: object) -> DTMFFrame:
        raw = self._converter.structure(data, _Keys)
        keys = raw.buttons if raw.buttons is not None else (raw.button,)
        if len(keys) != 1 or keys[0] is None:
            raise RemoteProtocolError(f"one key in a frame is wanted, not {len(keys)}", path="buttons")
        key = keys[0]
        if isinstance(key, dict):
            kind, name = untag(key)
            if kind != PIPECAT_KEY:
                raise wrong_name(PIPECAT_KEY, kind)
            key = _KEYS.get(str(name), name)
        if not isinstance(key, str):
            raise within("button", mismatch("a key", key))
        return DTMFFrame(digit=key)

    def _image(self, data: object) -> ImageFrame:
        raw = self._converter.structure(data, _Image)
        return ImageFrame(
            image=raw.image, size=raw.size, format=raw.format or "RGB", destination=raw.transport_destination
        )

    def _sprite(self, data: object) -> SpriteFrame:
        images = []
        for index, value in enumerate(self._converter.structure(data, _Sprite).images):
            try:
                images.append(self._image_in_sprite(value))
            except RemoteProtocolError as exc:
                raise within(f"images[{index}]", exc) from None
        return SpriteFrame(images=tuple(images))

    def _image_in_sprite(self, value: object) -> ImageFrame:
        image = self.read(value)
        if type(image) is not ImageFrame:
            raise RemoteProtocolError(f"an image is wanted, not a {type(image).__name__}")
        return image

    def write(self, frame: BusFrame, role: FrameRole) -> JSONObject:
        """The typed value for one frame."""
        incoming = role == "input"
        match frame:
            case AudioFrame():
                name = "InputAudioRawFrame" if incoming else "OutputAudioRawFrame"
                raw: object = _Audio(
                    audio=frame.audio,
                    sample_rate=frame.sample_rate,
                    num_channels=frame.num_channels,
                    pts=frame.pts,
                    transport_destination=frame.destination,
                    id=frame.id,
                    name=frame.name,
                )
            case MessageFrame():
                if incoming:
                    name = "InputTransportMessageFrame"
                else:
                    name = "OutputTransportMessageUrgentFrame" if frame.urgent else "OutputTransportMessageFrame"
                raw = _Message(message=frame.message, urgent=frame.urgent and incoming)  # else the name says it
            case DTMFFrame() if frame.digit in _KEY_NAMES:
                name = "InputDTMFFrame" if incoming else "OutputDTMFFrame"
                return tagged(PIPECAT_FRAMES + name, {"button": tagged(PIPECAT_KEY, _KEY_NAMES[frame.digit])})
            case DTMFFrame():
                return tagged(OWN_FRAMES + "DTMFFrame", {"digit": frame.digit})  # Pipecat has no such key
            case ImageFrame():
                name = "InputImageRawFrame" if incoming else "OutputImageRawFrame"
                raw = _image_shape(frame)
            case SpriteFrame():
                images = [self.write(image, "output") for image in frame.images]
                return tagged(PIPECAT_FRAMES + "SpriteFrame", {"images": images})
            case TextFrame():
                name = "InputTextRawFrame" if incoming else "TextFrame"
                raw = _Text(text=frame.text, skip_tts=None if frame.aloud else True, id=frame.id, name=frame.name)
            case TranscriptionFrame():
                name = "TranscriptionFrame" if frame.final else "InterimTranscriptionFrame"
                raw = _Said(**{field: getattr(frame, field) for field in fields_dict(_Said)})
            case CustomFrame():
                return self._write_custom(frame)
            case _:
                name, raw = type(frame).__name__, frame
        if PIPECAT_FRAMES + name in self._kinds:
            return tagged(PIPECAT_FRAMES + name, self._converter.unstructure(raw))
        if OWN_FRAMES + name in self._kinds:
            return tagged(OWN_FRAMES + name, self._converter.unstructure(raw))
        raise LocalProtocolError(f"a {name} has no form on the bus: send one of the frames in trio_transports.frames")


def _image_shape(frame: ImageFrame) -> _Image:
    return _Image(image=frame.image, size=frame.size, format=frame.format, transport_destination=frame.destination)


_PLAIN: Final[tuple[type, ...]] = (
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    CancelFrame,
)
"""Frames that have Pipecat's name and no member that differs."""

_KEY_ORDER: Final = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE", "STAR", "POUND")
_KEYS: Final = dict(zip(_KEY_ORDER, "0123456789*#", strict=True))
"""Pipecat's names for keys; it has none for A to D, which go under this library's own name."""
_KEY_NAMES: Final = {key: name for name, key in _KEYS.items()}

_MAPPED: Final = (*_PLAIN, AudioFrame, TextFrame, TranscriptionFrame, MessageFrame, ImageFrame, SpriteFrame)
_OWN: Final[tuple[type, ...]] = tuple(cls for cls in get_args(Frame) if cls not in _MAPPED)
