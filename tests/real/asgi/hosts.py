"""An app on a real socket, under ``serve_asgi`` or a bare hypercorn, with its log at hand."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, final

import anycorn
import hypercorn.trio
import trio
from attrs import define
from hypercorn.config import Config

from trio_transports.hosting import serve_asgi

H2C: Final[Mapping[str, Any]] = {"h2c": True}
"""For peers that speak HTTP/2 without TLS: what serve_asgi does not take unless told to."""

LATE_S: Final = 5.0
"""How late a busy machine may be with what takes no time by itself; what is wrong is later, or never comes."""

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


@final
class LogLines(logging.Handler):
    """Keeps what the server logs."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def errors(self) -> list[logging.LogRecord]:
        return [record for record in self.records if record.levelno >= logging.ERROR]


@final
@define(eq=False)
class Hosted:
    address: str
    log: LogLines
    shutdown: trio.Event
    ended: trio.Event

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    async def stop(self) -> float:
        """Shut the server down; returns how long that took."""
        began = trio.current_time()
        self.shutdown.set()
        await self.ended.wait()
        return trio.current_time() - began


def quiet_config(kind: Any = Config, **settings: object) -> tuple[Any, LogLines]:  # noqa: ANN401 - either's
    log = LogLines()
    logger = logging.Logger("hosted", logging.INFO)
    logger.addHandler(log)
    config = kind.from_mapping({"bind": ["127.0.0.1:0"], "errorlog": logger, "graceful_timeout": 1.0, **settings})
    return config, log


@asynccontextmanager
async def hosted(
    app: App,
    *,
    guarded: bool = True,
    bare: str = "hypercorn",
    write_timeout: float = 1.0,
    limits: Mapping[str, Any] | None = None,
    tls: Mapping[str, str] | None = None,
    **settings: object,
) -> AsyncIterator[Hosted]:
    """Serve ``app`` for as long as the body runs, then shut it down and wait for that. ``limits`` are serve_asgi's.

    Not ``guarded``, it is served by ``bare``: hypercorn or anycorn.
    """
    kind = anycorn.Config if not guarded and bare == "anycorn" else Config
    config, log = quiet_config(kind, **settings, **(tls or {}))
    shutdown = trio.Event()
    ended = trio.Event()

    async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
        try:
            if guarded:
                await serve_asgi(
                    app,
                    config,
                    shutdown_trigger=shutdown.wait,
                    **{"write_timeout": write_timeout, **(limits or {})},
                    task_status=task_status,
                )
            else:
                serve: Any = anycorn.serve if isinstance(config, anycorn.Config) else hypercorn.trio.serve
                await serve(app, config, shutdown_trigger=shutdown.wait, mode="asgi", task_status=task_status)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(run)
        yield Hosted(addresses[0], log, shutdown, ended)
        shutdown.set()
