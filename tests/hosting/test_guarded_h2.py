"""The guard on HTTP/2, with its peer and its app played by the test: nothing is read or written but memory."""

from collections.abc import Awaitable
from typing import Any, Final

import pytest
import trio
import trio.testing
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset
from h2.events import Event as H2Event
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Data, StreamClosed
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from trio_transports.hosting.h2 import GuardedH2

_MOST_RUNS: Final = 10
_RESETS: Final = 200
_NOTICES: Final = 1000
_FRAME_BYTES: Final = 16_384
_HEAD_BYTES: Final = 9


@define(eq=False)
class Tasks:
    """A task group: it notes which runs of the app were asked for, and runs none."""

    paths: list[str] = field(factory=list)
    told: list[str] = field(factory=list)
    """What the runs were told, by its type."""

    async def spawn_app(self, _app: object, _config: object, scope: dict[str, Any], _send: object) -> Any:  # noqa: ANN401
        self.paths.append(scope["path"])

        async def put(event: dict[str, Any]) -> None:
            self.told.append(event["type"])

        return put

    def spawn(self, *_: object) -> None: ...


@define(eq=False)
class Guarded:
    """A peer, and the guard that hears it."""

    runs: int = 0
    """How many runs of the app are alive."""
    most_runs: int = _MOST_RUNS
    peer: H2Connection = field(init=False)
    protocol: GuardedH2 = field(init=False)
    tasks: Tasks = field(factory=Tasks)
    refused: list[str] = field(factory=list)
    heard: list[H2Event] = field(factory=list)
    """By the peer."""
    closes: int = 0
    turns_per_write: int = 0
    """How often others have their turn while something is written."""

    def __attrs_post_init__(self) -> None:
        config = Config()
        config.h2_max_concurrent_streams = self.most_runs
        tasks: Any = self.tasks
        app: Any = None
        self.protocol = GuardedH2(
            app,
            config,
            WorkerContext(None),
            tasks,
            ConnectionState({}),
            False,
            ("127.0.0.1", 1),
            ("127.0.0.1", 2),
            self._send,
            count_runs=lambda: self.runs,
            on_refused=self.refused.append,
        )
        self.peer = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.peer.initiate_connection()

    async def _send(self, event: Event) -> None:
        for _ in range(self.turns_per_write):
            await trio.lowlevel.checkpoint()
        if isinstance(event, RawData):
            self.heard += self.peer.receive_data(event.data)
        elif isinstance(event, Closed):
            self.closes += 1
            await self.protocol.handle(Closed())

    def ask(
        self, path: str = "/", *, method: str = "GET", ends: bool = True, more: dict[str, str] | None = None
    ) -> int:
        stream_id = self.peer.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "http", ":authority": "x", ":path": path}
        self.peer.send_headers(stream_id, [*pseudo.items(), *(more or {}).items()], end_stream=ends)
        return stream_id

    def ask_for_a_websocket(self, protocol: str = "websocket", *, ends: bool = False) -> int:
        more = {":protocol": protocol, "sec-websocket-version": "13"}
        return self.ask("/ws", method="CONNECT", ends=ends, more=more)

    async def hear(self, data: bytes = b"") -> None:
        """Let the guard read what the peer has said, and this behind it."""
        await self.protocol.handle(RawData(self.peer.data_to_send() + data))

    @property
    def sent_away_with(self) -> list[int | None]:
        return [event.error_code for event in self.heard if isinstance(event, ConnectionTerminated)]

    @property
    def resets(self) -> list[tuple[int, int]]:
        return [(event.stream_id, int(event.error_code)) for event in self.heard if isinstance(event, StreamReset)]


async def started(*, runs: int = 0, most_runs: int = _MOST_RUNS) -> Guarded:
    guarded = Guarded(runs, most_runs)
    await guarded.protocol.initiate()
    await guarded.hear()
    return guarded


async def test_a_request_starts_the_app() -> None:
    """Each of those that come in one read, and those of a later one."""
    guarded = await started()
    for turn in (1, 2):
        for name in ("/a", "/b"):
            guarded.ask(name)
        await guarded.hear()
        assert guarded.tasks.paths == ["/a", "/b"] * turn
    assert (guarded.refused, guarded.closes, guarded.sent_away_with) == ([], 0, [])


async def turns_during(work: Awaitable[None]) -> int:
    """How often another task had its turn."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await work
        nursery.cancel_scope.cancel()
    return turns


async def test_others_have_their_turn_after_each_run_that_is_started_or_ended() -> None:
    guarded = await started()
    for _ in range(5):
        guarded.ask(method="POST", ends=False)
    assert await turns_during(guarded.hear()) >= 3
    assert await turns_during(guarded.protocol.handle(Closed())) >= 3


async def test_others_have_their_turn_between_two_pieces_of_what_is_read() -> None:
    """There may be a hundred frames in each."""
    guarded = await started()
    stream_id = guarded.ask(method="POST", ends=False)
    await guarded.hear()
    guarded.peer.send_data(stream_id, bytes(8 * 1024))
    assert await turns_during(guarded.hear()) >= 6


async def test_who_sends_ends_with_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Though no stream was ever opened."""
    guarded = await started()
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guarded.protocol.send_task)
            await trio.testing.wait_all_tasks_blocked()
            await guarded.protocol.handle(Closed())


@pytest.mark.parametrize("asked", [0, 2])
async def test_who_breaks_the_rules_is_told_and_its_connection_ends(asked: int) -> None:
    """Data on no stream: it is counted, a GOAWAY leaves, and then the end; what comes afterwards is not read."""
    guarded = await started()
    for _ in range(asked):
        guarded.ask()
    await guarded.hear()
    await guarded.hear(bytes((0, 0, 1, 0, 0, 0, 0, 0, 0)) + b"x")
    assert guarded.refused == ["request"]
    assert guarded.sent_away_with == [ErrorCodes.PROTOCOL_ERROR]
    assert guarded.closes == 1
    assert guarded.tasks.told.count("http.disconnect") == asked
    for _ in range(2):
        await guarded.protocol.handle(RawData(b"more"))
    assert (guarded.refused, guarded.closes) == (["request"], 1)


async def test_a_frame_that_is_too_long_is_refused_before_it_is_here() -> None:
    """As soon as more of it has come than a frame may have, and not a byte earlier."""
    guarded = await started()
    stream_id = guarded.ask(method="POST", ends=False)
    await guarded.hear()
    head = (_FRAME_BYTES + 100).to_bytes(3, "big") + bytes((0, 0)) + stream_id.to_bytes(4, "big")
    assert len(head) == _HEAD_BYTES
    await guarded.hear(head + bytes(_FRAME_BYTES))
    assert (guarded.refused, guarded.closes) == ([], 0)
    await guarded.hear(b"x")
    assert (guarded.refused, guarded.closes) == (["request"], 1)
    assert guarded.sent_away_with == [ErrorCodes.FRAME_SIZE_ERROR]


async def test_a_frame_as_long_as_one_may_be_is_taken() -> None:
    guarded = await started()
    stream_id = guarded.ask(method="POST", ends=False)
    await guarded.hear()
    for _ in range(2):
        guarded.peer.send_data(stream_id, bytes(_FRAME_BYTES))
        await guarded.hear()
    assert (guarded.refused, guarded.closes) == ([], 0)
    assert guarded.tasks.told == ["http.request", "http.request"]


async def test_streams_past_the_runs_are_refused_each() -> None:
    """All that one read brings are told to try again; with one run fewer alive, the app is started. Twice."""
    guarded = await started()
    for turn in (1, 2):
        guarded.heard.clear()
        guarded.runs = _MOST_RUNS
        asked = [guarded.ask(ends=False) for _ in range(3)]
        await guarded.hear()
        assert guarded.resets == [(each, ErrorCodes.REFUSED_STREAM) for each in asked]
        assert guarded.refused == ["stream"] * 3 * turn
        assert len(guarded.tasks.paths) == turn - 1
        guarded.runs = _MOST_RUNS - 1
        guarded.ask()
        await guarded.hear()
        assert len(guarded.tasks.paths) == turn
    assert (guarded.closes, guarded.sent_away_with) == (0, [])


async def test_one_run_may_always_be() -> None:
    """Also where a connection may have no stream at all."""
    guarded = await started(most_runs=0)
    assert guarded.protocol._most_runs == 1


async def test_who_is_refused_too_often_is_sent_away(autojump_clock: trio.testing.MockClock) -> None:
    """Once, and nothing behind that is looked at."""
    guarded = await started(runs=_MOST_RUNS)
    for _ in range(_RESETS // 2):
        for _ in range(2):
            guarded.ask()
        await guarded.hear()
    assert guarded.refused == ["stream"] * _RESETS
    assert guarded.closes == 0
    for _ in range(3):
        guarded.ask()
    await guarded.hear()
    assert guarded.refused == [*["stream"] * _RESETS, "flood"]
    assert (guarded.closes, guarded.sent_away_with) == (1, [ErrorCodes.ENHANCE_YOUR_CALM])


async def test_who_resets_too_much_is_sent_away(autojump_clock: trio.testing.MockClock) -> None:
    """Past what is allowed at once; a stream that is reset in the read that opened it starts no app."""
    guarded = await started()
    for number in range(_RESETS + 1):
        assert guarded.closes == 0
        guarded.peer.reset_stream(guarded.ask(), ErrorCodes.CANCEL)
        if number == 0:
            guarded.ask("/stays")
        await guarded.hear()
    assert guarded.tasks.paths == ["/stays"]
    assert guarded.refused == ["flood"]
    assert (guarded.closes, guarded.sent_away_with) == (1, [ErrorCodes.ENHANCE_YOUR_CALM])


async def test_who_sends_too_many_notices_is_sent_away(autojump_clock: trio.testing.MockClock) -> None:
    """Settings and pings count alike, and come back with time; they need no reset beside them."""
    guarded = await started()
    await trio.sleep(100)  # those of the beginning are forgotten
    for _ in range(_NOTICES // 2):
        guarded.peer.ping(b"01234567")
        guarded.peer.update_settings({})
    await guarded.hear()
    assert (guarded.refused, guarded.closes) == ([], 0)
    guarded.peer.ping(b"01234567")
    await guarded.hear()
    assert (guarded.refused, guarded.closes) == (["flood"], 1)
    assert guarded.sent_away_with == [ErrorCodes.ENHANCE_YOUR_CALM]


async def test_only_websockets_are_tunnelled() -> None:
    """Another protocol is answered with 501 and counted, twice, and a WebSocket behind it is heard."""
    guarded = await started()
    others = [guarded.ask_for_a_websocket("connect-udp") for _ in range(2)]
    guarded.ask_for_a_websocket()
    await guarded.hear()
    answers = [event for event in guarded.heard if isinstance(event, ResponseReceived)]
    assert [(event.stream_id, dict(event.headers)[b":status"]) for event in answers] == [
        (stream_id, b"501") for stream_id in others
    ]
    ended = [event.stream_id for event in guarded.heard if isinstance(event, StreamEnded)]
    assert ended == others
    assert guarded.resets == [(stream_id, ErrorCodes.NO_ERROR) for stream_id in others]
    assert guarded.refused == ["request"] * 2
    assert guarded.tasks.paths == ["/ws"]


async def test_who_writes_to_a_stream_goes_on_when_it_is_reset(autojump_clock: trio.testing.MockClock) -> None:
    """Though the peer has given it no room; the peer is told once, however often it is reset."""
    guarded = await started()
    stream_id = guarded.ask_for_a_websocket()
    await guarded.hear()
    guarded.protocol.bound_stream(stream_id, lambda: False)
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = 1
        nursery.start_soon(guarded.protocol.stream_send, Data(stream_id=stream_id, data=bytes(10 * BUFFER_HIGH_WATER)))
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        for _ in range(2):
            await guarded.protocol.reset_stream(stream_id)
    assert trio.current_time() == 0
    assert guarded.resets == [(stream_id, ErrorCodes.CANCEL)]
    assert guarded.tasks.told == ["websocket.connect", "websocket.disconnect"]


async def test_a_peer_that_ends_its_half_of_a_call_has_gone(autojump_clock: trio.testing.MockClock) -> None:
    """Close or not: the app hears of it, and its stream ends at this side too. Twice."""
    guarded = await started()
    guarded.turns_per_write = 2  # so that who sends may look for work before there is any
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guarded.protocol.send_task)
        for turn in (1, 2):
            stream_id = guarded.ask_for_a_websocket()
            await guarded.hear()
            guarded.protocol.bound_stream(stream_id, lambda: False)
            stream = guarded.protocol.streams[stream_id]
            assert isinstance(stream, WSStream)
            await stream.app_send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await trio.testing.wait_all_tasks_blocked()
            guarded.peer.end_stream(stream_id)
            await guarded.hear()
            await trio.testing.wait_all_tasks_blocked()
            ended = [event.stream_id for event in guarded.heard if isinstance(event, StreamEnded)]
            assert ended[turn - 1 :] == [stream_id]
            assert guarded.tasks.told == ["websocket.connect", "websocket.disconnect"] * turn
            assert (guarded.resets, guarded.protocol.streams) == ([], {})
        nursery.cancel_scope.cancel()


async def test_nothing_is_kept_of_a_stream_that_never_started() -> None:
    """Its place among the others neither."""
    guarded = await started()
    for _ in range(3):
        stream_id = guarded.peer.get_next_available_stream_id()
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")]
        guarded.peer.send_headers(stream_id, headers, end_stream=True, priority_weight=7)
        guarded.peer.reset_stream(stream_id)
        await guarded.hear()
    assert set(guarded.protocol.priority._streams) == {0}
    assert (guarded.protocol.streams, guarded.protocol.stream_buffers) == ({}, {})


@pytest.mark.parametrize("is_parent", [True, False])
async def test_a_priority_is_kept_between_streams_that_are_there(
    is_parent: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Of more streams than anybody keeps in mind, none of which is ever opened, nothing is: no error ends anything."""
    guarded = await started()
    first, second = (guarded.ask_for_a_websocket() for _ in range(2))
    guarded.peer.prioritize(second, depends_on=first, weight=7)
    await guarded.hear()
    for number in range(100, 1300):
        if is_parent:
            guarded.peer.prioritize(second, depends_on=2 * number + 1, weight=9)
        else:
            guarded.peer.prioritize(2 * number + 1, weight=9)
        await guarded.hear()
        await trio.sleep(0.1)
    kept = guarded.protocol.priority._streams
    assert set(kept) == {0, first, second}
    assert (kept[second].parent, kept[second].weight) == (kept[first], 7)
    assert (guarded.closes, guarded.refused) == (0, [])


async def test_data_before_a_websocket_is_accepted_ends_its_stream_alone() -> None:
    """It is counted, and the calls beside it go on."""
    guarded = await started()
    early, other = guarded.ask_for_a_websocket(), guarded.ask("/other", method="POST", ends=False)
    await guarded.hear()
    guarded.peer.send_data(early, b"too early")
    guarded.peer.send_data(other, b"in time")
    await guarded.hear()
    assert guarded.refused == ["request"]
    assert guarded.resets == [(early, ErrorCodes.CANCEL)]
    assert (guarded.closes, set(guarded.protocol.streams)) == (0, {other})
    assert "http.request" in guarded.tasks.told


@pytest.mark.parametrize("is_over", [True, False])
async def test_what_is_thrown_away_uses_up_no_window(is_over: bool) -> None:
    """Data on a stream that has ended, or before its WebSocket is accepted: others may send as much as before."""
    guarded = await started()
    size = guarded.peer.max_outbound_frame_size
    for _ in range(3 * guarded.peer.local_settings.initial_window_size // size):
        stream_id = guarded.ask(method="POST", ends=False) if is_over else guarded.ask_for_a_websocket()
        await guarded.hear()
        if is_over:
            guarded.protocol.connection.send_headers(stream_id, [(":status", "200")], end_stream=True)
            await guarded.protocol.stream_send(StreamClosed(stream_id=stream_id))
        guarded.peer.send_data(stream_id, bytes(size), end_stream=is_over)
        await guarded.hear()
    assert guarded.closes == 0


async def test_a_peer_that_ends_its_half_before_it_is_accepted_has_gone() -> None:
    """With its request, or later: the stream of its WebSocket is reset, the one beside it is not. Twice each."""
    guarded = await started()
    stays = guarded.ask_for_a_websocket()
    for turn in (1, 2, 3, 4):
        goes = guarded.ask_for_a_websocket(ends=turn % 2 == 0)
        await guarded.hear()
        if turn % 2:
            guarded.peer.end_stream(goes)
            await guarded.hear()
        assert set(guarded.protocol.streams) == {stays}
        assert len(guarded.resets) == turn
        assert guarded.resets[-1] == (goes, ErrorCodes.CANCEL)


async def test_a_body_is_read_until_it_ends() -> None:
    """Until its last frame, or its reset; a request without one has none, and a WebSocket neither."""
    guarded = await started()
    guarded.ask()
    guarded.ask_for_a_websocket()
    await guarded.hear()
    seen = [guarded.protocol.is_reading_body]
    for end in (guarded.peer.end_stream, guarded.peer.reset_stream):
        stream_id = guarded.ask(method="POST", ends=False)
        await guarded.hear()
        seen.append(guarded.protocol.is_reading_body)
        end(stream_id)
        await guarded.hear()
        seen.append(guarded.protocol.is_reading_body)
    assert seen == [False, True, False, True, False]
