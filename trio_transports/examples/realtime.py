"""A telephone call joined to a realtime voice model: it hears the caller, and knows what the caller has heard of it.

REALTIME_URL=wss://... REALTIME_TOKEN=... python -m trio_transports.examples.realtime
"""

import os
from functools import partial

import trio

from trio_transports import Session, WebsocketClientParams, WebsocketServerParams, WebsocketServerTransport
from trio_transports.agent import WebSocketAgentAdapter, realtime
from trio_transports.agent.protocols import OpenAIRealtimeProtocol
from trio_transports.pipeline import Pipeline
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = WebsocketServerParams(serializer=DetectingFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True)


def agent() -> WebSocketAgentAdapter:
    """One connection to the model for each call."""
    headers = {"Authorization": f"Bearer {os.environ.get('REALTIME_TOKEN', '')}"}
    url = os.environ.get("REALTIME_URL", "ws://127.0.0.1:8766")
    return WebSocketAgentAdapter(
        url, OpenAIRealtimeProtocol(), params=WebsocketClientParams(additional_headers=headers, ping_interval=5)
    )


async def bot(session: Session) -> None:
    async with agent() as model:
        await Pipeline([realtime(model)]).run(session.input, session.output)


if __name__ == "__main__":
    server = WebsocketServerTransport(PARAMS, host="127.0.0.1", port=8765)
    trio.run(partial(server.serve, bot, signals=True))
