"""What a bot sends: one class for each type of message, as Pipecat's own models write them.

A member without a default is always written, one that is None never.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen

from ...frames import JSONValue
from ..converters import TaggedUnion
from .wire import LABEL, converter


@frozen(kw_only=True)
class BotReadyData:
    version: str
    about: Mapping[str, JSONValue]


@frozen(kw_only=True)
class BotReady:
    id: str
    data: BotReadyData


@frozen(kw_only=True)
class Reason:
    error: str


@frozen(kw_only=True)
class ErrorResponse:
    id: str
    data: Reason


@frozen(kw_only=True)
class Answered:
    t: str
    d: JSONValue = None


@frozen(kw_only=True)
class ServerResponse:
    id: str
    data: Answered


@frozen(kw_only=True)
class ServerMessage:
    data: JSONValue


@frozen(kw_only=True)
class ErrorData:
    error: str
    fatal: bool


@frozen(kw_only=True)
class ErrorMessage:
    data: ErrorData


@frozen(kw_only=True)
class UserStartedSpeaking: ...


@frozen(kw_only=True)
class UserStoppedSpeaking: ...


@frozen(kw_only=True)
class UserMuteStarted: ...


@frozen(kw_only=True)
class UserMuteStopped: ...


@frozen(kw_only=True)
class BotStartedSpeaking: ...


@frozen(kw_only=True)
class BotStoppedSpeaking: ...


@frozen(kw_only=True)
class BotInterrupted: ...


@frozen(kw_only=True)
class BotLLMStarted: ...


@frozen(kw_only=True)
class BotLLMStopped: ...


@frozen(kw_only=True)
class BotTTSStarted: ...


@frozen(kw_only=True)
class BotTTSStopped: ...


@frozen(kw_only=True)
class Words:
    text: str


@frozen(kw_only=True)
class UserLLMText:
    data: Words


@frozen(kw_only=True)
class BotLLMText:
    data: Words


@frozen(kw_only=True)
class BotTTSText:
    data: Words


@frozen(kw_only=True)
class BotTranscription:
    data: Words


@frozen(kw_only=True)
class SystemLog:
    data: Words


@frozen(kw_only=True)
class Said:
    text: str
    user_id: str
    timestamp: str
    final: bool


@frozen(kw_only=True)
class UserTranscription:
    data: Said


@frozen(kw_only=True)
class Progress:
    accumulated_text: str
    remaining_text: str


@frozen(kw_only=True)
class OutputText:
    """Protocol 1.x reads ``spoken`` and ``aggregated_by``, 2.x the rest: both find what they know."""

    text: str
    output_type: str
    text_type: str
    aggregated_by: str
    segment_id: int
    spoken: bool
    will_be_spoken: bool
    spoken_status: str
    spoken_progress: Progress | None = None


@frozen(kw_only=True)
class BotOutput:
    data: OutputText


@frozen(kw_only=True)
class SpokenAudio:
    audio: bytes
    sample_rate: int
    num_channels: int


@frozen(kw_only=True)
class BotTTSAudio:
    data: SpokenAudio


@frozen(kw_only=True)
class CallStarted:
    function_name: str


@frozen(kw_only=True)
class FunctionCallStarted:
    data: CallStarted


@frozen(kw_only=True)
class CallInProgress:
    tool_call_id: str
    function_name: str
    arguments: Mapping[str, JSONValue]


@frozen(kw_only=True)
class FunctionCallInProgress:
    data: CallInProgress


@frozen(kw_only=True)
class OldCall:
    function_name: str
    tool_call_id: str
    args: Mapping[str, JSONValue]


@frozen(kw_only=True)
class FunctionCall:
    """Before protocol 1.2: the only word of a call."""

    data: OldCall


@frozen(kw_only=True)
class CallStopped:
    tool_call_id: str
    cancelled: bool
    function_name: str
    result: JSONValue = None


@frozen(kw_only=True)
class FunctionCallStopped:
    data: CallStopped


@frozen(kw_only=True)
class Metrics:
    data: Mapping[str, JSONValue]


@frozen(kw_only=True)
class Level:
    value: float


@frozen(kw_only=True)
class UserAudioLevel:
    data: Level


@frozen(kw_only=True)
class BotAudioLevel:
    data: Level


@frozen(kw_only=True)
class UICommand:
    data: JSONValue


@frozen(kw_only=True)
class UIJobGroup:
    data: JSONValue


BotSays: TypeAlias = (
    BotReady
    | ErrorResponse
    | ServerResponse
    | ServerMessage
    | ErrorMessage
    | UserStartedSpeaking
    | UserStoppedSpeaking
    | UserMuteStarted
    | UserMuteStopped
    | BotStartedSpeaking
    | BotStoppedSpeaking
    | BotInterrupted
    | BotLLMStarted
    | BotLLMStopped
    | BotTTSStarted
    | BotTTSStopped
    | UserLLMText
    | BotLLMText
    | BotTTSText
    | BotTranscription
    | SystemLog
    | UserTranscription
    | BotOutput
    | BotTTSAudio
    | FunctionCall
    | FunctionCallStarted
    | FunctionCallInProgress
    | FunctionCallStopped
    | Metrics
    | UserAudioLevel
    | BotAudioLevel
    | UICommand
    | UIJobGroup
)

BOT_TYPES: Final[Mapping[str, type[BotSays]]] = {
    "bot-ready": BotReady,
    "error-response": ErrorResponse,
    "server-response": ServerResponse,
    "server-message": ServerMessage,
    "error": ErrorMessage,
    "user-started-speaking": UserStartedSpeaking,
    "user-stopped-speaking": UserStoppedSpeaking,
    "user-mute-started": UserMuteStarted,
    "user-mute-stopped": UserMuteStopped,
    "bot-started-speaking": BotStartedSpeaking,
    "bot-stopped-speaking": BotStoppedSpeaking,
    "bot-interrupted": BotInterrupted,
    "bot-llm-started": BotLLMStarted,
    "bot-llm-stopped": BotLLMStopped,
    "bot-tts-started": BotTTSStarted,
    "bot-tts-stopped": BotTTSStopped,
    "user-llm-text": UserLLMText,
    "bot-llm-text": BotLLMText,
    "bot-tts-text": BotTTSText,
    "bot-transcription": BotTranscription,
    "system-log": SystemLog,
    "user-transcription": UserTranscription,
    "bot-output": BotOutput,
    "bot-tts-audio": BotTTSAudio,
    "llm-function-call": FunctionCall,
    "llm-function-call-started": FunctionCallStarted,
    "llm-function-call-in-progress": FunctionCallInProgress,
    "llm-function-call-stopped": FunctionCallStopped,
    "metrics": Metrics,
    "user-audio-level": UserAudioLevel,
    "bot-audio-level": BotAudioLevel,
    "ui-command": UICommand,
    "ui-job-group": UIJobGroup,
}

bot_messages: Final[TaggedUnion[BotSays]] = TaggedUnion(converter, tag="type", kinds=BOT_TYPES)


def document_of(said: BotSays) -> dict[str, Any]:
    """The JSON document of one message."""
    return {"label": LABEL, **bot_messages.unstructure(said)}
