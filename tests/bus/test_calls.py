"""The calls of a frame worker: which begin, which are under way, and whose names are remembered."""

import pytest
import trio
import trio.testing

from trio_transports.bus import BridgedCall, FrameWorker
from trio_transports.bus import calls as of_calls
from trio_transports.bus.bridged_call import CallOutput
from trio_transports.bus.calls import Calls
from trio_transports.errors import ConnectionClosed
from trio_transports.frames import AudioFrame, CancelFrame, EndFrame, Frame, StartFrame, TextFrame
from trio_transports.session.statistics import Counters
from trio_transports.session.unread import Unread


def call(name: str) -> BridgedCall:
    async def handler(call: BridgedCall) -> None: ...

    return BridgedCall(
        id=name,
        start=StartFrame(),
        unread=Unread(5.0, Counters(), True),
        output=CallOutput(FrameWorker("worker", handler), name, None, 30.0),
        last_frame_s=0.0,
    )


@pytest.mark.parametrize(
    ("frame", "begins"),
    [
        (StartFrame(), True),
        (TextFrame(text="x"), True),
        (AudioFrame(audio=b"", sample_rate=16000), True),
        (EndFrame(), False),
        (CancelFrame(), False),
    ],
)
def test_what_begins_a_call_of_a_caller_that_never_announced(frame: Frame, begins: bool) -> None:
    """Each time, for it is not remembered."""
    calls = Calls()
    for _ in range(2):
        assert Calls().may_begin("a", frame) is begins
        assert calls.may_begin("a", TextFrame(text="x"))


def test_only_a_start_begins_a_call_of_a_caller_that_once_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest so many of them are remembered, and no more."""
    monkeypatch.setattr(of_calls, "MAX_ANNOUNCED", 3)
    calls = Calls()
    for name in "abc":
        for _ in range(2):
            assert calls.may_begin(name, StartFrame())
    assert [calls.may_begin(name, TextFrame(text="x")) for name in "abc"] == [False] * 3
    assert calls.may_begin("d", StartFrame())
    assert [calls.may_begin(name, TextFrame(text="x")) for name in "abcd"] == [True, False, False, False]


def test_a_name_is_free_when_the_call_is_over_for_the_other_side() -> None:
    """While its handler still runs; the end of that handler touches no later call of the same name."""
    calls, first, second = Calls(), call("a"), call("a")
    assert calls.next_begun() is None
    calls.begin(first)
    assert calls.next_begun() is first
    calls.over(first)
    assert (calls.of("a"), calls.under_way, calls.handlers) == (None, (), 1)
    calls.begin(second)
    assert (calls.of("a"), calls.under_way, calls.handlers) == (second, (second,), 2)
    calls.over(first)
    calls.handled(first)
    assert (calls.of("a"), calls.handlers) == (second, 1)
    assert calls.next_begun() is second
    calls.handled(second)
    assert (calls.of("a"), calls.under_way, calls.handlers, calls.next_begun()) == (None, (), 0, None)


async def test_a_call_that_is_over_takes_nothing_and_sends_nothing() -> None:
    """What came before its end can be read; when its handler has returned that is nobody's either."""
    calls, over = Calls(), call("a")
    calls.begin(over)
    assert over._take(TextFrame(text="x")) == ""
    calls.over(over)
    with pytest.raises(ConnectionClosed, match="the call is over"):
        await over.output.send(TextFrame(text="y"))
    assert await over.input.receive() == TextFrame(text="x")
    with pytest.raises(trio.EndOfChannel):
        await over.input.receive()


async def test_who_kept_the_input_of_a_call_gets_nothing_of_it_later() -> None:
    """Its handler has returned: what it left unread is dropped."""
    calls, left = Calls(), call("a")
    calls.begin(left)
    left._take(TextFrame(text="x"))
    left._take(AudioFrame(audio=bytes(640), sample_rate=16000))
    calls.handled(left)
    with pytest.raises((trio.EndOfChannel, trio.ClosedResourceError)):
        await left.input.receive()


async def test_who_starts_handlers_hears_of_each_call(autojump_clock: trio.testing.MockClock) -> None:
    calls, heard = Calls(), list[BridgedCall | None]()

    async def listen() -> None:
        for _ in range(2):
            await calls.one_begins()
            heard.append(calls.next_begun())

    begun = [call("a"), call("b")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for each in begun:
            await trio.testing.wait_all_tasks_blocked()
            calls.begin(each)
    assert heard == begun
