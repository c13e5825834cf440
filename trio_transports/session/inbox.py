"""What the handler reads: ``session.input``. What waits to be read, and its bounds, are in ``session.unread``."""

from typing import final

import trio
from attrs import define

from .._moved import moved
from ..frames import Frame
from .standby import Deal
from .unread import Unread


@final
@moved("channel")
@define(eq=False)
class Inbox(trio.abc.ReceiveChannel[Frame]):
    """The handler's receive channel. Several tasks may receive; each frame goes to one of them."""

    _unread: Unread

    @property
    def audio_is_on(self) -> bool:
        """Whether audio is let through; ``start_audio`` and ``stop_audio`` set it."""
        return self._unread.audio_is_on

    def start_audio(self) -> None:
        """Let audio through from now on (for ``audio_in_stream_on_start=False``)."""
        self._unread.audio_is_on = True

    def stop_audio(self) -> None:
        """Let no more audio through; what is queued can still be read."""
        self._unread.audio_is_on = False

    async def receive(self) -> Frame:
        """Wait for the next frame. Cancelling it loses nothing.

        ``EndOfChannel`` when the peer is gone and everything that it sent was read.
        """
        return await self._unread.take()

    async def _receive_or(self, deal: Deal) -> Frame | None:
        """Receive, and have ``deal`` deal with what it can where it is taken from the wire; None: it did a part."""
        return await self._unread.take_or(deal)

    @property
    def _stands_by(self) -> bool:
        """Whether somebody waits in ``_receive_or``, and was not cancelled."""
        return self._unread.standby.is_waiting

    async def aclose(self) -> None:
        """Stop reading: what is queued is dropped, and so is what arrives from now on. The session goes on."""
        self._unread.close()
        await trio.lowlevel.checkpoint()
