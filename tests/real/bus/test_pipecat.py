"""The real Pipecat at the other end: its serializer, its proxies both ways, its Redis bus."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio
import trio_websocket

from tests.ports import free_port
from tests.real.bus.programs import Program, running
from tests.real.bus.servers import RedisServer
from tests.real.bus.waiting import QUICK, until
from tests.tools import missing, pipecat_python, requires_module
from trio_transports.bus import (
    BusActivateWorkerMessage,
    BusCancelMessage,
    BusDataMessage,
    BusFrameMessage,
    BusJobRequestMessage,
    BusJobResponseMessage,
    BusMessage,
    BusWorkerRegistryMessage,
    FrameRole,
    JSONMessageSerializer,
    ProxyConnected,
    ProxyDisconnected,
    ProxySettings,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerReadyData,
    WorkerRegistryEntry,
    WorkerRunner,
)
from trio_transports.frames import (
    AudioFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    MessageFrame,
    SpriteFrame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
)

PEER = Path(__file__).with_name("pipecat_peer.py")
PCM = bytes(range(64)) * 10
AUDIO = AudioFrame(audio=PCM, sample_rate=16000)


def pipecat(*arguments: str) -> AbstractAsyncContextManager[Program]:
    return running(pipecat_python(), PEER, *arguments)


MESSAGES: list[BusMessage] = [
    BusDataMessage(source="near", target="far"),
    BusCancelMessage(source="near", reason="why"),
    BusActivateWorkerMessage(source="near", target="far", args={"metadata": {"a": [1, None, True, "é"]}}),
    BusJobRequestMessage(
        source="near", target="far", job_id="j", job_name="n", payload={"b": b"\0\1", "deep": [{"x": b""}]}
    ),
    BusJobResponseMessage(source="near", job_id="j", status="failed"),
    BusWorkerRegistryMessage(
        source="near", runner="r", workers=[WorkerRegistryEntry(name="w", active=True), WorkerRegistryEntry(name="v")]
    ),
]
FRAMES: list[Frame] = [
    AUDIO,
    AudioFrame(audio=PCM, sample_rate=44100, num_channels=2, pts=123456789, destination="track"),
    TextFrame(text="hello"),
    TranscriptionFrame(text="said", user_id="u", timestamp="t"),
    MessageFrame(message={"label": "rtvi-ai", "data": [1, None]}),
    DTMFFrame(digit="#"),
    InterruptionFrame(),
    UserStartedSpeakingFrame(),
    EndFrame(reason="done"),
    CancelFrame(),
    ImageFrame(image=b"abcdef", size=(2, 1), format="RGB"),
    SpriteFrame(images=[ImageFrame(image=b"abcdef", size=(2, 1), format="RGB")]),
]


TWO_NAMES = (AudioFrame, TextFrame, MessageFrame, DTMFFrame, ImageFrame)
"""Frames for which Pipecat has one name for what comes in and another for what goes out; else it forgets the role."""


def _framed() -> Iterator[BusMessage]:
    for frame in FRAMES:
        yield BusFrameMessage(source="near", target="far", bridge="b", frame=frame)
        role: FrameRole = "input" if isinstance(frame, TWO_NAMES) else "output"
        yield BusFrameMessage(source="near", frame=frame, role=role, direction="UPSTREAM")
    yield BusFrameMessage(source="near", frame=MessageFrame(message=1, urgent=True))


def test_pipecat_reads_what_is_written_here() -> None:
    """Each message written here is read by the real Pipecat, written by it, and read here as it was."""
    serializer = JSONMessageSerializer()
    sent = [*MESSAGES, *_framed()]
    lines = b"".join(serializer.encode(message) + b"\n" for message in sent)
    done = subprocess.run([pipecat_python(), PEER, "codec"], input=lines, capture_output=True, timeout=120, check=True)
    came_back = [serializer.decode(line) for line in done.stdout.splitlines()]
    for before, after in zip(sent, came_back, strict=True):
        assert _comparable(after) == _comparable(before)


def _comparable(value: Any) -> Any:  # noqa: ANN401 - a message, a frame, or what they hold
    """What Pipecat keeps: it numbers what has no number, and leaves an image's size out."""
    if isinstance(value, tuple):
        return [_comparable(item) for item in value]
    if not attrs.has(type(value)):
        return value
    kept = {name: _comparable(getattr(value, name)) for name in attrs.fields_dict(type(value))}
    return type(value), {name: item for name, item in kept.items() if name not in ("id", "name", "size")}


class Near(Worker):
    """Asks when ``far`` is there, and keeps the answers."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.answers: list[BusMessage] = []

    async def on_activated(self, args: object) -> None:
        self.watch("far")

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        for message in (
            BusFrameMessage(source=self.name, target="far", frame=TextFrame(text="hello")),
            BusFrameMessage(source=self.name, target="far", frame=AUDIO),
            BusJobRequestMessage(source=self.name, target="far", job_id="j", payload={"n": 1, "b": b"\0\1"}),
        ):
            await self.send(message)

    async def on_bus_message(self, message: BusMessage) -> None:
        if message.target == self.name and message.source == "far":
            self.answers.append(message)


class Far(Worker):
    """Answers."""

    async def on_bus_message(self, message: BusMessage) -> None:
        if message.target != self.name:
            return
        if isinstance(message, BusFrameMessage):
            await self.send(BusFrameMessage(source=self.name, target=message.source, frame=message.frame))
        elif isinstance(message, BusJobRequestMessage):
            await self.send(
                BusJobResponseMessage(
                    source=self.name,
                    target=message.source,
                    job_id=message.job_id,
                    status="completed",
                    response=message.payload,
                )
            )


def check_answers(answers: list[BusMessage]) -> None:
    text, audio, job = answers
    assert isinstance(text, BusFrameMessage)
    assert isinstance(text.frame, TextFrame)
    assert text.frame.text == "hello"
    assert isinstance(audio, BusFrameMessage)
    assert isinstance(audio.frame, AudioFrame)
    assert (audio.frame.audio, audio.frame.sample_rate) == (PCM, 16000)
    assert isinstance(job, BusJobResponseMessage)
    assert (job.status, job.response) == ("completed", {"n": 1, "b": b"\0\1"})


async def test_pipecats_client_and_our_server() -> None:
    """Pipecat's proxy client learns our worker, and gets our answers to its frames, audio and jobs."""
    runner = WorkerRunner("server")
    proxies: list[WebSocketProxyServer] = []

    async def handle(request: trio_websocket.WebSocketRequest) -> None:
        proxy = WebSocketProxyServer("gateway", websocket=request, worker_name="far", remote_worker_name="near")
        proxies.append(proxy)
        await runner.run_worker(proxy)

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            await nursery.start(runner.run, Far("far"))
            serve = partial(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None)
            server = await nursery.start(serve)
            async with pipecat("client", f"ws://127.0.0.1:{server.port}/bus") as peer:
                await until(lambda: len(peer.told("message")) == 3, within_s=90)
                assert peer.told("connected") == [{"event": "connected", "subprotocol": None}]
                assert peer.told("ready") == [{"event": "ready", "worker": "far", "runner": "server"}]
                text, audio, job = peer.told("message")
                assert (text["frame"], text["text"], text["direction"]) == ("TextFrame", "hello", "DOWNSTREAM")
                assert (audio["frame"], audio["sample_rate"], audio["num_frames"]) == (
                    "OutputAudioRawFrame",
                    16000,
                    320,
                )
                assert audio["audio_is_whole"]
                assert job["type"] == "BusJobResponseMessage"
                statistics = proxies[0].statistics()
                assert (statistics.malformed, statistics.refused, statistics.received) == (0, 0, 3)
                runner.cancel()
            nursery.cancel_scope.cancel()


async def test_our_client_and_pipecats_server() -> None:
    """Our proxy client learns Pipecat's worker, falls back to JSON, gets its answers; both sides are told the end."""
    runner = WorkerRunner("client")
    near = Near("near")
    port = free_port()
    proxy = WebSocketProxyClient(
        "proxy",
        url=f"ws://127.0.0.1:{port}/bus",
        remote_worker_name="far",
        local_worker_name="near",
        settings=ProxySettings(close_timeout=30),
        reconnect=QUICK,
    )
    events = proxy.events()
    with trio.fail_after(120):
        async with pipecat("server", str(port)) as peer, trio.open_nursery() as nursery:
            await until(lambda: bool(peer.told("listening")), within_s=90)
            await nursery.start(runner.run, near, proxy)
            await until(lambda: len(near.answers) >= 3)
            check_answers(near.answers[:3])
            connected = await events.receive()
            assert isinstance(connected, ProxyConnected)
            assert connected.peer.subprotocol is None
            found = runner.registry.find("far")
            assert found is not None
            statistics = proxy.statistics()
            assert (statistics.malformed, statistics.refused) == (0, 0)
            runner.end()
            ended = await events.receive()
            assert isinstance(ended, ProxyDisconnected)
            assert (ended.code, ended.initiator) == (1000, "local")
            await until(lambda: bool(peer.told("disconnected")))


async def test_pipecats_redis_bus_and_ours(redis_server: RedisServer) -> None:
    """A runner of ours and one of Pipecat's on one Redis channel know each other's workers and answer each other."""
    requires_module("coredis", extra="redis")
    from trio_transports.bus.redis import RedisBus

    if (await trio.run_process([pipecat_python(), "-c", "import redis"], check=False)).returncode:
        missing("the module redis beside pipecat-ai", "pip install 'pipecat-ai[redis]' for TT_PIPECAT_PYTHON")
    await redis_server.wait_until_it_answers()
    near = Near("near")
    runner = WorkerRunner("ours", bus=RedisBus(redis_server.url))
    with trio.fail_after(120):
        async with pipecat("redis", redis_server.url) as peer, trio.open_nursery() as nursery:
            await until(lambda: bool(peer.told("listening")), within_s=90)
            await nursery.start(runner.run, near)
            await until(lambda: len(near.answers) >= 3)
            check_answers(near.answers[:3])
            runner.cancel()
