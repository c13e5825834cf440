"""Any program of verbs of a session and its peer, and what doing it comes to; ``tests.session.model`` judges that.

Rules
1. A program is a list of steps, done one after the other, in virtual time: the handler's verbs and the peer's doings.
2. Every frame that is sent carries its number: a text says it, each sample of audio is it, a picture begins with it.
   So what arrives says by itself what it is.
3. ``Story`` is what the steps mean.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import numpy as np
import trio
from attrs import define, field, frozen
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.session.helpers import CHUNK_S, RATE
from tests.session.test_failures import Line
from trio_transports import (
    AudioFrame,
    CancelFrame,
    ConnectionClosed,
    EndFrame,
    ImageFrame,
    MessageFrame,
    ReconnectPolicy,
    Session,
    TextFrame,
    WebsocketClientParams,
)
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session

LIMIT_S: Final = 3600.0
AHEAD_S: Final = 2 * CHUNK_S
"""How far what was sent may be ahead of its own duration: the first chunk leaves at once, and one may be early."""


@frozen
class Step:
    """One verb, with what it takes."""

    verb: str
    amount: float = 0.0


Program: TypeAlias = Sequence[Step]


def steps() -> st.SearchStrategy[Step]:
    """Any step; what ends a call is rarer than the rest, so that programs are not all short."""
    sounds, waits = (0.001, 0.013, 0.02, 0.04, 0.1, 0.5), (0.0, 0.001, 0.02, 0.033, 0.25, 2.0)
    told = ("text", "raw", "urgent", "picture", "picture in step")
    plain = (*told, "interrupt", "drain", "peer text", "peer audio", "peer babbles", "peer stalls", "peer resumes")
    endings = ("end", "end frame", "cancel frame", "close", "peer closes", "drop", "drop", "drop", "cancel", "crash")
    spoken = ("audio", "write", "kept", "kept write", "other", "other write")
    return st.one_of(
        st.builds(Step, st.just("audio"), st.sampled_from(sounds)),
        st.builds(Step, st.sampled_from(spoken), st.sampled_from(sounds)),
        st.builds(Step, st.sampled_from(("wait",) * 7 + ("close soon",)), st.sampled_from(waits)),
        st.builds(Step, st.sampled_from(("give up send", "give up write", "give up drain")), st.sampled_from(waits)),
        st.builds(Step, st.sampled_from(plain)),
        st.builds(Step, st.sampled_from(plain)),
        st.builds(Step, st.sampled_from((*plain, *endings))),
    )


PROGRAMS: Final = st.lists(steps(), min_size=1, max_size=30)


@define(eq=False)
class Story:
    """What was done, as far as the outcome depends on it."""

    done: Counter[str] = field(factory=Counter)
    sent: dict[int, tuple[str, int]] = field(factory=dict)
    """By number: what kind it was, and how many samples."""
    kept: set[int] = field(factory=set)
    """What is to be said to its end."""
    refused: set[int] = field(factory=set)
    given_up: set[int] = field(factory=set)
    """What was being written when its sender gave up waiting: it may come, or not."""
    pictures: set[int] = field(factory=set)
    """Those that were taken: one may be dropped all the same, and is counted then."""
    interruptions: list[int] = field(factory=list)
    """The number that the first frame after each interruption has."""
    settled: int = 0
    """Everything below this number was drained while nothing had been lost."""
    written: set[int] = field(factory=set)
    heard: list[str] = field(factory=list)
    said: list[str] = field(factory=list)
    """The texts of the peer, and those of them that came."""
    babbled: int = 0
    """How many messages of the peer's meant nothing."""
    is_over: bool = False
    losses: int = 0
    reconnects: bool = False
    ending: tuple[int, str] | None = None
    """The code and the initiator of the first thing that ended the session."""
    leaves: str = ""
    """How the handler leaves in the middle of it: cancelled, or by an exception of its own."""
    ends_soon: bool = False
    """Another task closes it meanwhile, so that another ending may overtake that."""


@define(eq=False)
class Player:
    """Does the steps of a program."""

    session: Session
    line: Line
    story: Story
    nursery: trio.Nursery
    is_stalled: bool = field(default=False, init=False)
    _number: int = field(default=0, init=False)

    async def play(self, program: Program) -> None:
        for step in program:
            self.story.done[step.verb] += 1
            if step.verb in ("cancel", "crash"):
                self.story.leaves = step.verb
                return
            await self._do(step)
            if step.verb.startswith("peer"):
                await wait_all_tasks_blocked()  # so that what the peer did has come before the next step

    async def _do(self, step: Step) -> None:
        story, output, peer = self.story, self.session.output, self.line.peers[-1]
        match step.verb:
            case "audio" | "kept" | "other":
                await self._send(self._kind(step), output.send, self._audio(step))
            case "write" | "kept write" | "other write":
                await self._write(self._kind(step), self._audio(step))
            case "text":
                await self._send("text", output.send, TextFrame(text=str(self._next())))
            case "raw":
                frame = TextFrame(text=str(self._next()))
                [message] = JSONFrameSerializer().encode(frame)
                await self._send("text", lambda _: output.send_raw(message), frame)
            case "urgent":
                await self._send("urgent", output.send, MessageFrame(message=self._next(), urgent=True))
            case "picture" | "picture in step":
                await self._show(in_step=step.verb != "picture")
            case "interrupt":
                if await self._try(output.interrupt):
                    story.interruptions.append(self._number + 1)
            case "give up send":
                await self._give_up_sending(step.amount)
            case "give up write":
                await self._give_up_writing(step.amount)
            case "give up drain":
                with trio.move_on_after(step.amount):
                    await self._try(output.drain)
            case "drain":
                await self._drain(output.drain)
            case "end":
                await self._drain(output.end)
            case "end frame":
                await self._end(1000, "local", lambda: output.send(EndFrame()))
            case "cancel frame":
                await self._end(1000, "local", lambda: output.send(CancelFrame()))
            case "close":
                await self._end(4001, "local", lambda: self.session.aclose(4001, "enough"))
            case "close soon":
                self.nursery.start_soon(self._close_soon, step.amount)
            case "peer closes":
                await self._peer_ends(4002, lambda: peer.close(4002, "gone"))
            case "drop":
                await self._drop()
            case "wait":
                await trio.sleep(step.amount)
            case "peer text":
                if not self.session.is_connected or story.ending:
                    return
                story.said.append(f"said {len(story.said)}")
                await peer.send(TextFrame(text=story.said[-1]))
            case "peer audio":
                if self.session.is_connected and not story.ending:
                    await peer.send(AudioFrame(audio=bytes(640), sample_rate=RATE, num_channels=1))
            case "peer babbles":
                if self.session.is_connected and not story.ending:
                    await peer.wire.send('{"type": "text", "text": 5}')
                    story.babbled += 1
            case "peer stalls" if story.ends_soon:
                pass
            case "peer stalls":
                self.is_stalled = True
                peer.stall()
            case "peer resumes":
                self._resume()
            case _:
                raise AssertionError(step.verb)

    def _resume(self) -> None:
        self.is_stalled = False
        self.line.peers[-1].resume()

    def _next(self) -> int:
        self._number += 1
        return self._number

    @staticmethod
    def _kind(step: Step) -> str:
        return "other" if step.verb.startswith("other") else "audio"

    def _audio(self, step: Step) -> AudioFrame:
        number, is_kept = self._next(), step.verb.startswith("kept")
        if is_kept:
            self.story.kept.add(number)
        return AudioFrame(
            audio=np.full(round(step.amount * RATE), number, dtype="<i2").tobytes(),
            sample_rate=RATE,
            num_channels=1,
            destination="other" if self._kind(step) == "other" else None,
            interruptible=not is_kept,
        )

    async def _give_up_sending(self, after_s: float) -> None:
        """What was not sent in time was not sent at all."""
        frame = self._audio(Step("audio", 0.1))
        with trio.move_on_after(after_s) as limit:
            await self._send("audio", self.session.output.send, frame)
        if limit.cancelled_caught:
            self.story.refused.add(self._number)

    async def _give_up_writing(self, after_s: float) -> None:
        """To give up waiting does not take back what is queued; and the rest goes on as before."""
        frame = self._audio(Step("audio", 0.1))
        number = self._number
        self.story.sent[number] = ("audio", len(frame.audio) // 2)
        with trio.move_on_after(after_s) as limit:

            async def write() -> None:
                if await self.session.output.write_audio(frame):
                    self.story.written.add(number)

            if not await self._try(write):
                self.story.refused.add(number)
        if limit.cancelled_caught:
            self.story.given_up.add(number)

    async def _try(self, verb: Callable[[], Awaitable[object]]) -> bool:
        """A verb either does what it says, or says that the call is over; and then it is."""
        try:
            await verb()
        except (ConnectionClosed, trio.ClosedResourceError):
            assert self.story.is_over or self.story.ending, "a verb said that the call is over, which nobody had ended"
            return False
        return True

    async def _send(
        self,
        kind: str,
        verb: Callable[[AudioFrame | TextFrame | MessageFrame], Awaitable[None]],
        frame: AudioFrame | TextFrame | MessageFrame,
    ) -> None:
        number = self._number
        self.story.sent[number] = (kind, len(frame.audio) // 2 if isinstance(frame, AudioFrame) else 1)
        if not await self._try(lambda: verb(frame)):
            self.story.refused.add(number)

    async def _show(self, *, in_step: bool) -> None:
        """With its own clock, or in the place among the audio at which it was sent."""
        number = self._next()
        frame = ImageFrame(image=number.to_bytes(12, "little"), size=(2, 2), sync_with_audio=in_step)
        if await self._try(lambda: self.session.output.send(frame)):
            self.story.pictures.add(number)
        else:
            self.story.refused.add(number)

    async def _write(self, kind: str, frame: AudioFrame) -> None:
        number = self._number
        self.story.sent[number] = (kind, len(frame.audio) // 2)
        self._resume()  # it waits for what is queued, and no step could resume the peer meanwhile

        async def write() -> None:
            if await self.session.output.write_audio(frame):
                self.story.written.add(number)
            elif not self.story.losses:
                assert self.story.ending, "write_audio said that audio was dropped, and nothing had happened"

        if not await self._try(write):
            self.story.refused.add(number)

    async def _drain(self, verb: Callable[[], Awaitable[None]]) -> None:
        self._resume()
        is_end = verb == self.session.output.end
        if await self._try(verb) and not self.story.losses and not self.story.ending:
            self.story.settled = self._number + 1
        self.story.is_over |= is_end

    async def _end(self, code: int, initiator: str, verb: Callable[[], Awaitable[None]]) -> None:
        self._resume()
        if self.story.ending is None and (self.session.is_connected or self.story.reconnects):  # it may be redialling
            self.story.ending = (code, initiator)
        await self._try(verb)

    async def _close_soon(self, after_s: float) -> None:
        self.story.ends_soon = True
        self._resume()
        await trio.sleep(after_s)
        await self._end(4001, "local", lambda: self.session.aclose(4001, "enough"))

    async def _peer_ends(self, code: int, verb: Callable[[], Awaitable[None]]) -> None:
        if self.story.ending is None and self.session.is_connected:
            self.story.ending = (code, "remote")
            self._resume()
            await wait_all_tasks_blocked()  # so that the peer has read what was written before it went
            await verb()

    async def _drop(self) -> None:
        story = self.story
        if story.ending is not None or not self.session.is_connected:
            return
        story.losses += 1
        if not story.reconnects:
            story.ending = (1006, "error")
        self._resume()
        await wait_all_tasks_blocked()
        self.line.peers[-1].drop()
        await trio.sleep(1)


@frozen
class Outcome:
    story: Story
    line: Line
    session: Session
    events: Sequence[Event]
    took_s: float
    asked_s: float


class Crash(Exception):
    """The handler's own."""


async def _handle(session: Session, line: Line, story: Story, program: Program, scope: trio.CancelScope) -> None:
    async def read() -> None:
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                story.heard.append(frame.text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        player = Player(session, line, story, nursery)
        await player.play(program)
        player._resume()
        if story.leaves:
            nursery.cancel_scope.cancel()
        elif story.ending is None:
            await player._drain(session.output.drain)
            story.ending = (1000, "local")
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
    if story.leaves == "crash":
        story.ending = story.ending or (1011, "local")
        raise Crash
    if story.leaves:
        story.ending = story.ending or (1001, "local")
        scope.cancel()
        await trio.sleep_forever()


async def run(program: Program, *, sends_now: bool, reconnects: bool) -> Outcome:
    """Do a program from the first connection to the last word of it."""
    line = Line(redial_s=0.05, sends_now=sends_now)
    policy = ReconnectPolicy(initial_delay=0.05, jitter=0) if reconnects else None
    params = WebsocketClientParams(
        serializer=JSONFrameSerializer(),
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_sample_rate=RATE,
        audio_out_10ms_chunks=2,
        audio_out_end_silence_secs=0,
        audio_out_destinations=("other",),
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_width=2,
        video_out_height=2,
        reconnect=policy,
    )
    story, told, scope = Story(reconnects=reconnects), list[Event](), trio.CancelScope()
    hub: Broadcast[Event] = Broadcast()
    subscription = hub.subscribe()
    redial = line.redial if reconnects else None
    began_s = trio.current_time()
    with trio.fail_after(LIMIT_S):
        with hub.activity():
            async with line.wire() as wire:
                with suppress(Crash), scope:
                    async with open_session(wire, params, events=hub, redial=redial) as session:
                        await _handle(session, line, story, program, scope)
                line.peers[-1].resume()
                await wait_all_tasks_blocked()  # so that the peer has read what was written before the line went
        told += [event async for event in subscription]
    took_s = trio.current_time() - began_s
    return Outcome(story, line, session, told, took_s, sum(step.amount for step in program))
