"""The observer notices: with one thing broken in the library by hand, a trial names that thing.

Each is broken where every call passes: in what the default engine writes, or in what a session tells.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import inf
from typing import TypeAlias

import pytest
import trio
from attrs import evolve

from tests.readme import README
from tests.real.faults.calls import CALLS
from tests.real.faults.observer import LIMIT_S
from tests.real.faults.standstill import Standstill
from tests.real.faults.trial import Trial
from trio_transports import Connected, Disconnected
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.output import Output
from trio_transports.wire.direct import DirectWire

Frame: TypeAlias = Callable[[DirectWire, "str | bytes"], bytes]
Emit: TypeAlias = Callable[[Broadcast[Event], Event], None]
Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]

frame: Frame = DirectWire._frame
emit: Emit = Broadcast.emit


def written(broken: Frame) -> Break:
    """What the default engine makes of a message, broken."""
    return lambda monkeypatch: monkeypatch.setattr(DirectWire, "_frame", broken)


def told(broken: Emit) -> Break:
    """What is told of a session, broken."""
    return lambda monkeypatch: monkeypatch.setattr(Broadcast, "emit", broken)


def said(message: str | bytes, word: str) -> bool:
    text = message if isinstance(message, str) else bytes(message).decode("latin-1")
    return re.search(rf"{word}(?!\d)", text) is not None


def loses(*words: str) -> Break:
    def broken(wire: DirectWire, message: str | bytes) -> bytes:
        return b"" if any(said(message, word) for word in words) else frame(wire, message)

    return written(broken)


def repeats(wire: DirectWire, message: str | bytes) -> bytes:
    return frame(wire, message) * (2 if said(message, "delay-0:5") else 1)


def swaps() -> Break:
    held: list[bytes] = []

    def broken(wire: DirectWire, message: str | bytes) -> bytes:
        if said(message, "delay-0:5") and not held:
            held.append(frame(wire, message))
            return b""
        if said(message, "delay-0:6") and len(held) == 1:
            held.append(b"")
            return frame(wire, message) + held[0]
        return frame(wire, message)

    return written(broken)


def loses_sound() -> Break:
    """Some of a phone's audio: more than an end that is late by the machine's fault would drop."""
    heard = 0

    def broken(wire: DirectWire, message: str | bytes) -> bytes:
        nonlocal heard
        if isinstance(message, str) and '"media"' in message and '"track"' in message:
            heard += 1
            if 7 <= heard <= 20:
                return b""
        return frame(wire, message)

    return written(broken)


def twice(kind: type) -> Break:
    def broken(hub: Broadcast[Event], event: Event) -> None:
        emit(hub, event)
        if isinstance(event, kind):
            emit(hub, event)

    return told(broken)


def never(kind: type) -> Break:
    return told(lambda hub, event: None if isinstance(event, kind) else emit(hub, event))


def invents(hub: Broadcast[Event], event: Event) -> None:
    if isinstance(event, Disconnected) and event.initiator == "error":
        event = evolve(event, code=1000, initiator="remote")
    emit(hub, event)


def hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drain(output: Output) -> None:
        del output
        await trio.sleep_forever()

    monkeypatch.setattr(Output, "drain", drain)


LOST = "nobody was told"
TIMES = {"reset": 6}
"""Some of them strike in the handshake."""
NEVER_TOLD_OF_A_GAP = f"what came after them did, and {LOST}"
REAL = "server, direct"
BROKEN: dict[str, tuple[str, str, Callable[[], Break], str]] = {
    "a word is lost": (REAL, "delay", lambda: loses("delay-0:5"), NEVER_TOLD_OF_A_GAP),
    "the last words are lost": (REAL, "coalesce", lambda: loses("coalesce-0:10", "coalesce-0:11"), LOST),
    "a word of a reconnecting client is lost": ("client", "jitter", lambda: loses("jitter-0:3"), LOST),
    "a word under FastAPI is lost": ("FastAPI", "passing stall", lambda: loses("passing-stall-0:3"), LOST),
    "a word on the bus is lost": ("bus", "delay", lambda: loses("delay-0:5"), LOST),
    "a word in a phone's audio is lost": ("dialects", "delay", loses_sound, LOST),
    "a word comes twice": (REAL, "delay", lambda: written(repeats), "is out of order, or twice"),
    "two words change places": (REAL, "delay", swaps, "is out of order, or twice"),
    "a call beside is disturbed": (REAL, "delay", lambda: loses("beside:5"), "the call beside heard"),
    "an end is told twice": (REAL, "delay", lambda: twice(Disconnected), "was told to end 2 times"),
    "an end is told twice to a client": ("client", "delay", lambda: twice(Disconnected), "delay-0: a session was told"),
    "an end is never told": (REAL, "delay", lambda: never(Disconnected), "its end was never told"),
    "a beginning is told twice": (REAL, "delay", lambda: twice(Connected), "was told to begin 2 times"),
    "a beginning is never told": (REAL, "delay", lambda: never(Connected), "a session has ended that never began"),
    "a goodbye is invented": (REAL, "reset", lambda: told(invents), "a goodbye that nobody had said"),
    "a call never ends": (REAL, "delay", lambda: hangs, "it did not end within 2.0 s"),
}


async def mistakes(transport: str, kind: str, make: Callable[[], Break] | None = None, *, limit_s: float = 2.0) -> str:
    """What a trial says: of what is broken whatever the machine does, of what is not only where that goes on."""
    told = ""
    for _ in range(4):
        with pytest.MonkeyPatch.context() as monkeypatch:
            # Whichever engine a call would choose: it is the default one that is broken.
            monkeypatch.setattr("tests.real.faults.calls.ENGINES", ("direct",))
            monkeypatch.setattr("tests.real.faults.by_dialect.ENGINES", ("direct",))
            if make is not None:
                make()(monkeypatch)
            standstill = Standstill(bound_s=inf) if make else Standstill()
            trial = Trial(transport, TIMES.get(kind, 1), 3, kinds=(kind,), limit_s=limit_s, standstill=standstill)
            await trial.run()
        told = "\n".join(trial.all_mistakes)
        if not trial.all_not_judged:
            break
    return told


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_broken_is_named(what: str) -> None:
    """A busy machine may end a call before it comes to that: then once more."""
    transport, kind, make, name = BROKEN[what]
    said = ""
    for _ in range(3):
        said = await mistakes(transport, kind, make)
        if name in said:
            return
    pytest.fail(f"{name!r} is not in: {said}")


@contextmanager
def leaking_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A wire whose end leaves a socket open."""
    left: list[int] = []
    aclose = DirectWire.aclose

    async def broken(wire: DirectWire, code: int = 1000, reason: str = "") -> None:
        left.append(os.open("/dev/null", os.O_RDONLY))
        await aclose(wire, code, reason)

    monkeypatch.setattr(DirectWire, "aclose", broken)
    yield
    for each in left:
        os.close(each)


@contextmanager
def kept_sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody holds what was told."""
    kept: list[Event] = []

    def broken(hub: Broadcast[Event], event: Event) -> None:
        kept.append(event)
        emit(hub, event)

    told(broken)(monkeypatch)
    yield
    kept.clear()


@contextmanager
def stray_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A task for each session outlives it."""
    over = trio.Event()

    def broken(hub: Broadcast[Event], event: Event) -> None:
        if isinstance(event, Disconnected):
            trio.lowlevel.spawn_system_task(over.wait)
        emit(hub, event)

    told(broken)(monkeypatch)
    yield
    over.set()


LEAKS = [
    (leaking_sockets, "descriptors are left open"),
    (kept_sessions, "sessions are still in memory"),
    (stray_tasks, "tasks are left"),
]


@pytest.mark.parametrize(("leak", "name"), LEAKS)
async def test_what_is_left_is_named(
    leak: Callable[[pytest.MonkeyPatch], AbstractContextManager[None]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with leak(monkeypatch):
        assert name in await mistakes("server, direct", "delay")
    await trio.testing.wait_all_tasks_blocked()


async def test_nothing_broken_is_nothing_named() -> None:
    """So that the names above are not those of every trial."""
    for transport, kind in (("server, direct", "delay"), ("client", "reset"), ("bus", "delay"), ("dialects", "delay")):
        assert not await mistakes(transport, kind, limit_s=LIMIT_S)


def test_every_transport_has_its_calls() -> None:
    from tests.real.faults.places import PLACES

    assert list(PLACES) == list(CALLS)


def test_the_readme_counts_what_is_named() -> None:
    assert f"{len(BROKEN)} faults that tests put into the library, and {len(LEAKS)} leaks" in README.read_text("utf-8")
