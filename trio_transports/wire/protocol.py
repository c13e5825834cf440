"""What a session asks of a connection: four verbs that behave alike on every engine.

Rules (``testing.check_wire`` shows each on every wire)
1. ``receive`` gives whole messages in order. Cancelling it loses nothing. When the connection has ended and all that
   arrived was read, it raises ``ConnectionClosed`` with the code, the reason and who ended it, now and on every call.
2. ``send`` takes text or anything bytes-like. Cancelled midway it aborts the wire: half a frame may be on it, so
   nothing may follow. After the end it raises ``ConnectionClosed``.
3. ``aclose`` says goodbye with a code and reason, and waits for the peer's answer. It has no deadline of its own: the
   caller's is the limit, and cancelling it aborts. It may run while another task is in ``receive``. A second call does
   nothing.
4. ``abort`` ends the connection at once, without waiting and without ceremony; it may be called at any time, from any
   task, also twice. A task inside ``receive`` or ``send`` wakes with ``ConnectionClosed``.
5. One task receives, one sends. A wire does not queue.
6. A message over the size limit ends the connection with 1009 on both sides.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from .peer import Peer

BytesLike: TypeAlias = bytes | bytearray | memoryview
"""What a binary message may be sent as."""


class Wire(Protocol):
    """One WebSocket connection, whatever engine is under it."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end; valid after the end too."""

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        ``ConnectionClosed`` once the connection has ended and all was read. Cancelling it loses nothing.
        """

    async def send(self, message: str | BytesLike) -> None:
        """Write one message: str as text, anything bytes-like as binary. Cancelled midway it aborts the connection."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and wait for the peer's answer. It has no deadline of its own; cancelling it aborts.

        ``code`` and ``reason`` are what the peer is told in the close frame.
        """

    def abort(self) -> None:
        """End the connection at once, from any task, as often as you like."""


@runtime_checkable
class SendsNow(Protocol):
    """What a wire may offer besides: writing without a task that waits."""

    def send_now(self, message: str | bytes) -> bool | None:
        """Write as much of the message as needs no waiting.

        True: all of it is written. False: nothing is, use ``send``. None: it is begun, and the wire writes the rest by
        itself; it counts as written, and another may be sent, only after ``await flushed()``.
        """

    async def flushed(self) -> None:
        """Wait until what was begun is written; ConnectionClosed when the end came first. Cancelling it aborts."""


@runtime_checkable
class Batches(SendsNow, Protocol):
    """What a wire may offer besides: several messages for one system call, and for one wake of a task."""

    def send_several_now(self, messages: Sequence[str | bytes]) -> int:
        """As ``send_now`` of one after another; returns how many were taken.

        The last of these may only be begun: another may be sent after ``await flushed()``. ConnectionClosed only where
        none was taken: one that ends the connection, as it is too large, is the last that was.
        """

    async def receive_several(self) -> list[str | bytes]:
        """All that has arrived, and one message at least; in everything else as ``receive``."""


@runtime_checkable
class HandsOver(Protocol):
    """What a wire may offer besides: messages handed over where they are read, without waking the task that waits."""

    async def receive_each(self, take: Callable[[str | bytes], bool]) -> None:
        """Call ``take`` with each message, in order, until it answers True; in everything else as ``receive``.

        It is called in whatever task reads, in the context of this one, and must not wait; what it raises is raised
        here. Cancelling this loses nothing: what was not handed over is there for the next call.
        """


@runtime_checkable
class SharesAlarms(Protocol):
    """What a wire may offer besides: times at which other connections' tasks wake, too."""

    def alarm_s(self, due_s: float) -> float:
        """When to wake for what is due then: at that time, or up to ``audio.recovery.EARLY_S`` before."""
