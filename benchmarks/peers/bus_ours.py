"""This library's proxy pair on loopback, both ends in one process: jobs there and back, and audio one way."""

from functools import partial

import trio

from trio_transports.bus import (
    BusFrameMessage,
    BusMessage,
    JobRequest,
    Payload,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerRunner,
    job,
    serve_proxies,
)
from trio_transports.frames import AudioFrame
from trio_transports.wire import Wire

from .bus_work import AUDIO, PAYLOAD, SAMPLE_RATE, WINDOW, Measured, tell


class Far(Worker):
    """Answers jobs and counts audio."""

    def __init__(self) -> None:
        super().__init__("far")
        self.heard = 0
        self.room = trio.Semaphore(WINDOW)

    @job("echo")
    async def echo(self, request: JobRequest) -> Payload:
        return request.payload

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage):
            assert isinstance(message.frame, AudioFrame)
            assert message.frame.audio == AUDIO
            self.heard += 1
            self.room.release()


async def ask(near: Worker, count: int) -> None:
    for _ in range(count):
        answer = await near.job("far", "echo", PAYLOAD)
        assert answer == PAYLOAD, answer


async def ask_at_once(near: Worker, count: int, together: int) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(together):
            nursery.start_soon(ask, near, count // together)


async def speak(near: Worker, far: Far, count: int) -> None:
    heard = far.heard
    frame = AudioFrame(audio=AUDIO, sample_rate=SAMPLE_RATE)
    for _ in range(count):
        try:
            far.room.acquire_nowait()  # as asyncio's does: while there is room no task is switched
        except trio.WouldBlock:
            await far.room.acquire()
        await near.send(BusFrameMessage(source="near", target="far", frame=frame))
    while far.heard < heard + count:  # noqa: ASYNC110 - a counter
        await trio.sleep(0.001)


async def main() -> None:
    here, there = WorkerRunner("here"), WorkerRunner("there")
    near, far = Worker("near"), Far()

    def join(wire: Wire) -> WebSocketProxyServer:
        return WebSocketProxyServer(
            f"gate of {wire.peer}", websocket=wire, worker_name="far", remote_worker_name="near"
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(there.run, far)
        ready = await nursery.start(partial(serve_proxies, there, join, host="127.0.0.1"))
        url = f"ws://127.0.0.1:{ready.port}/"
        proxy = WebSocketProxyClient("proxy", url=url, remote_worker_name="far", local_worker_name="near")
        await nursery.start(here.run, near, proxy)
        await ask(near, 50)  # warm
        measured = Measured()
        with measured.jobs("one at a time") as count:
            await ask(near, count)
        with measured.jobs("32 at once") as count:
            await ask_at_once(near, count, 32)
        with measured.messages() as count:
            await speak(near, far, count)
        tell(measured)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
