"""An adapter's audio as an ordinary trio channel."""

from math import inf
from typing import final

import trio
from attrs import define, field

from .chunk import AudioChunk
from .conversation import Conversation
from .outcomes import AgentFinished


@final
@define(eq=False)
class ChunkChannel(trio.abc.ReceiveChannel[AudioChunk]):
    """An adapter's audio as a channel. It ends when the agent finished in good order; a lost connection raises."""

    _connection: Conversation
    _closed: bool = field(default=False, init=False)

    async def receive(self) -> AudioChunk:
        """The next chunk; the agent's own end is ``EndOfChannel``, any other is raised as it is."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this channel was closed by this side")
        try:
            chunk = await self._connection.receive(inf)
        except AgentFinished as finished:
            raise trio.EndOfChannel from finished
        assert chunk is not None  # nobody waits longer than for ever
        return chunk

    async def aclose(self) -> None:
        """Stop reading by this channel; the connection goes on."""
        self._closed = True
        await trio.lowlevel.checkpoint()
