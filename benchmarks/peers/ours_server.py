"""Our standalone server on its default engine, one session for each caller."""

from collections.abc import Awaitable, Callable

import trio

from trio_transports import ServerReady, Session, WebsocketServerParams, WebsocketServerTransport
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

from ..messages import SAMPLE_RATE
from .ours import PACKAGES, handle
from .program import announce


async def main(
    engine: str = "trio-websocket",
    handler: Callable[[Session], Awaitable[None]] = handle,
    observe: Callable[[WebsocketServerTransport], Awaitable[None]] | None = None,
) -> None:
    params = WebsocketServerParams(
        audio_in_enabled=True,
        audio_in_sample_rate=SAMPLE_RATE,
        audio_out_enabled=True,
        audio_out_sample_rate=SAMPLE_RATE,
        audio_out_10ms_chunks=2,
        serializer=ProtobufFrameSerializer(),
    )
    transport = WebsocketServerTransport(params, host="127.0.0.1", port=0, engine=engine)
    async with trio.open_nursery() as nursery:
        if observe is not None:
            nursery.start_soon(observe, transport)
        ready: ServerReady = await nursery.start(transport.serve, handler)
        announce(ready.port, packages=PACKAGES)


if __name__ == "__main__":
    trio.run(main)
