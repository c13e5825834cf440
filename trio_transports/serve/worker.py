"""A worker's side of its control socket: a byte says that it is ready, the end that its supervisor is gone."""

import socket
from contextlib import suppress
from typing import final

import trio
from attrs import define


@final
@define(eq=False)
class Control:
    """What a worker keeps of its supervisor."""

    _stream: trio.SocketStream

    @classmethod
    def inherited(cls, descriptor: int) -> "Control":
        """The socket that the supervisor named on the command line."""
        return cls(trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))))

    async def ready(self) -> None:
        """Say that calls are taken from now on."""
        with suppress(trio.BrokenResourceError):  # the supervisor has gone: ``until_orphaned`` tells
            await self._stream.send_all(b"!")

    async def until_orphaned(self) -> None:
        """Wait until the supervisor has gone, however it went."""
        with suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(1):
                pass
