"""The echo bot: one object for each caller, and two stages that make a pipeline of it.

Rules
1. *repeat*: an utterance is recorded from a little before speech was found until it ended, and is said back after the
   delay. Speech that begins meanwhile interrupts it, when barge-in is on; otherwise it is said to the end.
2. *mirror*: all that is heard is said back after the delay, while the caller goes on.
3. What is typed is written back, and keys that are pressed are named. What the page sets and is told beside the audio
   are messages that overtake the audio; a telephone is told none of them, since they would be its provider's orders.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal, TypeAlias, final

import trio
from attrs import define, evolve, field, frozen
from attrs.validators import ge, in_, instance_of, le

from ..errors import ConnectionClosed
from ..frames import (
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    TextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from ..pipeline import Pipeline
from ..playground.dialect import Mood, PCMFrameSerializer
from ..serializers.detect import DetectingFrameSerializer
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FrameSerializer
from ..session.session import Session

PREROLL_S: Final = 0.4
"""Speech is found a moment after it began; this much before that belongs to it."""
MAX_UTTERANCE_S: Final = 30.0
MAX_ANSWERS: Final = 1000

_TAKING: Final = frozenset({"json", "packed", "protobuf", "rtvi"})

Mode: TypeAlias = Literal["repeat", "mirror"]


@final
@frozen(kw_only=True)
class BotSettings:
    """What the page can choose."""

    mode: Mode = field(default="repeat", validator=in_(("repeat", "mirror")))
    delay_ms: int = field(default=400, validator=[instance_of(int), ge(0), le(5000)])
    barge_in: bool = field(default=True, validator=instance_of(bool))


@final
@define(eq=False)
class _Recording:
    """The last moment, or the utterance since it."""

    frames: deque[AudioFrame] = field(factory=deque)
    duration_s: float = 0.0
    is_speech: bool = False

    def add(self, frame: AudioFrame) -> None:
        self.frames.append(frame)
        self.duration_s += frame.duration_s
        while self.duration_s > (MAX_UTTERANCE_S if self.is_speech else PREROLL_S):
            self.duration_s -= self.frames.popleft().duration_s

    def take(self) -> Sequence[AudioFrame]:
        frames = tuple(self.frames)
        self.frames.clear()
        self.duration_s, self.is_speech = 0.0, False
        return frames


@final
@frozen(kw_only=True)
class _Answer:
    frames: Sequence[AudioFrame]
    due_s: float
    turn: int
    is_whole: bool


@final
@define(eq=False)
class EchoBot:
    """Answers one session until its caller has gone."""

    session: Session
    settings: BotSettings = field(factory=BotSettings)
    _hears: bool = field(default=False, init=False)
    _speaks: bool = field(default=False, init=False)
    _turn: int = field(default=0, init=False)

    @property
    def mood(self) -> Mood:
        return "hearing" if self._hears else "answering" if self._speaks else "listening"

    async def run(self) -> None:
        """Run until the input has ended. Cancelling it drops the answer."""
        try:
            await Pipeline([self.converse, self.echo]).run(self.session.input, self.session.output)
        except* ConnectionClosed:
            pass  # the caller has gone: the session tells how

    def converse(self, frame: Frame) -> Frame | Sequence[Frame] | None:
        """Answer what is asked beside the audio, and know who speaks."""
        match frame:
            case MessageFrame(message={"type": "settings", **settings}):
                try:
                    self.settings = evolve(self.settings, **settings)  # type: ignore[arg-type]  # the validators' job
                except (TypeError, ValueError) as exc:
                    return _tell({"type": "refused", "why": str(exc.args[0])})
                return None
            case TextFrame(text=text):
                return TextFrame(text=f"You wrote: {text}", aloud=False)
            case DTMFFrame(digit=digit):
                return TextFrame(text=f"You pressed {digit}.", aloud=False)
            case UserStartedSpeakingFrame():
                self._hears = True
                return frame
            case UserStoppedSpeakingFrame():
                self._hears = False
                return frame
            case BotStartedSpeakingFrame():
                self._speaks = True
                return None
            case BotStoppedSpeakingFrame():
                self._speaks = False
                return None
            case _:
                return frame

    async def echo(
        self,
        input: trio.abc.ReceiveChannel[Frame],  # noqa: A002
        output: trio.abc.SendChannel[Frame],
    ) -> None:
        recording = _Recording()
        # A page that reads nothing fills this; then the newest sound is what is lost.
        to_say, answers = trio.open_memory_channel[_Answer](MAX_ANSWERS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, answers, output)
            async for frame in input:
                match frame:
                    case AudioFrame() if self.settings.mode == "mirror":
                        recording.take()  # begun before the mode was changed
                        self._prepare(to_say, (frame,))
                    case AudioFrame():
                        recording.add(frame)
                    case UserStartedSpeakingFrame():
                        recording.is_speech = True
                        if self.settings.barge_in and self.settings.mode == "repeat":
                            self._turn += 1
                            if self._speaks or self.session.output.queued_s:
                                await output.send(InterruptionFrame())
                    case UserStoppedSpeakingFrame() if recording.is_speech:
                        self._prepare(to_say, recording.take())
                    case MessageFrame(urgent=True) | TextFrame() | ImageFrame():
                        await output.send(frame)
                    case EndFrame():
                        break
                    case _:
                        pass
            nursery.cancel_scope.cancel()

    def _prepare(self, to_say: trio.MemorySendChannel["_Answer"], frames: Sequence[AudioFrame]) -> None:
        due_s = trio.current_time() + self.settings.delay_ms / 1000
        with suppress(trio.WouldBlock):
            to_say.send_nowait(_Answer(frames=frames, due_s=due_s, turn=self._turn, is_whole=len(frames) > 1))

    async def _answer(self, answers: trio.abc.ReceiveChannel["_Answer"], output: trio.abc.SendChannel[Frame]) -> None:
        async for answer in answers:
            await trio.sleep_until(answer.due_s)
            if answer.turn != self._turn:
                continue  # spoken over before it began
            if answer.is_whole and takes_messages(self.session.serializer):
                await output.send(
                    _tell({"type": "answer", "seconds": sum(frame.duration_s for frame in answer.frames)})
                )
            for frame in answer.frames:
                await output.send(frame)
            if answer.is_whole:
                await output.send(BotStoppedSpeakingFrame())


def takes_messages(serializer: FrameSerializer) -> bool:
    """Whether a caller of this dialect can be told what a page can: providers take messages for orders."""
    if isinstance(serializer, DetectingFrameSerializer):
        return serializer.provider in _TAKING
    return isinstance(serializer, PCMFrameSerializer | JSONFrameSerializer)


def _tell(message: dict[str, JSONValue]) -> MessageFrame:
    return MessageFrame(message=message, urgent=True)
