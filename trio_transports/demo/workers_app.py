"""An echo bot on several processes: one app, a worker for each, and one address for all.

Each worker is a process of its own, with its own trio run and its own sessions. Nothing is shared between them: a call
lives and ends in the worker that took it, and what workers must tell each other goes over a bus (``bus.redis``). The
kernel deals out the calls, so a caller that comes back may meet another worker.

Two ways to run it:

``hypercorn -k trio -w 4 -b 127.0.0.1:8000 trio_transports.demo.workers_app:app``
    Hypercorn's own workers. They restart by themselves when one dies, and have the faults of a bare hypercorn: a caller
    that breaks the protocol in the right place ends its worker, with every call on it.

``python -m trio_transports.demo.workers_app --workers 4 --bind 127.0.0.1:8000``
    As many processes under ``serve_asgi``, which survives that. Ctrl-C or SIGTERM ends them all, and every caller is
    told 1001. Whether one that dies is started again is for a process manager to say: this stops when one does.

Then ``curl http://127.0.0.1:8000`` says which process answered, and a WebSocket client that sends text or audio frames
to ``ws://127.0.0.1:8000/ws`` hears them back.
"""

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import trio
from hypercorn.config import Config

from ..hosting.server import serve_asgi
from ..params import AsgiWebsocketParams
from ..serializers.json import JSONFrameSerializer
from ..session.session import Session
from ..transports.asgi import AsgiWebsocketTransport
from ..wire.asgi import Receive, Scope, Send

PARAMS: Final = AsgiWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=JSONFrameSerializer())


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket with an echo bot, and anything else with the number of this process."""
    if scope["type"] == "websocket":
        await AsgiWebsocketTransport((scope, receive, send), PARAMS).serve(echo)
    elif scope["type"] == "http":
        await _answer(send, f"worker {os.getpid()}\n".encode())
    else:
        await _live(receive, send)


async def echo(session: Session) -> None:
    async for frame in session.input:
        await session.output.send(frame)


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """The app's lifespan: what one worker needs for itself would be opened and closed here."""
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


async def serve_workers(bind: str, workers: int) -> None:
    """Run ``workers`` processes of this module until told to stop, or until one of them ends by itself."""
    command = [sys.executable, "-m", "trio_transports.demo.workers_app", "--worker", "--bind", bind]
    command += ["--workers", str(workers)]
    codes: list[int] = []
    async with trio.open_nursery() as nursery:

        async def run_worker() -> None:
            ended = await trio.run_process(command, check=False, deliver_cancel=_stop)
            codes.append(ended.returncode)
            nursery.cancel_scope.cancel()

        for _ in range(workers):
            nursery.start_soon(run_worker)
        await _told_to_stop(signal.SIGINT, signal.SIGTERM)
        nursery.cancel_scope.cancel()
    if any(codes):
        raise SystemExit(f"a worker ended by itself, with exit code {codes[0]}")


async def serve_as_worker(bind: str, workers: int) -> None:
    config = Config()
    config.bind = [bind]
    config.workers = workers  # more than one: the sockets share the address
    # Ctrl-C goes to all processes of a terminal. The parent hears it too, and tells its workers, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    await serve_asgi(app, config, shutdown_trigger=partial(_told_to_stop, signal.SIGTERM))


async def _stop(process: trio.Process) -> None:
    process.terminate()
    with trio.move_on_after(Config.graceful_timeout + 2):
        await process.wait()
        return
    process.kill()


async def _told_to_stop(*how: signal.Signals) -> None:
    with trio.open_signal_receiver(*how) as signals:
        async for _ in signals:
            return


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trio_transports.demo.workers_app", description="An echo bot on several processes."
    )
    parser.add_argument("--workers", type=int, default=2, help="how many processes (2)")
    parser.add_argument("--bind", default="127.0.0.1:8000", help="the address of all of them (127.0.0.1:8000)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error("--workers must be at least 1")
    run: Callable[[str, int], Awaitable[Any]] = serve_as_worker if given.worker else serve_workers
    trio.run(run, given.bind, given.workers)


if __name__ == "__main__":
    main()
