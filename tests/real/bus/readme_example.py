"""The README's proxy pair, as it stands there."""

from functools import partial

import trio

from trio_transports import TextFrame
from trio_transports.bus import (
    BusFrameMessage,
    BusMessage,
    WebSocketProxyClient,
    WebSocketProxyServer,
    Worker,
    WorkerReadyData,
    WorkerRunner,
    serve_proxies,
)
from trio_transports.params import ReconnectPolicy
from trio_transports.wire import Wire


class Echo(Worker):
    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage):
            await self.send(BusFrameMessage(source=self.name, target=message.source, frame=message.frame))


class Asking(Worker):
    answer = ""

    async def on_activated(self, args: object) -> None:
        self.watch("echo")

    async def on_worker_ready(self, data: WorkerReadyData) -> None:
        await self.send(BusFrameMessage(source=self.name, target=data.worker_name, frame=TextFrame(text="hello")))

    async def on_bus_message(self, message: BusMessage) -> None:
        if isinstance(message, BusFrameMessage) and isinstance(message.frame, TextFrame):
            self.answer = message.frame.text
            self.stop()


async def serve(port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """One machine: the worker, and a proxy for each peer that connects."""
    runner = WorkerRunner()

    def join(wire: Wire) -> WebSocketProxyServer:
        name = f"gate for {wire.peer}"
        return WebSocketProxyServer(name, websocket=wire, worker_name="echo", remote_worker_name="asking")

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Echo("echo"))
        ready = await nursery.start(partial(serve_proxies, runner, join, port=port))
        task_status.started(ready.port)


async def main(port: int = 8765) -> str:
    """The other machine; here both are one process."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, port)
        asking = Asking("asking")
        gate = WebSocketProxyClient(
            "gate",
            url=f"ws://localhost:{port}",
            remote_worker_name="echo",
            local_worker_name="asking",
            reconnect=ReconnectPolicy(),
        )
        runner = WorkerRunner()
        await nursery.start(partial(runner.run, auto_end=False), gate)
        await runner.run_worker(asking)
        nursery.cancel_scope.cancel()
    return asking.answer


if __name__ == "__main__":
    print(trio.run(main))
