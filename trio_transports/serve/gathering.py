"""The figures of all workers of a server, asked of whichever of them got the request.

Rules
1. Each worker answers on a socket of its own in a folder that only this server's user can enter. Who is asked for
   figures asks all others. One that does not answer within ``ASK_S`` is left out, and that is logged.
2. A worker that ends adds what it counted to what ended ones did, in a file under a lock: sums never fall by a
   restart.
3. One that ends while it is asked is among neither the ended nor those who tell: then all are asked again.
4. One that is killed has no time to add anything. So each writes down what it has counted every ``NOTE_S``, and before
   it tells anybody. Who finds it gone adds that for it: what it did in its last ``NOTE_S``, and nobody was ever told,
   is all that is lost. One that does not answer counts with what it has written down.
5. No call ends for the figures. What cannot be written down (no descriptor is left, or the disk is full) is tried again
   at the next note, and told meanwhile; what cannot be added up is left to whoever is asked next.
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
from attrs import define, field

from .._nursery import open_services
from ..observe import ProcessFigures, ServerFigures, merged, process_figures

logger = logging.getLogger("trio_transports.serve")

ASK_S: Final = 1.0
NOTE_S: Final = 1.0
TRIES: Final = 5
_ENDED: Final = "ended.json"
_MAX_BYTES: Final = 1024 * 1024


@final
@define(eq=False)
class Gathering:
    """One worker's part. ``figures`` gives its own."""

    folder: Path
    figures: Callable[[], ServerFigures]
    _noted: str = field(default="", init=False)
    """What this process has written down last."""
    _cannot_write: bool = field(default=False, init=False)
    """Rule 5: it is logged when that begins, and when it ends."""
    _noting: trio.Lock = field(factory=trio.Lock, init=False)
    """One note after the other: what was counted before does not replace what was told since."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer the others while the block runs, and leave behind what was counted."""
        path = self._own
        await trio.to_thread.run_sync(self._bury, path)  # of a killed one that had the same process id
        listening = trio.socket.socket(trio.socket.AF_UNIX)
        with listening:
            await listening.bind(str(path))
            listening.listen()
            await self._note()
            async with open_services() as services:
                services.start_soon(
                    partial(trio.serve_listeners, self._answer, [trio.SocketListener(listening)]), name="figures"
                )
                services.start_soon(self._go_on_noting, name="figures written down")
                try:
                    yield
                finally:
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                        now = _at_its_end(self.figures())
                        try:
                            await trio.to_thread.run_sync(self._leave, path, now, abandon_on_cancel=True)
                        except OSError as exc:
                            logger.warning("figures are left for other workers to add up: %s", exc)

    async def gather(self) -> tuple[ServerFigures, list[ProcessFigures]]:
        """The sums, and each process's own."""
        for _ in range(TRIES):
            told, left = [(await self._note(), process_figures())], list[Path]()
            silent: list[ServerFigures] = []
            ended, others = await trio.to_thread.run_sync(self._ended_and_others)
            async with trio.open_nursery() as nursery:
                for path in others:
                    nursery.start_soon(self._ask, path, told, silent, left)
            if not left:  # rule 3
                break
        return merged([ended, *silent, *(figures for figures, _ in told)]), [process for _, process in told]

    async def _ask(
        self,
        path: Path,
        told: list[tuple[ServerFigures, ProcessFigures]],
        silent: list[ServerFigures],
        left: list[Path],
    ) -> None:
        """Ask one worker, and note what it told, or has written down, or that it is no more."""
        try:
            with trio.fail_after(ASK_S):
                told.append(await _told_by(path))
        except ConnectionRefusedError:  # nobody has that socket any more: it was killed
            try:
                await trio.to_thread.run_sync(self._bury, path)
            except OSError as exc:
                logger.warning("what worker %s has counted is not added up yet: %s", path.stem, exc)
                silent.append(_at_its_end(await trio.to_thread.run_sync(_read, _notes(path))))
            else:
                left.append(path)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError, ValueError) as exc:
            if await trio.Path(path).exists():
                logger.info("worker %s does not tell its figures: %s", path.stem, str(exc) or type(exc).__name__)
                silent.append(await trio.to_thread.run_sync(_read, _notes(path)))
            else:
                left.append(path)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            document = {"server": (await self._note()).to_json(), "process": attrs.asdict(process_figures())}
            with trio.move_on_after(ASK_S):
                try:
                    await stream.send_all(json.dumps(document).encode())
                except trio.BrokenResourceError:
                    logger.debug("the worker that asked for figures has gone")

    # -- written down, rule 4 ------------------------------------------------------------------------------------

    async def _note(self) -> ServerFigures:
        """Write down how things stand, and return that."""
        async with self._noting:
            now = self.figures()
            text = json.dumps(now.to_json())
            if text != self._noted:
                try:
                    await trio.to_thread.run_sync(self._write_note, text)
                except OSError as exc:  # rule 5
                    self._tell_whether_it_writes(exc)
                else:
                    self._noted = text
                    self._tell_whether_it_writes(None)
            return now

    def _tell_whether_it_writes(self, failure: OSError | None) -> None:
        if (failure is not None) is self._cannot_write:
            return
        self._cannot_write = failure is not None
        if failure is None:
            logger.info("this worker's figures are written down again")
        else:
            logger.warning("this worker's figures cannot be written down, and are tried again: %s", failure)

    async def _go_on_noting(self) -> None:
        while True:
            await trio.sleep(NOTE_S)
            await self._note()

    def _write_note(self, text: str) -> None:
        with self._locked():
            if self._own.exists():  # else it has left, and been added up
                _write(_notes(self._own), text)

    def _bury(self, path: Path) -> None:
        """Add up what a killed worker has written down, if nobody has yet."""
        with self._locked():
            if path.exists():
                self._add(path, _at_its_end(_read(_notes(path))))

    # -- of all --------------------------------------------------------------------------------------------------

    @property
    def _own(self) -> Path:
        return self.folder / f"{os.getpid()}.sock"

    def _ended_and_others(self) -> tuple[ServerFigures, list[Path]]:
        with self._locked():
            return _read(self.folder / _ENDED), [path for path in self.folder.glob("*.sock") if path != self._own]

    def _leave(self, path: Path, now: ServerFigures) -> None:
        with self._locked():
            self._add(path, now)

    def _add(self, path: Path, last: ServerFigures) -> None:
        whole = merged([_read(self.folder / _ENDED), last])
        _write(self.folder / _ENDED, json.dumps(whole.to_json()))  # first: should it fail, the note is still there
        path.unlink(missing_ok=True)
        _notes(path).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _notes(path: Path) -> Path:
    """Where the worker with that socket writes down what it has counted."""
    return path.with_suffix(".json")


def _read(path: Path) -> ServerFigures:
    try:
        return ServerFigures.of_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return ServerFigures()


def _write(path: Path, text: str) -> None:
    """All of it or nothing: whoever is killed midway leaves what was there."""
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _at_its_end(figures: ServerFigures) -> ServerFigures:
    """Nobody calls it, and nothing is queued in it, any more."""
    totals = attrs.evolve(figures.totals, audio_queued_s=0.0)
    return attrs.evolve(figures, sessions=0, connections=0, totals=totals)


async def _told_by(path: Path) -> tuple[ServerFigures, ProcessFigures]:
    told = bytearray()
    async with await trio.open_unix_socket(path) as stream:
        async for data in stream:
            told += data
            if len(told) > _MAX_BYTES:
                raise ValueError("too much was told")
    document: dict[str, Any] = json.loads(told)
    return ServerFigures.of_json(document["server"]), ProcessFigures(**document["process"])
