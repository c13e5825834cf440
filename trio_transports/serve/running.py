"""Serving a bot in this process: alone, or as one of several workers.

Rules
1. Alone: the first SIGTERM, SIGINT or SIGHUP lets calls under way finish for ``drain_s`` and ends the server; a second
   SIGTERM or SIGINT ends the process at once. One that was started to ignore SIGHUP, as ``nohup`` does, ignores it.
2. A worker hears its supervisor. SIGTERM, said any number of times, ends it in the same way; SIGHUP has it retire: its
   successor takes the calls, and it ends with its last one, whenever that is. SIGINT is the supervisor's business. So
   does a worker end whose supervisor has gone.
3. ``drain_s`` is for calls, and ends early with the last one. What a second was not enough for is then told 1001.
4. What was imported, the bot too, is frozen before the first call: a full collection at the thousandth connection
   would go through all of it, and hold every call for a tenth of a second.
"""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final, cast

import trio
from hypercorn import Config
from hypercorn.typing import ASGIFramework

from ..hosting.server import serve_asgi
from ..observe import ServerCounters
from ..playground.asgi import Route
from .app import Bot, bot_app
from .gathering import Gathering
from .options import ServeOptions
from .pages import Gather
from .params_file import ParamsFileError
from .target import NoSuchBot, load_bot
from .tls_files import TLSFilesError
from .worker import Control

logger = logging.getLogger("trio_transports.serve")

GRACE_S: Final = 3.0
"""For what is told 1001 to go."""
_IGNORED: Final = "a worker leaves this signal to its supervisor"


def make_app(options: ServeOptions, bot: Bot, counters: ServerCounters, gather: Gather | None = None) -> Route:
    """The app of a bot that was loaded."""
    return bot_app(
        bot.handler,
        options.params_for(bot),
        title=bot.title,
        lede=bot.lede,
        controls=bot.controls,
        shows_sessions=options.shows_sessions,
        allowed_origins=options.allowed_origins,
        host_names=(options.host, *options.host_names),
        public_url=options.public_url,
        max_sessions=options.max_sessions,
        counters=counters,
        gather=gather,
        observers=options.observers(),
    )


async def serve_alone(options: ServeOptions, listening: socket.socket, on_ready: Callable[[Bot], object]) -> None:
    """Load the bot and serve it until a signal says otherwise; rule 1."""
    bot = load_bot(options.target)
    app = make_app(options, bot, ServerCounters())
    freeze_imports()
    leave = trio.Event()
    heeded = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    with trio.open_signal_receiver(*heeded) if heeded else nullcontext() as hang_ups:
        async with trio.open_nursery() as nursery:
            if hang_ups is not None:
                nursery.start_soon(_set_on_signal, hang_ups, leave)
            serve = partial(
                serve_asgi,
                cast("ASGIFramework", app),
                configured(options, listening),
                shutdown_trigger=leave.wait,
                signals=True,
                drain=options.drain_s,
            )
            await _serve(serve, partial(on_ready, bot))
            nursery.cancel_scope.cancel()
    end(options)  # nothing else goes on in this process


def end(options: ServeOptions) -> None:
    """What a process does after its last call."""
    if options.traces:
        from .traces import send_last_spans

        send_last_spans()


async def serve_as_worker(
    options: ServeOptions, bot: Bot, listening: socket.socket, control: Control, folder: Path
) -> None:
    """Serve the bot until the supervisor says otherwise; rule 2."""
    counters = ServerCounters()
    gathering = Gathering(folder, counters.figures)
    leave, retire = trio.Event(), trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, leave, retire)
            nursery.start_soon(_leave_when_orphaned, control, leave)
            app = make_app(options, bot, counters, gathering.gather)
            async with gathering.open():
                serve = partial(
                    serve_asgi,
                    cast("ASGIFramework", app),
                    configured(options, listening),
                    shutdown_trigger=leave.wait,
                    retire_trigger=retire.wait,
                    drain=options.drain_s,
                )
                await _serve(serve, control.ready)
            nursery.cancel_scope.cancel()


async def _serve(serve: Callable[..., Awaitable[None]], on_ready: Callable[[], object]) -> None:
    """Serve, and tell when calls are taken."""
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        told = on_ready()
        if isinstance(told, Awaitable):
            await told


def configured(options: ServeOptions, listening: socket.socket) -> Config:
    """What hypercorn is told; the socket is its own from now on."""
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.graceful_timeout = GRACE_S
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("trio_transports.serve.hypercorn")
    if options.tls is not None:
        config.certfile, config.keyfile = options.tls
    return config


async def _set_on_signal(signals: AsyncIterator[int], event: trio.Event) -> None:
    async for _ in signals:
        event.set()


async def _obey(signals: AsyncIterator[int], leave: trio.Event, retire: trio.Event) -> None:
    async for number in signals:
        if number == signal.SIGTERM:
            leave.set()
        elif number == signal.SIGHUP:
            retire.set()
        else:
            logger.debug(_IGNORED)


async def _leave_when_orphaned(control: Control, leave: trio.Event) -> None:
    await control.until_orphaned()
    logger.error("process %d: the supervisor has gone, this worker leaves", os.getpid())
    leave.set()


def freeze_imports() -> None:
    """Have the garbage collector never look again at what is there now; rule 4."""
    gc.collect()
    gc.freeze()


def main() -> None:
    """A worker's program: ``python -m trio_transports.serve.running CONTROL LISTENING FOLDER OPTIONS``."""
    control, listening, folder, told = sys.argv[1:]
    options = ServeOptions.of_json(told)
    options.set_up_logging()
    try:
        bot = load_bot(options.target)
        options.check(bot)
    except (NoSuchBot, ParamsFileError, TLSFilesError) as exc:
        raise SystemExit(f"trio-transports: {exc}") from None

    async def work() -> None:
        taken = socket.socket(fileno=int(listening))
        await serve_as_worker(options, bot, taken, Control.inherited(int(control)), Path(folder))

    freeze_imports()
    trio.run(work)
    end(options)


if __name__ == "__main__":
    main()
