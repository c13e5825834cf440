"""A pipeline of functions says the same whether frames pass it where they are taken from the wire, or by way of tasks.

Every scenario is driven through three forms: the functions at once, the same between channels that do not hand over,
and with an async stage put in. Whatever can happen twice happens twice in each.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Final, final

import pytest
import trio
from attrs import define, evolve, field, frozen
from trio.testing import MockClock

from tests.pipeline.test_with_session import AnythingButSilence, audio, params
from trio_transports import Session
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import (
    AudioFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
)
from trio_transports.pipeline import FrameFunction, Pipeline, at_once
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Disconnected, Event
from trio_transports.testing import ScriptedPeer, memory_session

Drive = Callable[[Session, ScriptedPeer], Awaitable[None]]
FORMS: Final = ("at once", "in tasks", "beside an async stage")

TIGHT: Final[dict[str, object]] = {"audio_out_max_queue_secs": 0.1}


@final
@define(eq=False)
class Plain(trio.abc.ReceiveChannel[Frame]):
    """A channel that hands nothing over."""

    _inner: trio.abc.ReceiveChannel[Frame]

    async def receive(self) -> Frame:
        return await self._inner.receive()

    async def aclose(self) -> None:
        await self._inner.aclose()


async def pass_on(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
    async for frame in input:
        await output.send(frame)


@final
@frozen
class Seen:
    """What a scenario looks like from outside."""

    heard: Sequence[tuple[float, Frame]]
    """By the peer."""
    outcome: str
    """Of ``run``."""
    ends: Sequence[tuple[int, str, str]]
    statistics: object


@final
@define(eq=False)
class Watch:
    """Passes a frame, and notes in which task."""

    tasks: Counter[str] = field(factory=Counter)

    def __call__(self, frame: Frame) -> Frame:
        self.tasks[trio.lowlevel.current_task().name.rpartition(" ")[2]] += 1
        return frame


@final
@frozen
class Scenario:
    """``functions`` makes those of a run; ``drive`` plays the peer, and ends by ending the run."""

    name: str
    functions: Callable[[], Sequence[FrameFunction]]
    drive: Drive
    settings: dict[str, object] = field(factory=dict)
    pipeline: dict[str, object] = field(factory=dict)
    at_once: int = 2
    """So many frames at least pass at once."""
    forms: Sequence[str] = FORMS
    races: bool = False
    """How much had left when the end came is a matter of the moment, and is not compared."""

    async def seen(self, form: str, *, sends_now: bool) -> tuple[Seen, Watch]:
        watch, hub = Watch(), Broadcast[Event]()
        events = hub.subscribe()
        stages: list[object] = [watch, *self.functions()]
        if form == "beside an async stage":
            stages.append(pass_on)
        pipeline = Pipeline(stages, **self.pipeline)  # type: ignore[arg-type]
        outcome, began_s = "returned", trio.current_time()
        async with memory_session(params(**self.settings), events=hub, sends_now=sends_now) as (session, peer):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.drive, session, peer)
                    source = Plain(session.input) if form == "in tasks" else session.input
                    await pipeline.run(source, session.output)
            except BaseExceptionGroup as group:
                (error,) = group.exceptions
                is_cancelled = isinstance(error, BaseExceptionGroup)  # of each of its tasks
                outcome = "cancelled" if is_cancelled else f"{type(error).__name__}: {error}"
            statistics = session.statistics()
            if self.races:
                statistics = evolve(statistics, audio_out_dropped_s=0.0, frames_dropped=0, dropped_by_kind={})
        heard = [(round(each.at_s - began_s, 6), each.frame) for each in peer.recorder.heard]
        ends = [(e.code, e.reason, e.initiator) async for e in events if isinstance(e, Disconnected)]
        return Seen(heard, outcome, ends, statistics), watch

    def on_a_clock_of_its_own(self, form: str, sends_now: bool) -> tuple[Seen, Watch]:
        return trio.run(partial(self.seen, form, sends_now=sends_now), clock=MockClock(autojump_threshold=0))

    def __str__(self) -> str:
        return self.name


def only_content(frame: Frame) -> Frame | None:
    return frame if isinstance(frame, AudioFrame | TextFrame | MessageFrame | TranscriptionFrame) else None


def echo() -> Sequence[FrameFunction]:
    return [only_content]


async def talk(session: Session, peer: ScriptedPeer) -> None:
    for n in range(1, 3):
        for sample in range(3):
            await peer.send(audio(16 * n + sample + 1))
            await trio.sleep(0.02)
        await peer.send(TextFrame(text=f"turn {n}"))
        await peer.send(TranscriptionFrame(text="words"))
        await peer.send(MessageFrame(message={"turn": n}, urgent=True))
        await peer.send(MessageFrame(message={"turn": n}))
        await peer.send(TextFrame(text="to read", aloud=False))
        await trio.sleep(1)
    await peer.close()


async def burst(session: Session, peer: ScriptedPeer) -> None:
    """More than a second of audio at one moment, and words between."""
    for n in range(2):
        for sample in range(60):
            await peer.send(audio(1 + sample))
            if sample % 25 == 0:
                await peer.send(TextFrame(text=f"{n} {sample}"))
        await trio.sleep(2)
    await peer.close()


def several() -> Sequence[FrameFunction]:
    """A generator, a list, nothing, and one for one."""

    def pieces(frame: Frame) -> Iterable[Frame] | Frame | None:
        match frame:
            case TextFrame(text="many"):
                return (TextFrame(text=str(n)) for n in range(20))
            case TextFrame(text="none"):
                return None
            case TextFrame(text="two"):
                return [TextFrame(text="a"), audio(5), TextFrame(text="b")]
            case _:
                return only_content(frame)

    def loud(frame: Frame) -> Frame:
        return TextFrame(text=frame.text.upper()) if isinstance(frame, TextFrame) else frame

    return [pieces, loud]


async def ask_for_several(session: Session, peer: ScriptedPeer) -> None:
    for _ in range(2):
        for text in ("one", "many", "none", "two", "many", "one"):
            await peer.send(TextFrame(text=text))
        await trio.sleep(1)
    await peer.close()


async def interrupt_in_the_middle(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        for sample in range(50):
            await peer.send(audio(1 + sample))
        await peer.send(TextFrame(text=f"lost {n}"))
        await trio.sleep(0.3)
        await peer.send(InterruptionFrame())
        await peer.send(audio(0x2222))
        await peer.send(TextFrame(text=f"new {n}"))
        await trio.sleep(2)
    await peer.close()


def to_its_end() -> Sequence[FrameFunction]:
    """What cannot be interrupted, and an interruption of a function's own."""

    def keeps(frame: Frame) -> Iterable[Frame] | Frame | None:
        match frame:
            case TextFrame(text="story"):
                kept = AudioFrame(audio=b"\x44\x44" * 16000, sample_rate=16000, interruptible=False)
                return [kept, TextFrame(text="kept", interruptible=False), audio(0x55, 1.0), TextFrame(text="lost")]
            case TextFrame(text="stop"):
                return [InterruptionFrame(), TextFrame(text="stopped")]
            case _:
                return only_content(frame)

    return [keeps]


async def tell_and_stop(session: Session, peer: ScriptedPeer) -> None:
    for _ in range(2):
        await peer.send(TextFrame(text="before"))
        await peer.send(TextFrame(text="story"))
        await trio.sleep(0.5)
        await peer.send(TextFrame(text="stop"))
        await trio.sleep(3)
    await peer.close()


def ending(frame: Frame) -> Callable[[], Sequence[FrameFunction]]:
    def ends(each: Frame) -> Frame | Iterable[Frame] | None:
        if isinstance(each, TextFrame) and each.text == "end":
            return [TextFrame(text="goodbye"), audio(7), frame, TextFrame(text="never")]
        return only_content(each)

    return lambda: [ends]


async def ask_for_the_end(session: Session, peer: ScriptedPeer) -> None:
    for sample in range(10):
        await peer.send(audio(1 + sample))
    await peer.send(TextFrame(text="before"))
    await trio.sleep(0.05)
    await peer.send(TextFrame(text="end"))
    await peer.send(TextFrame(text="after"))
    await peer.send(TextFrame(text="end"))


async def close_behind_audio(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        for sample in range(20):
            await peer.send(audio(1 + sample))
        await peer.send(TextFrame(text=str(n)))
        await trio.sleep(0.195)  # the end comes between two chunks
    await peer.close(4000, "enough")


async def close_amid_audio(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        await peer.send(audio(1 + n))
        await peer.send(TextFrame(text=str(n)))
        await trio.sleep(0.02)
    for sample in range(50):
        await peer.send(audio(1 + sample))
    await peer.close(4000, "enough")


async def vanish(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        await peer.send(audio(1 + n))
        await trio.sleep(0.02)
    peer.drop()


def breaking(error: BaseException) -> Callable[[], Sequence[FrameFunction]]:
    def breaks(frame: Frame) -> Frame | None:
        if isinstance(frame, TextFrame) and frame.text == "break":
            raise error
        return only_content(frame)

    return lambda: [breaks]


async def break_it(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        await peer.send(TextFrame(text=f"whole {n}"))
        await trio.sleep(0.02)
    await peer.send(TextFrame(text="break"))
    await peer.send(TextFrame(text="break"))
    await trio.sleep(1)


def breaking_half_way() -> Sequence[FrameFunction]:
    def breaks(frame: Frame) -> Iterable[Frame]:
        yield from (frame for frame in (only_content(frame),) if frame is not None)
        if isinstance(frame, TextFrame) and frame.text == "break":
            raise ZeroDivisionError("half way")

    return [breaks]


def wrong() -> Sequence[FrameFunction]:
    return [lambda frame: "no frame" if isinstance(frame, MessageFrame) else only_content(frame)]  # type: ignore[list-item, return-value]


async def make_it_wrong(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        await peer.send(TextFrame(text=f"right {n}"))
        await trio.sleep(0.02)
    await peer.send(MessageFrame(message={}))
    await peer.send(MessageFrame(message={}))
    await trio.sleep(1)


async def interrupt_by_voice(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        for sample in range(20):
            await peer.send(audio(0))
            await peer.send(TextFrame(text=f"{n} {sample}"))
            await trio.sleep(0.02)
        for _ in range(5):
            await peer.send(audio(0x3333))
            await trio.sleep(0.02)
        await trio.sleep(1)
    await peer.close()


async def keys_and_facts(session: Session, peer: ScriptedPeer) -> None:
    for n in range(2):
        await peer.send(StartFrame(stream_id=f"s{n}"))
        await peer.send(DTMFFrame(digit="5"))
        await peer.send(UserStartedSpeakingFrame(at_s=1.0))
        await peer.send(audio(9))
        await peer.send(TextFrame(text="said"))
        await trio.sleep(0.5)
    await peer.send(EndFrame(reason="done"))


SCENARIOS: Final = (
    Scenario("talk", echo, talk),
    Scenario("a burst", echo, burst),
    Scenario("a burst, with little room", echo, burst, TIGHT),
    Scenario(
        "a burst over the bound",
        echo,
        burst,
        TIGHT,
        {"audio_max_queue_secs": 0.5},
        forms=FORMS[:2],  # an async stage has a queue of its own
    ),
    Scenario("several for one", several, ask_for_several),
    Scenario("an interruption", echo, interrupt_in_the_middle),
    Scenario("an interruption, with little room", echo, interrupt_in_the_middle, TIGHT),
    Scenario("what is said to its end", to_its_end, tell_and_stop),
    Scenario("an EndFrame", ending(EndFrame(reason="done")), ask_for_the_end),
    Scenario("a CancelFrame", ending(CancelFrame(reason="stop")), ask_for_the_end, races=True),
    Scenario("a peer that closes", echo, close_behind_audio),
    Scenario("a peer that closes on a bot that is behind", echo, close_amid_audio, TIGHT, races=True),
    Scenario("a peer that closes, to a bot that leaves", echo, close_behind_audio, {"on_peer_gone": "cancel"}),
    Scenario(
        "a peer that closes, to a bot that leaves and is behind",
        echo,
        close_amid_audio,
        {**TIGHT, "on_peer_gone": "cancel"},
        forms=FORMS[:2],
        races=True,
    ),
    Scenario("a peer that vanishes", echo, vanish),
    Scenario("a function that raises", breaking(ZeroDivisionError("broken")), break_it),
    Scenario("a function that raises the end of a channel", breaking(trio.EndOfChannel("its own")), break_it),
    Scenario("a function that raises for the connection", breaking(ConnectionClosed(4001, "mine")), break_it),
    Scenario("a function that raises the end of an iterator", breaking(StopIteration("its own")), break_it),
    Scenario(
        "a function that raises a group", breaking(ExceptionGroup("its", [KeyError("a"), KeyError("b")])), break_it
    ),
    Scenario("a function that has the program end", breaking(SystemExit(3)), break_it),
    Scenario("a generator that raises half way", breaking_half_way, break_it),
    Scenario("a function that gives no frame", wrong, make_it_wrong),
    Scenario("no audio out", echo, talk, {"audio_out_enabled": False}, at_once=0),
    Scenario(
        "a voice that interrupts",
        echo,
        interrupt_by_voice,
        {"vad_enabled": True, "vad_analyzer": AnythingButSilence},
        {"allow_interruptions": True},
    ),
    Scenario(
        "a session that interrupts",
        echo,
        interrupt_by_voice,
        {"vad_enabled": True, "vad_analyzer": AnythingButSilence, "allow_interruptions": True},
    ),
    Scenario("facts", lambda: [lambda frame: frame], keys_and_facts),
    Scenario("facts, dropped", echo, keys_and_facts),
)


@pytest.fixture(autouse=True)
def _no_call_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what passes at once is counted here."""
    monkeypatch.setattr(at_once, "SLOW_S", inf)


@pytest.mark.parametrize("sends_now", [False, True], ids=["by the send task", "written at once"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_all_forms_say_the_same(scenario: Scenario, sends_now: bool) -> None:
    """To the peer, at the same times; out of ``run``; in the session's events and statistics."""
    expected, watch = scenario.on_a_clock_of_its_own(FORMS[0], sends_now)
    assert watch.tasks["receive"] >= scenario.at_once, "some frames passed where they were taken"
    for form in scenario.forms[1:]:
        seen, watch = scenario.on_a_clock_of_its_own(form, sends_now)
        assert watch.tasks["receive"] == 0
        assert expected == seen, form
