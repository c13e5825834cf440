"""The figures of all workers of a server, asked of whichever of them got the request.

Rules
1. Each worker answers on a socket of its own in a folder that only this server's user can enter. Who is asked for
   figures asks all others. One that does not answer within ``ASK_S`` is left out, and that is logged.
2. A worker that ends adds what it counted to what ended ones did, in a file under a lock: sums never fall by a
   restart. One that was killed has no time for that, and its counts are lost.
3. One that ends while it is asked is among neither the ended nor those who tell: then all are asked again.
"""

import fcntl
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import attrs
import trio
from attrs import define

from .._nursery import open_services
from ..observe import ProcessFigures, ServerFigures, merged, process_figures

logger = logging.getLogger("trio_transports.serve")

ASK_S: Final = 1.0
TRIES: Final = 5
_ENDED: Final = "ended.json"
_MAX_BYTES: Final = 1024 * 1024


@final
@define(eq=False)
class Gathering:
    """One worker's part. ``figures`` gives its own."""

    folder: Path
    figures: Callable[[], ServerFigures]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer the others while the block runs, and leave behind what was counted."""
        path = self.folder / f"{os.getpid()}.sock"
        listening = trio.socket.socket(trio.socket.AF_UNIX)
        with listening:
            await listening.bind(str(path))
            listening.listen()
            async with open_services() as services:
                services.start_soon(
                    partial(trio.serve_listeners, self._answer, [trio.SocketListener(listening)]), name="figures"
                )
                try:
                    yield
                finally:
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                        now = attrs.evolve(self.figures(), sessions=0, connections=0)
                        await trio.to_thread.run_sync(self._leave, path, now, abandon_on_cancel=True)

    async def gather(self) -> tuple[ServerFigures, list[ProcessFigures]]:
        """The sums, and each process's own."""
        for _ in range(TRIES):
            told, left = [(self.figures(), process_figures())], list[Path]()
            ended, others = await trio.to_thread.run_sync(self._ended_and_others)
            async with trio.open_nursery() as nursery:
                for path in others:
                    nursery.start_soon(_note, path, told, left)
            if not left:  # rule 3
                break
        return merged([ended, *(figures for figures, _ in told)]), [process for _, process in told]

    async def _answer(self, stream: trio.SocketStream) -> None:
        document = {"server": self.figures().to_json(), "process": attrs.asdict(process_figures())}
        async with stream:
            with trio.move_on_after(ASK_S):
                try:
                    await stream.send_all(json.dumps(document).encode())
                except trio.BrokenResourceError:
                    logger.debug("the worker that asked for figures has gone")

    def _ended_and_others(self) -> tuple[ServerFigures, list[Path]]:
        with self._locked():
            own = f"{os.getpid()}.sock"
            return self._read(), [path for path in self.folder.glob("*.sock") if path.name != own]

    def _leave(self, path: Path, now: ServerFigures) -> None:
        with self._locked():
            path.unlink(missing_ok=True)
            whole = merged([self._read(), now])
            part = self.folder / f"{_ENDED}.part"
            part.write_text(json.dumps(whole.to_json()), "utf-8")
            part.replace(self.folder / _ENDED)

    def _read(self) -> ServerFigures:
        try:
            return ServerFigures.of_json(json.loads((self.folder / _ENDED).read_text("utf-8")))
        except FileNotFoundError:
            return ServerFigures()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


async def _note(path: Path, told: list[tuple[ServerFigures, ProcessFigures]], left: list[Path]) -> None:
    """Ask one worker, and note what it told, or that it has left."""
    try:
        with trio.fail_after(ASK_S):
            told.append(await _ask(path))
    except (OSError, trio.TooSlowError, trio.BrokenResourceError, ValueError) as exc:
        if await trio.Path(path).exists():
            logger.info("worker %s does not tell its figures: %s", path.stem, str(exc) or type(exc).__name__)
        else:
            left.append(path)


async def _ask(path: Path) -> tuple[ServerFigures, ProcessFigures]:
    told = bytearray()
    async with await trio.open_unix_socket(path) as stream:
        async for data in stream:
            told += data
            if len(told) > _MAX_BYTES:
                raise ValueError("too much was told")
    document: dict[str, Any] = json.loads(told)
    return ServerFigures.of_json(document["server"]), ProcessFigures(**document["process"])
