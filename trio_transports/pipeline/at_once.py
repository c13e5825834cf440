"""Functions alone, between a session's input and its output: each frame passes them where it is taken from the wire.

No task is woken for a frame then, and no queue passed. All that is more than that is left to the pipeline's two tasks,
and so is as it ever was.

Rules
1. A frame passes here only while nothing is before it: the input is empty and its reader waits, the link behind the
   functions is empty and its writer waits. So the order is that of the tasks.
2. Interruptions, cancellations and what may cause one, audio longer than the input's bound, and all that this side
   notices itself are for the tasks.
3. What comes out is sent if that waits for nothing, ``AT_ONCE`` frames at most; the tasks send the rest.
4. What a function raises is raised in the task that reads the input, and so leaves ``run`` as ever.
5. Whoever cancels the reader from inside a function sends nothing more here.
6. A slow function is for the tasks, where others have their turn between two frames: after a call that took longer than
   ``SLOW_S``, none is made here for ``PAUSES`` times as long as it took.
"""

from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from typing import Final, Protocol, final, runtime_checkable

from attrs import define, field

from ..frames import AudioFrame, CancelFrame, Frame, InterruptionFrame, UserStartedSpeakingFrame
from .link import StageLink
from .stage import FrameFunction, through

AT_ONCE: Final = 4
SLOW_S: Final = 0.001
PAUSES: Final = 20
_FOR_TASKS: Final = frozenset({InterruptionFrame, CancelFrame, UserStartedSpeakingFrame})


@runtime_checkable
class HandsFramesOver(Protocol):
    """An input that can have frames dealt with where it takes them, as a session's can."""

    async def _receive_or(self, deal: Callable[[Frame], bool | None]) -> Frame | None:
        """Receive, and have ``deal`` deal meanwhile with what it can, in the context of the task that waits here.

        It answers True: wholly; None: in part, and then this returns None; False: not at all, and this returns it.
        """

    @property
    def _stands_by(self) -> bool:
        """Whether somebody waits in ``_receive_or``, and was not cancelled."""


@runtime_checkable
class SendsFramesNow(Protocol):
    """An output that can be sent to without waiting, as a session's can."""

    def _send_now(self, frame: Frame) -> bool:
        """Send it where that waits for nothing; False: nothing was done. It raises what ``send`` does."""


@final
@define(eq=False)
class AtOnce:
    """Of one run of a pipeline, whose reading task waits in ``receive``."""

    _source: HandsFramesOver
    _output: SendsFramesNow
    _functions: Sequence[FrameFunction]
    _link: StageLink
    limit_s: float = field(default=inf, init=False)
    """Longer audio is for the tasks."""
    _rest: tuple[Frame, ...] = field(default=(), init=False)
    _for_tasks_until_s: float = field(default=0.0, init=False)
    has_failed: bool = field(default=False, init=False)
    """What ``receive`` raises is a function's, or of sending."""

    @classmethod
    def between(
        cls, source: object, output: object, functions: Sequence[FrameFunction], link: StageLink
    ) -> "AtOnce | None":
        """None: frames have to go by way of the tasks."""
        if isinstance(source, HandsFramesOver) and isinstance(output, SendsFramesNow):
            return cls(source, output, functions, link)
        return None

    async def receive(self) -> Frame | None:
        """Wait for a frame that is for the tasks; None: there is some rest of another."""
        return await self._source._receive_or(self._pass)

    def take_rest(self) -> tuple[Frame, ...]:
        """Take what came out of a frame and could not be sent yet."""
        rest, self._rest = self._rest, ()
        return rest

    def _pass(self, frame: Frame) -> bool | None:
        try:
            return self._pass_on(frame)
        except BaseException:
            self.has_failed = True
            raise  # where ``receive`` is awaited: rule 4

    def _pass_on(self, frame: Frame) -> bool | None:
        if not self._link.is_idle or type(frame) in _FOR_TASKS:
            return False
        if type(frame) is AudioFrame and frame.duration_s > self.limit_s:
            return False
        began_s = perf_counter()
        if began_s < self._for_tasks_until_s:
            return False
        results = through(self._functions, frame)
        took_s = perf_counter() - began_s
        if took_s > SLOW_S:
            self._for_tasks_until_s = began_s + (PAUSES + 1) * took_s
        sent = 0
        if self._source._stands_by:  # rule 5
            for each in results[:AT_ONCE]:
                if not self._output._send_now(each):
                    break
                sent += 1
        if sent == len(results):
            return True
        self._rest = results[sent:]
        return None
