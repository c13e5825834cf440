"""Two streams joined in memory that have a socket, as far as a wire asks for one: engines without the network.

They are no ``trio.SocketStream``, so their bytes go by the stream, as those of TLS do.
"""

import socket
from typing import Any, Final, cast, final

import trio
import trio.testing
from attrs import define, field

from trio_transports.wire.stream import TCPStream

ADDRESS: Final = ("192.0.2.7", 4711)


@final
@define(eq=False)
class Line(trio.abc.Stream):
    """One end; ``lines`` makes two."""

    _memory: "trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]"
    name: object = ADDRESS
    """What ``getpeername`` gives, or raises."""
    number: int = field(default=7, init=False)
    """The descriptor's."""
    options: list[tuple[int, int]] = field(factory=list, init=False)
    """What was set of the socket."""
    is_closed: bool = field(default=False, init=False)
    is_stalled: bool = field(default=False, init=False)
    """The other end takes nothing more."""
    might_not_block: int = field(default=0, init=False)
    """How often that was waited for."""

    @property
    def tcp(self) -> TCPStream:
        return cast(TCPStream, self)

    @property
    def socket(self) -> Any:  # noqa: ANN401 - as much of a socket as is used
        return self

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._memory.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_stalled:
            await trio.sleep_forever()
        await self._memory.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        self.might_not_block += 1
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    # Of the socket

    def getpeername(self) -> object:
        if isinstance(self.name, Exception):
            raise self.name
        return self.name

    def fileno(self) -> int:
        return self.number

    def setsockopt(self, level: int, option: int, _value: object) -> None:
        self.options.append((level, option))

    def shutdown(self, how: int) -> None:
        if how != socket.SHUT_RD:
            self._memory.send_stream.close()

    def close(self) -> None:
        self.is_closed = True
        self._memory.send_stream.close()
        self._memory.receive_stream.close()


def lines() -> tuple[Line, Line]:
    """Both ends of a line."""
    near, far = trio.testing.memory_stream_pair()
    return Line(near), Line(far)
