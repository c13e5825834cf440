"""What a client sends: one class for each type of message, and the frames that it stands for.

==========================  ==========================================================================================
type                        frames
==========================  ==========================================================================================
client-ready                ``StartFrame``, with the client's version and what it tells of itself; once
client-message              ``RequestFrame``
send-text                   ``InterruptionFrame`` and ``TextFrame``; ``ContextFrame`` unless ``run_immediately``
append-to-context           ``ContextFrame``
send-file                   ``FileFrame``, after an ``InterruptionFrame`` if ``run_immediately``
dtmf                        a ``DTMFFrame`` for each key
raw-audio, raw-audio-batch  ``AudioFrame``
llm-function-call-result    ``FunctionResultFrame``
disconnect-bot              ``EndFrame``
ui-event, ui-snapshot,      ``UIFrame``
ui-cancel-job-group
==========================  ==========================================================================================
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from attrs import Factory, frozen

from ...errors import RemoteProtocolError
from ...frames import (
    DTMF_DIGITS,
    ContextFrame,
    DTMFFrame,
    EndFrame,
    FileFrame,
    Frame,
    FunctionResultFrame,
    InterruptionFrame,
    JSONValue,
    RequestFrame,
    TextFrame,
    UIFrame,
)
from ..announced import audio_frame
from ..converters import TaggedUnion
from .wire import converter

MAX_KEYS: Final = 100
MAX_BATCH: Final = 1000
_DISCONNECT: Final = "disconnect-bot"


@frozen(kw_only=True)
class ClientReady:
    data: JSONValue = None  # read by hand: old clients send none


@frozen(kw_only=True)
class ClientMessageData:
    t: str
    d: JSONValue = None


@frozen(kw_only=True)
class ClientMessage:
    data: ClientMessageData
    id: str = ""


@frozen(kw_only=True)
class Options:
    run_immediately: bool | None = True
    audio_response: bool | None = True
    custom_options: Mapping[str, JSONValue] | None = None

    @property
    def runs(self) -> bool:
        return self.run_immediately is not False

    @property
    def aloud(self) -> bool:
        return self.audio_response is not False


@frozen(kw_only=True)
class Typed:
    content: str
    options: Options | None = None


@frozen(kw_only=True)
class SendText:
    data: Typed


@frozen(kw_only=True)
class Remembered:
    content: JSONValue
    role: str = "user"
    run_immediately: bool | None = False


@frozen(kw_only=True)
class AppendToContext:
    data: Remembered


@frozen(kw_only=True)
class FileSource:
    type: str
    bytes: str | None = None
    url: str | None = None


@frozen(kw_only=True)
class File:
    format: str
    source: FileSource
    name: str | None = None


@frozen(kw_only=True)
class Given:
    content: str
    file: File
    options: Options | None = None


@frozen(kw_only=True)
class SendFile:
    data: Given


@frozen(kw_only=True)
class Keys:
    buttons: tuple[str, ...] = ()
    button: str | None = None
    """Before protocol 2.1: one key."""


@frozen(kw_only=True)
class ClientDtmf:
    data: Keys


@frozen(kw_only=True)
class Recorded:
    wire_sample_rate: int
    wire_num_channels: int
    base64_audio: bytes | None = None
    base64_audio_batch: tuple[bytes | None, ...] | None = None


@frozen(kw_only=True)
class RawAudio:
    data: Recorded


@frozen(kw_only=True)
class RawAudioBatch:
    data: Recorded


@frozen(kw_only=True)
class Result:
    function_name: str
    tool_call_id: str
    arguments: Mapping[str, JSONValue] | None = None
    result: JSONValue = None


@frozen(kw_only=True)
class FunctionCallResult:
    data: Result


@frozen(kw_only=True)
class DisconnectBot:
    """The client wants the bot to leave."""


@frozen(kw_only=True)
class Event:
    event: str
    payload: JSONValue = None


@frozen(kw_only=True)
class UIEvent:
    data: Event


@frozen(kw_only=True)
class Snapshot:
    tree: Mapping[str, JSONValue]


@frozen(kw_only=True)
class UISnapshot:
    data: Snapshot


@frozen(kw_only=True)
class Cancelled:
    job_id: str
    reason: str | None = None


@frozen(kw_only=True)
class UICancelJobGroup:
    data: Cancelled = Factory(lambda: Cancelled(job_id=""))


ClientSays: TypeAlias = (
    ClientReady
    | ClientMessage
    | SendText
    | AppendToContext
    | SendFile
    | ClientDtmf
    | RawAudio
    | RawAudioBatch
    | FunctionCallResult
    | DisconnectBot
    | UIEvent
    | UISnapshot
    | UICancelJobGroup
)

CLIENT_TYPES: Final[Mapping[str, type[ClientSays]]] = {
    "client-ready": ClientReady,
    "client-message": ClientMessage,
    "send-text": SendText,
    "append-to-context": AppendToContext,
    "send-file": SendFile,
    "dtmf": ClientDtmf,
    "raw-audio": RawAudio,
    "raw-audio-batch": RawAudioBatch,
    "llm-function-call-result": FunctionCallResult,
    _DISCONNECT: DisconnectBot,
    "ui-event": UIEvent,
    "ui-snapshot": UISnapshot,
    "ui-cancel-job-group": UICancelJobGroup,
}

client_messages: Final[TaggedUnion[ClientSays]] = TaggedUnion(converter, tag="type", kinds=CLIENT_TYPES)


def frames_of(said: ClientSays) -> Sequence[Frame]:
    """The frames of a message; those of ``client-ready`` are the handshake's."""
    match said:
        case ClientMessage(id=asked_as, data=asked):
            return (RequestFrame(name=asked.t, data=asked.d, id=asked_as),)
        case SendText(data=typed):
            return _typed(typed.content, typed.options or Options())
        case AppendToContext(data=told):
            return (ContextFrame(content=told.content, role=told.role, runs=told.run_immediately is True),)
        case SendFile(data=given):
            return _file(given)
        case ClientDtmf(data=keys):
            return _keys(keys)
        case RawAudio(data=recorded) | RawAudioBatch(data=recorded):
            return _audio(recorded)
        case FunctionCallResult(data=given):
            return (
                FunctionResultFrame(
                    name=given.function_name,
                    call_id=given.tool_call_id,
                    arguments=given.arguments or {},
                    result=given.result,
                ),
            )
        case DisconnectBot():
            return (EndFrame(reason=_DISCONNECT),)
        case UIEvent(data=event):
            return (UIFrame(kind="event", data={"event": event.event, "payload": event.payload}),)
        case UISnapshot(data=snapshot):
            return (UIFrame(kind="snapshot", data=dict(snapshot.tree)),)
        case UICancelJobGroup(data=cancelled):
            return (UIFrame(kind="cancel-job-group", data={"job_id": cancelled.job_id, "reason": cancelled.reason}),)
        case ClientReady():
            return ()


def _typed(content: str, options: Options) -> Sequence[Frame]:
    if not options.runs:
        return (ContextFrame(content=content, aloud=options.aloud),)
    return (InterruptionFrame(), TextFrame(text=content, aloud=options.aloud))


def _file(given: Given) -> Sequence[Frame]:
    file, options = given.file, given.options or Options()
    data, url = _source(file.source)
    frame = FileFrame(
        format=file.format,
        data=data,
        url=url,
        name=file.name,
        text=given.content,
        runs=options.runs,
        aloud=options.aloud,
        options=options.custom_options or {},
    )
    return (InterruptionFrame(), frame) if options.runs else (frame,)


def _source(source: FileSource) -> tuple[bytes | None, str | None]:
    path = "data.file.source"
    if source.type == "url" and source.url is not None:
        return None, source.url
    if source.type != "bytes" or source.bytes is None:
        raise RemoteProtocolError("bytes or a url are wanted, as type says", path=path)
    encoded = source.bytes.partition("base64,")[2] if source.bytes.startswith("data:") else source.bytes
    try:
        return a2b_base64(encoded, strict_mode=True), None
    except (Base64Error, ValueError) as exc:
        raise RemoteProtocolError(f"not base64: {exc}", path=f"{path}.bytes") from None


def _keys(keys: Keys) -> Sequence[Frame]:
    pressed = keys.buttons or (() if keys.button is None else (keys.button,))
    if not 0 < len(pressed) <= MAX_KEYS:
        raise RemoteProtocolError(f"1 to {MAX_KEYS} keys are wanted, not {len(pressed)}", path="data.buttons")
    for place, key in enumerate(pressed):
        if len(key) != 1 or key not in DTMF_DIGITS:
            raise RemoteProtocolError(f"one of {DTMF_DIGITS} is wanted", path=f"data.buttons[{place}]")
    return tuple(DTMFFrame(digit=key) for key in pressed)


def _audio(recorded: Recorded) -> Sequence[Frame]:
    batch = recorded.base64_audio_batch or ((recorded.base64_audio,) if recorded.base64_audio else ())
    if len(batch) > MAX_BATCH:
        raise RemoteProtocolError(f"at most {MAX_BATCH} pieces are wanted, not {len(batch)}", path="data")
    pcm = b"".join(piece for piece in batch if piece)
    frame = audio_frame(pcm, recorded.wire_sample_rate, recorded.wire_num_channels, path="data")
    return (frame,) if pcm else ()
