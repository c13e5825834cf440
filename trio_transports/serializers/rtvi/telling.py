"""Which messages a frame becomes: those that are news, and those that have their place among the audio.

Rules
1. News leaves at once: what somebody said, what the bot is about to say (``bot-llm-text``, ``bot-output`` "new"), who
   speaks, levels, metrics, function calls.
2. A text that is spoken has its place among the audio too: there it is begun, ``bot-tts-text`` and ``bot-output``
   "in-progress", and the text before it is "completed"; the last one is when the bot has stopped speaking. An
   interruption drops the texts whose place was not reached, and the one under way is never completed: so a client
   knows what was not begun, and what was not said to its end. Clients of protocol 1.x are told "spoken" once, at its
   place.
3. Who speaks is told by the session, which knows; a frame that says so tells it for bots that find out by themselves.
   What was told already is not told again. So does how long the bot took to answer, as ``metrics``, once a turn.
4. ``bot-llm-started`` comes before the first text of an answer, ``bot-llm-stopped`` when the bot has stopped speaking,
   was interrupted, or the user has begun, unless a ``BotThinkingFrame`` says it earlier.
"""

from collections.abc import Sequence
from typing import Final, final

from attrs import define, field

from ...frames import (
    AudioLevelFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    BotThinkingFrame,
    ContextFrame,
    ErrorFrame,
    Frame,
    FunctionCallFrame,
    FunctionResultFrame,
    InterruptionFrame,
    MessageFrame,
    MetricsFrame,
    ResponseFrame,
    TextFrame,
    TranscriptionFrame,
    UIFrame,
    UserMutedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from . import to_client as to

_SENTENCE: Final = "sentence"
NOTHING: Final[Sequence[to.BotSays]] = ()


@final
@define(eq=False)
class Telling:
    """What one client was told so far."""

    is_old: bool = field(default=False, init=False)
    """A client of protocol 1.x, which also reads ``bot-transcription``."""
    calls_as_before: bool = field(default=False, init=False)
    """A client older than protocol 1.2, which knows one word for a function call."""
    _answers: bool = field(default=False, init=False)
    _user_speaks: bool = field(default=False, init=False)
    _bot_speaks: bool = field(default=False, init=False)
    _segments: int = field(default=0, init=False)
    _begun: tuple[int, str] | None = field(default=None, init=False)
    """The number and text of the last segment that has its place in the audio and was not completed."""

    def news(self, frame: Frame) -> Sequence[to.BotSays]:
        """What leaves at once; to be asked before ``placed``."""
        match frame:
            case TextFrame():
                self._segments += 1
                begun = self._begin()
                output = _output(self._segments, frame.text, "new", aloud=frame.aloud)
                return (*begun, to.BotLLMText(data=to.Words(text=frame.text)), output)
            case TranscriptionFrame():
                return (to.UserTranscription(data=_said(frame)),)
            case ContextFrame(role="user", content=str() as content):
                return (to.UserLLMText(data=to.Words(text=content)),)
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                return self.noticed(frame)
            case _:
                return NOTHING

    def placed(self, frame: Frame) -> Sequence[to.BotSays]:
        """What has its place among the audio, or overtakes it where the session says so."""
        match frame:
            case TextFrame(aloud=True):
                return self._spoken(frame.text)
            case InterruptionFrame():
                self._begun = None
                return (to.BotInterrupted(), *self._end())
            case MessageFrame():
                return (to.ServerMessage(data=frame.message),)
            case ResponseFrame(error=None):
                return (to.ServerResponse(id=frame.id, data=to.Answered(t=frame.name, d=frame.data)),)
            case ResponseFrame():
                return (to.ErrorResponse(id=frame.id, data=to.Reason(error=frame.error or "")),)
            case FunctionCallFrame():
                return _call_as_before(frame) if self.calls_as_before else _call(frame)
            case FunctionResultFrame():
                return (_call_stopped(frame),)
            case ErrorFrame():
                return (to.ErrorMessage(data=to.ErrorData(error=frame.error, fatal=frame.fatal)),)
            case MetricsFrame():
                return (to.Metrics(data=frame.metrics),)
            case AudioLevelFrame(speaker="bot"):
                return (to.BotAudioLevel(data=to.Level(value=frame.level)),)
            case AudioLevelFrame():
                return (to.UserAudioLevel(data=to.Level(value=frame.level)),)
            case UserMutedFrame():
                return (to.UserMuteStarted() if frame.muted else to.UserMuteStopped(),)
            case BotThinkingFrame():
                return self._begin() if frame.thinking else self._end()
            case UIFrame(kind="command"):
                return (to.UICommand(data=frame.data),)
            case UIFrame(kind="job-group"):
                return (to.UIJobGroup(data=frame.data),)
            case _:
                return NOTHING

    def noticed(self, frame: Frame) -> Sequence[to.BotSays]:
        """What the session has noticed."""
        match frame:
            case UserStartedSpeakingFrame() if not self._user_speaks:
                self._user_speaks = True
                return (*self._end(), to.UserStartedSpeaking())
            case UserStoppedSpeakingFrame() if self._user_speaks:
                self._user_speaks = False
                return (to.UserStoppedSpeaking(),)
            case BotStartedSpeakingFrame() if not self._bot_speaks:
                self._bot_speaks = True
                return (to.BotTTSStarted(), to.BotStartedSpeaking())
            case BotStoppedSpeakingFrame(heard=heard) if self._bot_speaks:
                self._bot_speaks = False
                was_cut_off = heard is not None and heard.is_over and not heard.is_complete
                said = NOTHING if was_cut_off else self._complete()
                self._begun = None
                return (*said, to.BotTTSStopped(), to.BotStoppedSpeaking(), *self._end())
            case MetricsFrame():
                return self.placed(frame)
            case _:
                return NOTHING

    def _begin(self) -> Sequence[to.BotSays]:
        begins, self._answers = not self._answers, True
        return (to.BotLLMStarted(),) if begins else NOTHING

    def _end(self) -> Sequence[to.BotSays]:
        ends, self._answers = self._answers, False
        return (to.BotLLMStopped(),) if ends else NOTHING

    def _spoken(self, text: str) -> Sequence[to.BotSays]:
        """What is told at a text's place: it begins, and the one before it is over."""
        words = to.Words(text=text)
        if self.is_old:
            output = _output(self._segments, text, "completed", aloud=True)
            return (to.BotTTSText(data=words), to.BotTranscription(data=words), output)
        over, self._begun = self._complete(), (self._segments, text)
        return (*over, to.BotTTSText(data=words), _output(self._segments, text, "in-progress", aloud=True))

    def _complete(self) -> Sequence[to.BotSays]:
        return NOTHING if self._begun is None else (_output(*self._begun, "completed", aloud=True),)


def _output(segment: int, text: str, status: str, *, aloud: bool) -> to.BotOutput:
    accumulated, remaining = (text, "") if status == "completed" else ("", text)
    return to.BotOutput(
        data=to.OutputText(
            text=text,
            output_type=_SENTENCE,
            text_type=_SENTENCE,
            aggregated_by=_SENTENCE,
            segment_id=segment,
            spoken=status != "new",
            will_be_spoken=aloud,
            spoken_status=status,
            spoken_progress=to.Progress(accumulated_text=accumulated, remaining_text=remaining) if aloud else None,
        )
    )


def _said(frame: TranscriptionFrame) -> to.Said:
    return to.Said(text=frame.text, user_id=frame.user_id, timestamp=frame.timestamp, final=frame.final)


def _call(frame: FunctionCallFrame) -> Sequence[to.BotSays]:
    in_progress = to.CallInProgress(tool_call_id=frame.call_id, function_name=frame.name, arguments=frame.arguments)
    return (
        to.FunctionCallStarted(data=to.CallStarted(function_name=frame.name)),
        to.FunctionCallInProgress(data=in_progress),
    )


def _call_as_before(frame: FunctionCallFrame) -> Sequence[to.BotSays]:
    called = to.OldCall(function_name=frame.name, tool_call_id=frame.call_id, args=frame.arguments)
    return (to.FunctionCall(data=called),)


def _call_stopped(frame: FunctionResultFrame) -> to.FunctionCallStopped:
    return to.FunctionCallStopped(
        data=to.CallStopped(
            tool_call_id=frame.call_id,
            cancelled=frame.cancelled,
            function_name=frame.name,
            result=frame.result,
        )
    )
