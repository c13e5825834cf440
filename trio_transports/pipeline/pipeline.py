"""A chain of stages, joined by channels in one nursery: what stands between a session's input and its output.

A stage is one of two things:

- ``async def stage(input, output)``: it reads frames from one channel and sends frames to the other, in its own time,
  with tasks of its own if it likes. It ends when its input has ended, or sooner.
- a plain function of one frame, which gives nothing (None), a frame, or several (any iterable of frames).

Rules
1. ``run`` opens the one nursery: a task that reads the input, one for each async stage (and for each run of functions
   between two of them), and one that writes the output. Neither the input nor the output is closed: they are the
   caller's. Where all stages are functions, what is between a session's two ends passes without them (``at_once``).
2. A link between stages holds ``max_queued_frames``; past that the sender waits.
3. The input is live: it is always read, or an interruption in it could not be seen. When the first stage falls more
   than ``audio_max_queue_secs`` of audio behind, the oldest audio is dropped, and a warning names the pipeline. Frames
   that are not audio are not dropped for being late: past ``max_queued_frames`` of them the input waits. With None
   nothing at all is, and the input waits for audio too, for input that is not live, such as a file.
4. An interruption enters every link after it at the same moment, ahead of all that is queued, and ends the turn: what
   was queued there is dropped, and so is what a stage waits to send, or is on its way into the output. Facts and what
   is not interruptible (see ``turns``) keep their order behind it. Nobody needs to pass it on, and passing it on does
   not repeat it. Where the output knows what was heard, the interruption tells it (``heard``). A first stage that
   keeps up has read the caller's audio up to it: the beginning of what interrupts.
5. With ``allow_interruptions`` the user's speech interrupts: an interruption is put before each
   ``UserStartedSpeakingFrame`` of the input. This is exact, while a session that interrupts by itself (its own
   parameter of that name) is some scheduling steps ahead of the pipeline, in which one more chunk can leave.
6. What a stage sends before it has read the interruption waiting for it is of the old turn, and is dropped. A stage
   made by ``per_turn`` is cancelled as well, and so does not even go on working for it.
7. A stage that returns (or closes its output) ends the input of the next. One that returns before its input has ended
   ends the pipeline in good order: the input is read no further, and a stage before it that still sends is stopped.
8. A crash in a stage cancels the others and leaves ``run`` as itself, not in a group.
9. An ``EndFrame`` from anywhere is the last frame: it is sent in order, to its end whatever interrupts, and then the
   pipeline ends as in 7. What a stage sends after it is dropped. A stage that works on for ``end_grace_secs`` after
   that is cancelled, and a warning names it.
10. A ``CancelFrame`` from anywhere overtakes everything, is sent, and ends the run at once: the stages are cancelled.
11. A stage that blocks without reading holds up nobody but the frames that have to pass it: interruptions and
    cancellations pass it by.
12. Every frame that is dropped is told to the output if that counts them, as a session's does (``Statistics``).
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import final

import trio

from .._moved import moved
from ..frames import AudioFrame, CancelFrame, EndFrame, Frame, InterruptionFrame, UserStartedSpeakingFrame
from .at_once import AtOnce
from .link import Links, StageGone, StageInput, StageLink, StageOutput
from .stage import AsyncStage, FrameFunction, Stage, check_stage, is_async, name_of, through
from .turns import CountsDropped, outlives_interruption

logger = logging.getLogger(__name__)


@final
@moved("pipeline")
class Pipeline:
    """Stages in order. It holds no state of a run: one pipeline may serve many sessions at once.

    ``run`` is itself an async stage, so a pipeline can be part of another: ``Pipeline([first, inner.run, last])``.

    ``max_queued_frames`` wait in front of each stage before the sender waits. A first stage that falls more than
    ``audio_max_queue_secs`` of audio behind loses the oldest; None loses nothing and is for input that is not live.
    ``allow_interruptions=True`` has the user's speech interrupt, where the session does not already. A stage that
    works on ``end_grace_secs`` seconds after an ``EndFrame`` is cancelled, and a warning names it.
    """

    def __init__(
        self,
        stages: Iterable[Stage],
        *,
        max_queued_frames: int = 64,
        audio_max_queue_secs: float | None = 5.0,
        allow_interruptions: bool = False,
        end_grace_secs: float = 10.0,
    ) -> None:
        if not isinstance(stages, Iterable):
            raise TypeError(f"Pipeline takes a list of stages, Pipeline([first, second]), not {stages!r}")
        self.stages: tuple[Stage, ...] = tuple(stages)
        for stage in self.stages:
            check_stage(stage)
        if type(max_queued_frames) is not int or max_queued_frames < 1:
            raise ValueError(
                f"Pipeline.max_queued_frames must be a whole number of at least 1, not {max_queued_frames!r}"
            )
        if audio_max_queue_secs is not None and not audio_max_queue_secs > 0:
            raise ValueError(f"Pipeline.audio_max_queue_secs must be above 0 or None, not {audio_max_queue_secs!r}")
        self._max_queued_frames = max_queued_frames
        self._audio_max_queue_secs = audio_max_queue_secs
        if not end_grace_secs >= 0:
            raise ValueError(f"Pipeline.end_grace_secs must be at least 0, not {end_grace_secs!r}")
        self._allow_interruptions = allow_interruptions
        self._end_grace_secs = end_grace_secs

    def __repr__(self) -> str:
        return f"Pipeline([{', '.join(map(name_of, self.stages))}])"

    def _segments(self) -> tuple[list[FrameFunction], list[AsyncStage | list[FrameFunction]], list[FrameFunction]]:
        """Functions the input's task runs, then what has a task of its own, then functions the output's task runs."""
        segments: list[AsyncStage | list[FrameFunction]] = []
        for stage in self.stages:
            if is_async(stage):
                segments.append(stage)
            elif segments and isinstance(segments[-1], list):
                segments[-1].append(stage)  # type: ignore[arg-type]  # not async, so a function
            else:
                segments.append([stage])  # type: ignore[list-item]
        first: list[FrameFunction] = []
        last: list[FrameFunction] = []
        if segments and isinstance(segments[0], list):
            first = segments[0]
            del segments[0]
        if segments and isinstance(segments[-1], list):
            last = segments[-1]
            del segments[-1]
        return first, segments, last

    async def run(self, input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        """Carry frames from ``input`` through the stages to ``output``, until the input has ended or a stage fails.

        Cancelling it cancels the stages; the frames inside the pipeline are lost.
        """
        first, segments, last = self._segments()
        dropped = output._count_dropped if isinstance(output, CountsDropped) else _not_counted
        chain: list[StageLink] = []
        for _ in range(len(segments) + 1):
            chain.append(StageLink(self._max_queued_frames, chain[-1] if chain else None, dropped))
        links = Links(chain, output)
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                at_once = None if segments else AtOnce.between(input, output, first, chain[0])
                if at_once is not None and self._audio_max_queue_secs is not None:
                    at_once.limit_s = self._audio_max_queue_secs
                nursery.start_soon(self._read, input, at_once, first, links, name=f"{self!r} input")
                for index, segment in enumerate(segments):
                    stage = partial(_run_functions, segment) if isinstance(segment, list) else segment
                    name = "functions" if isinstance(segment, list) else name_of(segment)
                    nursery.start_soon(_run_stage, stage, name, links, index, name=f"{self!r} stage {index}")
                nursery.start_soon(self._write, output, last, links, nursery.cancel_scope, name=f"{self!r} output")
        except BaseExceptionGroup as group:
            failure = _only_failure(group)
            if failure is None:
                raise
        if failure is not None:
            raise failure
        if nursery.cancel_scope.cancelled_caught and links.cancellation is None:
            logger.warning(
                "%r: cancelled %g s after the end, still working: %s",
                self,
                self._end_grace_secs,
                ", ".join(sorted(links.working)),
            )

    async def _read(
        self,
        source: trio.abc.ReceiveChannel[Frame],
        at_once: AtOnce | None,
        functions: Sequence[FrameFunction],
        links: Links,
    ) -> None:
        link = links.all[0]
        limit_s = self._audio_max_queue_secs
        has_warned = False
        with links.source:
            try:
                while True:
                    try:
                        frame = await source.receive() if at_once is None else await at_once.receive()
                    except trio.EndOfChannel:
                        if at_once is not None and at_once.has_failed:
                            raise  # a function's own
                        break
                    if frame is None:
                        frames = () if at_once is None else at_once.take_rest()
                    elif self._allow_interruptions and isinstance(frame, UserStartedSpeakingFrame):
                        frames = (*through(functions, InterruptionFrame()), *through(functions, frame))
                    else:
                        frames = through(functions, frame)
                    for each in frames:
                        if isinstance(each, InterruptionFrame):
                            await _interrupt(links, each, source if each is frame else None)
                        elif isinstance(each, CancelFrame):
                            links.cancel(each)
                        elif limit_s is None or not isinstance(each, AudioFrame):
                            await link.put(each)
                        elif await link.put_live(each, limit_s) and not has_warned:
                            has_warned = True
                            logger.warning(
                                "%r is over %g s of audio behind its input: the oldest is dropped", self, limit_s
                            )
            except StageGone:
                pass
        link.end()

    async def _write(
        self,
        output: trio.abc.SendChannel[Frame],
        functions: Sequence[FrameFunction],
        links: Links,
        everything: trio.CancelScope,
    ) -> None:
        link = links.all[-1]
        waiting: deque[Frame] = deque()
        is_over = False
        while not is_over and links.cancellation is None:
            # An interruption cancels whatever is being sent, and is then the next that is taken.
            with trio.CancelScope() as link.turn:
                await _deliver(output, functions, links, waiting)
                is_over = True
        link.turn = None
        if waiting and links.cancellation is None:  # rule 9
            with trio.CancelScope() as links.goodbye:
                await output.send(waiting.popleft())
            links.leave(link)
            everything.deadline = trio.current_time() + self._end_grace_secs
        for frame in waiting:
            link.dropped(frame)
        if links.cancellation is not None:  # rule 10
            await output.send(links.cancellation)
            everything.cancel()


async def _interrupt(links: Links, frame: InterruptionFrame, source: object) -> None:
    """Let the first stage read what lies before it, and interrupt, also when there was no time for the former."""
    # A pipeline that this one is a stage of has been interrupted already: nothing old may reach it meanwhile.
    with source.old_turn() if isinstance(source, StageInput) else nullcontext():
        try:
            await links.all[0].let_read()
        finally:
            links.interrupt(links.all[0], frame)


def _only_failure(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one exception that is not a cancellation from outside; None: there are several, or none."""
    failures = group.split(trio.Cancelled)[1]
    return failures.exceptions[0] if failures is not None and len(failures.exceptions) == 1 else None


def _not_counted(_frame: Frame) -> None:
    """Nobody wants to know."""


async def _run_stage(stage: AsyncStage, name: str, links: Links, index: int) -> None:
    before, after = links.all[index], links.all[index + 1]
    links.working.add(name)
    try:
        await stage(StageInput(before, lambda: links.leave(before)), StageOutput(links, after))
    except (StageGone, BaseExceptionGroup) as exc:
        # Rule 7: it found out by sending, maybe in a task of its own. Anything else is the stage's own crash.
        if after.is_read:
            raise
        if isinstance(exc, BaseExceptionGroup):
            rest = exc.split(StageGone)[1]
            if rest is not None:
                raise rest from None
    links.working.discard(name)
    links.leave(before)
    after.end()


async def _run_functions(
    functions: Sequence[FrameFunction],
    input: trio.abc.ReceiveChannel[Frame],  # noqa: A002
    output: trio.abc.SendChannel[Frame],
) -> None:
    async for frame in input:
        for each in through(functions, frame):
            await output.send(each)


async def _deliver(
    output: trio.abc.SendChannel[Frame], functions: Sequence[FrameFunction], links: Links, waiting: deque[Frame]
) -> None:
    """Write until the link has ended, or an ``EndFrame`` is the first of ``waiting``.

    Cancelled, the frame it was sending is still the first of ``waiting``.
    """
    link = links.all[-1]
    while True:
        if waiting and link.interruption is None:
            if isinstance(waiting[0], EndFrame):
                return
            if isinstance(waiting[0], CancelFrame):
                links.cancel(waiting[0])  # it cancels this, at the next checkpoint
                await trio.lowlevel.checkpoint()
            await output.send(links.as_it_came(waiting[0]))
            waiting.popleft()
            continue
        try:
            frame = await link.take()
        except trio.EndOfChannel:
            return
        results = through(functions, frame)
        if isinstance(frame, InterruptionFrame):
            # An earlier interruption that could not be sent in time has become this one.
            kept = []
            for each in waiting:
                if outlives_interruption(each):
                    kept.append(each)
                elif not isinstance(each, InterruptionFrame):
                    link.dropped(each)
            waiting.clear()
            waiting.extend((*results, *kept))
        else:
            waiting.extend(results)
