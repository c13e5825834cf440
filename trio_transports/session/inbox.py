"""What the handler reads: ``session.input``. What waits to be read, and its bounds, are in ``session.unread``."""

from typing import final

import trio
from attrs import define

from .._moved import moved
from ..frames import Frame
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

    async def aclose(self) -> None:
        """Stop reading: what is queued is dropped, and so is what arrives from now on. The session goes on."""
        self._unread.close()
        await trio.lowlevel.checkpoint()
