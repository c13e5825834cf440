"""``--capture``: the messages that a call received, one on each line, as ``inspect`` reads them.

Rules
1. A file that cannot be written on is given up, and the call goes on; it is a failure at the end.
2. Text is one line, whatever it holds; bytes are base64. What a slow disk lost is told.
"""

import base64
import sys
from typing import Final, final

import trio
from attrs import define, field

from ..serializers.protocol import Message
from ..session.broadcast import EventsLost

UNWRITTEN: Final = 65_536
"""So many messages may wait for the disk."""


@final
@define(eq=False)
class Capture:
    """Of one call."""

    path: str
    failure: str | None = field(default=None, init=False)
    """Why it is not whole; rule 1."""

    async def run(self, messages: trio.abc.ReceiveChannel[Message | EventsLost]) -> None:
        """Write until the call is over."""
        try:
            await self._write(messages)
        except OSError as exc:
            self.failure = f"the capture {self.path} is not whole: {exc.strerror or exc}"

    async def _write(self, messages: trio.abc.ReceiveChannel[Message | EventsLost]) -> None:
        async with await trio.open_file(self.path, "w", encoding="utf-8") as file:
            async for message in messages:
                if isinstance(message, str):
                    await file.write(message.replace("\r", " ").replace("\n", " ") + "\n")
                elif isinstance(message, bytes):
                    await file.write(base64.b64encode(message).decode() + "\n")
                else:
                    lost = f"{message.count} messages are not in {self.path}: the disk was slow"
                    print(f"trio-transports: {lost}", file=sys.stderr)
