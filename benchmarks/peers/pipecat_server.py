"""Pipecat's standalone server, which serves one client: as many servers in this process as clients will come."""

import asyncio

from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.server import (
    SingleClientWebsocketServerParams,
    SingleClientWebsocketServerTransport,
)

from .pipecat_echo import PACKAGES, echo_worker, quiet, run_workers
from .program import announce, clients, free_ports


async def main() -> None:
    quiet()
    ports = free_ports(clients())
    waiting = set(ports)
    workers = []
    for port in ports:
        transport = SingleClientWebsocketServerTransport(
            SingleClientWebsocketServerParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                audio_out_10ms_chunks=2,
                audio_out_end_silence_secs=0,
                serializer=ProtobufFrameSerializer(),
            ),
            host="127.0.0.1",
            port=port,
        )

        @transport.event_handler("on_websocket_ready")  # type: ignore[untyped-decorator]
        async def ready(_transport: SingleClientWebsocketServerTransport, port: int = port) -> None:
            waiting.discard(port)
            if not waiting:
                announce(*ports, packages=PACKAGES)

        workers.append(echo_worker(transport))
    await run_workers(*workers)


if __name__ == "__main__":
    asyncio.run(main())
