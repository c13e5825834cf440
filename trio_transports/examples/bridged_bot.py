"""The call is here, and who serves it is a worker somewhere else: ``bridge`` and ``FrameWorker``.

``bridge`` puts a session's frames on a bus. ``FrameWorker`` runs its handler once for each caller, with an ``input``
and an ``output`` like a session's. With a Redis URL the two may be processes of their own; without one, both are here::

    python -m trio_transports.examples.bridged_bot 8765
    python -m trio_transports.examples.bridged_bot 8765 redis://127.0.0.1
"""

import sys
from collections.abc import Sequence

import trio

from trio_transports import ServerReady, Session, TextFrame, WebsocketServerParams, WebsocketServerTransport
from trio_transports.bus import BridgedCall, Bus, FrameWorker, LocalBus, WorkerRunner, bridge
from trio_transports.serializers import JSONFrameSerializer


async def bot(call: BridgedCall) -> None:
    """One caller, wherever the call is."""
    await call.output.send(TextFrame(text=f"hello {call.start.from_number or 'caller'}"))
    async for frame in call.input:
        if isinstance(frame, TextFrame):
            await call.output.send(TextFrame(text=frame.text.upper()))


async def serve(port: int, bus: Bus, *, task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED) -> None:
    async def handle(session: Session) -> None:
        # Each call has a name of its own: it is whom the worker answers.
        await bridge(session, bus, name=f"call {session.id}", worker="bot")

    params = WebsocketServerParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())
    server = WebsocketServerTransport(params, host="127.0.0.1", port=port)
    runner = WorkerRunner(bus=bus)

    async def until_told(*, task_status: trio.TaskStatus[ServerReady]) -> None:
        await server.serve(handle, signals=True, task_status=task_status)
        runner.end()

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, FrameWorker("bot", bot))
        ready = await nursery.start(until_told)
        print(f"listening on {ready.port}", flush=True)
        task_status.started(ready)


def bus_at(url: str | None) -> Bus:
    if url is None:
        return LocalBus()
    from trio_transports.bus.redis import RedisBus

    return RedisBus(url)


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case [port, *url] if len(url) <= 1:
            trio.run(serve, int(port), bus_at(url[0] if url else None))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
