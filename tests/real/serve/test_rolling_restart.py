"""Two workers are replaced while callers talk and others come: nobody is cut off, and nobody is refused."""

import signal
from functools import partial

import trio
from attrs import define, field

from tests.real.serve.command import Served, served
from trio_transports import AudioFrame, Disconnected, TransportError, WebsocketClientParams, WebsocketClientTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.serializers import JSONFrameSerializer

RATE = 8000
BOT = "tests.real.serve.live_echo:bot"
PIECE = AudioFrame(audio=b"\1\2" * (RATE // 50), sample_rate=RATE)


def client(url: str) -> WebsocketClientTransport:
    params = WebsocketClientParams(
        serializer=JSONFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True, audio_out_auto_silence=False,
        audio_out_sample_rate=RATE, audio_out_10ms_chunks=2, audio_out_end_silence_secs=0, connect_timeout=60,
    )  # fmt: skip
    return WebsocketClientTransport(url, params)


@define(eq=False)
class Callers:
    """What became of everybody who called."""

    url: str
    short: int = 0
    refused: list[TransportError] = field(factory=list)
    endings: list[tuple[int, str]] = field(factory=list)
    lost_s: float = 0.0

    async def long_call(self, over: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
        """Talk from before the restart until it is over."""
        await self.call(over, task_status)

    async def come_and_go(self, over: trio.Event) -> None:
        """Call again and again, each time for a moment."""
        while not over.is_set():
            brief = trio.Event()
            brief.set()
            await self.call(brief, trio.TASK_STATUS_IGNORED)
            self.short += 1
            await trio.sleep(0.1)

    async def call(self, over: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        """Say a piece and hear it, until told; then hang up."""
        transport = client(self.url)
        events = transport.events()
        has_begun = False
        try:
            async with transport.session() as session:
                while True:
                    await session.output.send(PIECE)
                    heard_s = 0.0
                    with trio.move_on_after(60):
                        while heard_s < PIECE.duration_s - 0.001:
                            frame = await session.input.receive()
                            heard_s += frame.duration_s if isinstance(frame, AudioFrame) else 0.0
                    self.lost_s += max(0.0, PIECE.duration_s - heard_s - 0.001)
                    if not has_begun:
                        task_status.started()
                    has_begun = True
                    if over.is_set():
                        break
                    await trio.sleep(0.05)
        except TransportError as exc:
            self.refused.append(exc)
        except trio.EndOfChannel:
            pass  # cut off: the event tells
        async for event in events:
            if isinstance(event, Disconnected):
                self.endings.append((event.code, event.initiator))


async def workers_of(server: Served) -> set[str]:
    """The processes that tell their figures."""
    return {label for name, label in await server.metrics() if name == "process_tasks"}


async def renewed(server: Served, before: set[str]) -> set[str]:
    """Wait for two workers more than those."""
    with trio.fail_after(90):
        while len(now := await workers_of(server) - before) < 2:  # noqa: ASYNC110 - another process tells nobody
            await trio.sleep(0.3)
    assert len(now) == 2
    return now


async def test_no_call_is_cut_and_no_connect_refused() -> None:
    """Twice: with six calls that go on and three that come and go all the time. The figures go on growing."""
    async with served(BOT, "--workers", "2", "--drain", "5") as server:
        assert AudioFormat(RATE).duration_s(len(PIECE.audio)) == 0.02
        everybody, over = Callers(server.ws_url), trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                await nursery.start(partial(everybody.long_call, over))
            for _ in range(3):
                nursery.start_soon(everybody.come_and_go, over)
            before = await renewed(server, set())
            for _ in range(2):
                count, begun = everybody.short, (await server.metrics())["sessions_begun_total", ""]
                server.tell(signal.SIGHUP)
                before |= await renewed(server, before)
                with trio.fail_after(60):
                    while everybody.short < count + 6:  # noqa: ASYNC110 - the callers tell nobody
                        await trio.sleep(0.05)
                with trio.fail_after(60):  # a worker without a core is counted as it was a moment ago
                    while (await server.metrics())["sessions_begun_total", ""] < begun + 6:  # noqa: ASYNC110
                        await trio.sleep(0.1)
            over.set()
        assert everybody.refused == []
        assert set(everybody.endings) == {(1000, "local")}
        assert len(everybody.endings) == 6 + everybody.short
        assert everybody.lost_s == 0
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0
