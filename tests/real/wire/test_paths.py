"""Every path keeps every promise of a wire: its contract, and a cancellation at each step of each of its verbs.

What other tests show of a path stands in ``SHOWN``; what they leave is shown here. Keeping time is a test of its own,
``test_paths_keep_time``.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.real.wire.paths import PATHS
from tests.session.sweep import CancelAtStep
from trio_transports import AudioFrame, Connected, ConnectionClosed, Disconnected, TextFrame, TransportParams
from trio_transports.serializers import FrameSerializer, JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import check_wire
from trio_transports.wire import Wire
from trio_transports.wire.protocol import Batches, HandsOver

LIMIT: Final = 1 << 20
SHORT: Final = "short"
LONG: Final = bytes(range(256)) * 400
"""Of many reads, and more than the sockets hold."""
GOODBYE: Final = (4321, "bye")

LIMIT_S: Final = 120.0

SHORT_WAY: Final = "tests/real/wire/test_short_way.py"
WAKES: Final = "tests/real/wire/test_wakes.py"
ASGI: Final = "tests/real/asgi/test_asgi_short_way.py"
SHOWN: Final[dict[str, dict[str, str]]] = {
    "the contract of wires": {
        "memory": "tests/wire/test_contract.py::test_the_memory_wire",
        "memory, sends now": "tests/wire/test_contract.py::test_the_memory_wire_that_sends_now",
        "default": "tests/real/wire/test_engines.py::test_plain",
        "default, short way": f"{WAKES}::test_the_contract_of_wires",
        "default, held back": f"{WAKES}::test_the_contract_of_wires",
        "direct": "tests/real/wire/test_engines.py::test_plain",
        "direct, shared wakes": f"{WAKES}::test_the_contract_of_wires",
        "direct, held back": f"{WAKES}::test_the_contract_of_wires_that_hand_over",
        "asgi, shared wakes": "tests/real/asgi/test_asgi_contract.py::test_the_wire_keeps_the_contract",
    },
    "order where a message changes its way": {
        "default, short way": f"{SHORT_WAY}::test_it_ends_as_on_the_engines_own_way",
        "asgi, short way": f"{ASGI}::test_an_app_may_go_on_with_its_own_receive",
        "asgi, shared wakes": f"{ASGI}::test_what_is_no_message_is_worked_on_in_its_place",
    },
    "a write that is begun is bounded": {
        "asgi, shared wakes": f"{ASGI}::test_a_peer_that_never_reads_what_was_begun_is_cut_off",
    },
    "who is not read from is not watched": {
        "direct, held back": f"{WAKES}::test_who_is_not_read_is_not_watched",
    },
    "many sessions keep time": {
        "memory": "tests/session/test_shared_alarms.py::test_many_share_a_wake_and_each_keeps_its_time",
        "default, short way": "tests/real/session/test_pacing.py::test_sixty_sessions_keep_time",
        "direct, shared wakes": "tests/real/session/test_pacing.py::test_sixty_sessions_keep_time",
        "asgi, shared wakes": "tests/real/session/test_pacing.py::test_sixty_sessions_keep_time",
    },
}
"""By promise and path. The tests below are of every path; ``test_the_contract`` is of those that have none here."""


@contextmanager
def cancelled_at(step: int) -> Iterator[trio.CancelScope]:
    """Cancel what runs inside when any task is about to take its ``step``-th step from here."""
    instrument = CancelAtStep(step)
    trio.lowlevel.add_instrument(instrument)
    try:
        with trio.CancelScope() as scope:
            instrument.arm(scope)
            yield scope
            instrument.scope = None
    finally:
        trio.lowlevel.remove_instrument(instrument)


def steps() -> Iterator[int]:
    """Every one at first, then fewer: a long message is written and read in much the same steps again and again."""
    step = 1.0
    while True:
        yield int(step)
        step = step + 1 if step < 16 else step * 2


async def take_one(wire: Wire, verb: str, got: list[str | bytes]) -> None:
    """Receive at least one message by that verb."""
    if verb == "receive_each":
        assert isinstance(wire, HandsOver)
        await wire.receive_each(lambda message: got.append(message) or True)  # type: ignore[func-returns-value]
    elif verb == "receive_several":
        assert isinstance(wire, Batches)
        got += await wire.receive_several()
    else:
        got.append(await wire.receive())


async def read_to_the_end(wire: Wire, got: list[str | bytes]) -> ConnectionClosed:
    while True:
        try:
            got.append(await wire.receive())
        except ConnectionClosed as closed:
            return closed


def verbs(wire: Wire) -> list[str]:
    offered = {"receive_each": isinstance(wire, HandsOver), "receive_several": isinstance(wire, Batches)}
    return ["receive", *(verb for verb, is_offered in offered.items() if is_offered)]


async def sweep_receiving(near: Wire, far: Wire, verb: str, message: str | bytes) -> int:
    """Have one message sent for each step that its receiver is cancelled at; return how many there were."""
    got: list[str | bytes] = []
    for sent, step in enumerate(steps(), 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send, message)
            with cancelled_at(step) as scope:
                await take_one(far, verb, got)
            while len(got) < sent:
                await take_one(far, verb, got)
        assert got == [message] * sent, f"{verb} cancelled at step {step}"
        if not scope.cancelled_caught:
            return sent
    raise AssertionError("steps never end")


@pytest.mark.parametrize("receiver", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_receiving_is_cancelled_at_each_step(path: str, receiver: str) -> None:
    """By each verb, of a short message and of one of many reads: nothing is lost, and nothing comes twice."""
    with trio.fail_after(LIMIT_S):
        async with PATHS[path].pair(max_message_bytes=LIMIT) as wires:
            near, far = wires if receiver == "server" else wires[::-1]
            for verb in verbs(far):
                for message in (SHORT, LONG):
                    assert await sweep_receiving(near, far, verb, message) > 1
            await near.send("and on it goes")
            assert await far.receive() == "and on it goes"


async def sends(wire: Wire, message: str) -> bool:
    """Whether it still does; broken off by this side if not."""
    try:
        await wire.send(message)
    except ConnectionClosed as closed:
        assert (closed.code, closed.initiator) == (1006, "local"), repr(closed)  # noqa: PT017 - either may be
        return False
    return True


async def swept(path: str, side: str, attempts: Sequence[Callable[[Wire, Wire, int], Awaitable[bool]]]) -> None:
    """Make each attempt from this side, cancelled at each of its steps, until one is over before that."""
    with trio.fail_after(LIMIT_S):
        async with PATHS[path].pairs(LIMIT) as make:
            for attempt in attempts:
                for step in steps():
                    async with make() as wires:
                        near, far = wires if side == "client" else wires[::-1]
                        if not await attempt(near, far, step):
                            break


async def sent_and_cancelled(near: Wire, far: Wire, step: int, *, message: str | bytes) -> bool:
    """Send one message that is cancelled at this step; whether it was, and all that both sides are to see of it."""
    await near.send("before")
    got: list[str | bytes] = []
    ends: list[ConnectionClosed] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            ends.append(await read_to_the_end(far, got))

        with cancelled_at(step) as scope:
            await near.send(message)
        if is_open := await sends(near, "behind"):  # it was over, or not begun
            await near.aclose()
    assert is_open or scope.cancelled_caught, "sent, and yet closed"
    whole = [] if scope.cancelled_caught else [message]
    assert got == ["before", *whole, *["behind"] * is_open], f"at step {step}"
    assert [(end.code, end.initiator) for end in ends] == [(1000, "remote") if is_open else (1006, "error")]
    return scope.cancelled_caught


@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_sending_is_cancelled_at_each_step(path: str, sender: str) -> None:
    """Either all of the message arrives, or nothing of it and the connection is broken; nothing follows a half."""
    await swept(path, sender, [partial(sent_and_cancelled, message=message) for message in (SHORT, LONG)])


async def closed_and_cancelled(near: Wire, far: Wire, step: int, *, reads: bool) -> bool:
    """Close with a goodbye that is cancelled at this step; whether it was, and that both sides are told one end."""
    await near.send("last words")
    got: list[str | bytes] = []
    ends: dict[str, ConnectionClosed] = {}
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read_far() -> None:
            ends["far"] = await read_to_the_end(far, got)

        if reads:

            @nursery.start_soon
            async def read_near() -> None:
                ends["near"] = await read_to_the_end(near, [])

        with cancelled_at(step) as scope:
            await near.aclose(*GOODBYE)
    if not reads:
        ends["near"] = await read_to_the_end(near, [])
    told = {side: (end.code, end.initiator) for side, end in ends.items()}
    assert got == ["last words"], f"at step {step}"
    if not scope.cancelled_caught:
        assert told == {"near": (GOODBYE[0], "local"), "far": (GOODBYE[0], "remote")}, f"at step {step}"
    assert told["near"] in [(GOODBYE[0], "local"), (1006, "local")], f"at step {step}"
    assert told["far"] in [(GOODBYE[0], "remote"), (1006, "error")], f"at step {step}"
    for wire, side in ((near, "near"), (far, "far")):
        with pytest.raises(ConnectionClosed):
            await wire.send("too late")
        with pytest.raises(ConnectionClosed) as again:
            await wire.receive()
        assert (again.value.code, again.value.initiator) == told[side]
    await near.aclose()
    return scope.cancelled_caught


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("path", PATHS)
async def test_closing_is_cancelled_at_each_step(path: str, closer: str) -> None:
    """What was said before arrives, each side is told one end and the same each time, and nobody waits for ever."""
    await swept(path, closer, [partial(closed_and_cancelled, reads=reads) for reads in (False, True)])


@pytest.mark.parametrize("path", [name for name in PATHS if name not in SHOWN["the contract of wires"]])
async def test_the_contract(path: str) -> None:
    """Both ends of a pair keep the contract of wires: order, one end told with its author, and every bound."""
    await check_wire(PATHS[path].pair)


FRAMES: Final = tuple(
    frame
    for number in range(20)
    for frame in (
        AudioFrame(audio=bytes([number, 255 - number]) * 320, sample_rate=16000),
        TextFrame(text=f"{number} ä"),
    )
)
DIALECTS: Final[dict[str, Callable[[], FrameSerializer]]] = {
    "json": JSONFrameSerializer,
    "protobuf": ProtobufFrameSerializer,
    "packed": PackedFrameSerializer,
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_call_in_each_dialect(path: str, dialect: str) -> None:
    """Whether a session is handed its messages or waits for them: each of the frames, in order, and then the end."""
    serializer = DIALECTS[dialect]()
    params = TransportParams(audio_in_enabled=True, audio_in_sample_rate=16000, serializer=serializer)
    events: Broadcast[Event] = Broadcast()
    told = events.subscribe()
    heard: list[AudioFrame | TextFrame] = []

    async def talk(client: Wire) -> None:
        for number, frame in enumerate(FRAMES):
            for message in serializer.encode(frame):
                await client.send(message)
            if number % 8 == 0:
                await trio.sleep(0.001)
        await client.aclose(*GOODBYE)

    with trio.fail_after(LIMIT_S), events.activity():
        async with (
            PATHS[path].pair(max_message_bytes=LIMIT) as (client, server),
            open_session(server, params, events=events) as session,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(talk, client)
            async for frame in session.input:
                if isinstance(frame, AudioFrame | TextFrame):
                    heard.append(frame)
    expected = b"".join(frame.audio for frame in FRAMES if isinstance(frame, AudioFrame))
    assert b"".join(frame.audio for frame in heard if isinstance(frame, AudioFrame)) == expected
    assert [frame.text if isinstance(frame, TextFrame) else "" for frame in heard] == [
        frame.text if isinstance(frame, TextFrame) else "" for frame in FRAMES
    ]
    ends = [event async for event in told if isinstance(event, Disconnected)]
    assert [(end.code, end.initiator) for end in ends] == [(GOODBYE[0], "remote")]


async def called_and_cancelled(client: Wire, server: Wire, step: int) -> bool:
    """Hold a short call whose session is cancelled at this step; whether it was, and that it ended as one does."""
    params = TransportParams(
        audio_enabled=True,
        audio_in_sample_rate=16000,
        audio_out_sample_rate=16000,
        audio_out_10ms_chunks=2,
        serializer=JSONFrameSerializer(),
    )
    events: Broadcast[Event] = Broadcast()
    told = events.subscribe()
    got: list[str | bytes] = []
    with events.activity():
        async with trio.open_nursery() as nursery:
            ends: list[ConnectionClosed] = []

            @nursery.start_soon
            async def listen() -> None:
                ends.append(await read_to_the_end(client, got))

            @nursery.start_soon
            async def talk() -> None:
                with suppress(ConnectionClosed):
                    await client.send('{"type":"text","text":"hello"}')

            with cancelled_at(step) as scope:
                async with open_session(server, params, events=events) as session:
                    async for frame in session.input:
                        if isinstance(frame, TextFrame):
                            break
                    await session.output.send(FRAMES[0])
                    await session.output.send(frame)
                    await session.output.drain()
    kinds = [type(event) async for event in told]
    assert kinds.count(Connected) == kinds.count(Disconnected) <= 1, f"at step {step}"
    expected = (1000, 1001) if scope.cancelled_caught else (1000,)
    assert ends[0].code in expected, f"at step {step}: {ends[0]!r}"
    if not scope.cancelled_caught:
        assert [kind for message in got for kind in ("audio", "text") if f'"type":"{kind}"' in str(message)] == [
            "audio",
            "text",
        ]
    return scope.cancelled_caught


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_is_cancelled_at_each_step(path: str) -> None:
    """Its session ends whole: told once, with a goodbye that the peer hears, and no task is left."""
    with trio.fail_after(LIMIT_S):
        async with PATHS[path].pairs(LIMIT) as make:
            for step in steps():
                async with make() as (client, server):
                    if not await called_and_cancelled(client, server, step):
                        break
            assert step > 5, "it takes more steps than that"


@pytest.mark.parametrize(("path", "test"), [(path, test) for each in SHOWN.values() for path, test in each.items()])
def test_what_is_shown_elsewhere_is(path: str, test: str) -> None:
    """The tests that the table names are there."""
    file, _, name = test.partition("::")
    assert path in PATHS
    assert f"def {name}(" in (Path(__file__).parents[3] / file).read_text(encoding="utf-8")
