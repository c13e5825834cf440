"""Serving a bot in several processes on one address, with a supervisor that hears the signals.

Rules
1. SIGHUP replaces the workers one after another: no connection is refused, and no call is cut off, however long it is.
   Said again while that goes on, it is done once more afterwards.
2. The first SIGTERM or SIGINT tells the workers to leave, within ``drain_s`` and a little; a second kills them, and
   is returned: the process is to end by it.
3. With ``reloads`` a change of a Python or TOML file below the current folder replaces the worker. Calls are told 1001
   then: the page comes back by itself, to the new program. A program that does not start leaves the old one running.
"""

import logging
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, final

import attrs
import trio
from attrs import define

from .._extras import require
from ..wire.accepting.signals import TWICE_S
from .options import ServeOptions
from .running import GRACE_S
from .supervisor import Supervisor

logger = logging.getLogger("trio_transports.serve")

LAST_S: Final = 2.0
RELOADED: Final = (".py", ".toml")


@final
@define(eq=False)
class _Heard:
    """What SIGTERM and SIGINT have said so far."""

    first_at_s: float = inf
    second: signal.Signals | None = None


async def supervise(
    options: ServeOptions,
    listening: socket.socket,
    workers: int,
    on_ready: Callable[[], object],
    *,
    reloads: bool = False,
) -> signal.Signals | None:
    """Serve until told to leave; returned is the second signal, if it took one.

    Raises WorkerFailed when the first workers cannot start.
    """
    watch = _watcher() if reloads else None
    heard = _Heard()
    told = attrs.evolve(options, drain_s=0.0) if reloads else options
    with tempfile.TemporaryDirectory(prefix="trio-transports-") as folder:
        supervisor = Supervisor(
            partial(_command, told, listening.fileno(), folder, ("-B",) if reloads else ()),
            [listening],
            workers,
            told.drain_s + GRACE_S + LAST_S,
            retire_signal=signal.SIGTERM if reloads else signal.SIGHUP,
        )
        renewals, renewing = trio.open_memory_channel[None](1)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_obey, signals, heard, supervisor, renewals)
                if watch is not None:  # before anybody is told that the bot is served, so that no change is missed
                    nursery.start_soon(watch, renewals)
                async with trio.open_nursery() as serving:
                    await serving.start(supervisor.run)
                    nursery.start_soon(_renew, supervisor, renewing)
                    if not supervisor.is_stopping:
                        on_ready()
                nursery.cancel_scope.cancel()
    return heard.second


def _command(options: ServeOptions, listening: int, folder: str, flags: Sequence[str], control: int) -> Sequence[str]:
    """A worker's command line. Compiled files (``-B``: none) go by whole seconds: two changes in one would be one."""
    arguments = (str(control), str(listening), folder, options.to_json())
    return (sys.executable, *flags, "-m", "trio_transports.serve.running", *arguments)


async def _obey(
    signals: AsyncIterator[int], heard: _Heard, supervisor: Supervisor, renewals: trio.MemorySendChannel[None]
) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            _ask_for(renewals)
        elif trio.current_time() > heard.first_at_s + TWICE_S:
            heard.second = signal.Signals(number)
            supervisor.kill()
        elif heard.first_at_s == inf:
            heard.first_at_s = trio.current_time()
            supervisor.stop()


def _ask_for(renewals: trio.MemorySendChannel[None]) -> None:
    with suppress(trio.WouldBlock):  # one that waits already is as good
        renewals.send_nowait(None)


async def _renew(supervisor: Supervisor, asked: trio.MemoryReceiveChannel[None]) -> None:
    async for _ in asked:
        await supervisor.renew()
        logger.info("the workers have been replaced")


def _watcher() -> Callable[[trio.MemorySendChannel[None]], Awaitable[None]]:
    """Made before anything runs: a missing extra is told at once."""
    watchfiles = require("watchfiles", extra="reload", needed_by="--reload")

    async def watch(renewals: trio.MemorySendChannel[None]) -> None:
        async for changes in watchfiles.awatch(Path.cwd(), watch_filter=lambda _, path: path.endswith(RELOADED)):
            names = ", ".join(sorted({Path(path).name for _, path in changes}))
            logger.info("%s changed: the bot is loaded anew", names)
            _ask_for(renewals)

    return watch
