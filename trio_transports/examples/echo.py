"""An echo: whoever calls, by browser or by telephone, hears themselves, and speaking again cuts the echo short.

python -m trio_transports.examples.echo
trio-transports call ws://127.0.0.1:8765 --serializer twilio --in question.wav --out answer.wav
"""

from functools import partial

import trio

from trio_transports import AudioFrame, Frame, Session, WebsocketServerParams, WebsocketServerTransport
from trio_transports.pipeline import Pipeline
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = WebsocketServerParams(
    serializer=DetectingFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True, vad_enabled=True
)


def only_audio(frame: Frame) -> Frame | None:
    return frame if isinstance(frame, AudioFrame) else None


async def bot(session: Session) -> None:
    await Pipeline([only_audio], allow_interruptions=True).run(session.input, session.output)


async def main() -> None:
    server = WebsocketServerTransport(PARAMS, host="127.0.0.1", port=8765)
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(partial(server.serve, bot, signals=True))
        print(f"call ws://127.0.0.1:{ready.port}")


if __name__ == "__main__":
    trio.run(main)
