"""Two callers joined: the first waits, the second is put through, and when one hangs up the other is said goodbye.

python -m trio_transports.examples.bridge
"""

import trio

import trio_transports as tt
from trio_transports.examples._speech import say
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = tt.WebsocketServerParams(serializer=DetectingFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True)
WAIT = say("Please wait for the other party")


class Bridge:
    """Where callers meet: ``bot`` is its handler."""

    def __init__(self) -> None:
        self.waiting: tuple[tt.Session, trio.CancelScope, trio.Event] | None = None

    async def bot(self, session: tt.Session) -> None:
        if self.waiting is None or not self.waiting[0].is_connected:
            await self._wait(session)
            return
        (first, its_waiting, over), self.waiting = self.waiting, None
        its_waiting.cancel()
        try:
            await first.output.interrupt()  # the announcement
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_carry, first, session, nursery.cancel_scope)
                nursery.start_soon(_carry, session, first, nursery.cancel_scope)
        finally:
            over.set()

    async def _wait(self, session: tt.Session) -> None:
        over = trio.Event()
        with trio.CancelScope() as waiting:
            self.waiting = (session, waiting, over)
            await session.output.send(WAIT)
            async for _ in session.input:
                pass  # nobody is there to hear it
        if waiting.cancelled_caught:
            await over.wait()


async def _carry(source: tt.Session, target: tt.Session, both: trio.CancelScope) -> None:
    try:
        async for frame in source.input:
            if isinstance(frame, tt.AudioFrame | tt.DTMFFrame):
                await target.output.send(frame)
        await target.output.send(tt.EndFrame(reason="the other party has hung up"))
    except tt.ConnectionClosed:
        pass  # the target has gone: the other direction finds its input at the end
    both.cancel()


if __name__ == "__main__":
    trio.run(lambda: tt.WebsocketServerTransport(PARAMS, "127.0.0.1").serve(Bridge().bot, signals=True))
