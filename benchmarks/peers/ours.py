"""The handler that both of our server programs give to their transport: the same work as every other program does."""

from trio_transports import AudioFrame, MessageFrame, Session

from ..messages import NUM_CHANNELS, SAMPLE_RATE, playback_pieces

PACKAGES = ("trio", "trio-websocket", "hypercorn", "wsproto", "attrs", "protobuf")


async def handle(session: Session) -> None:
    output = session.output
    async for frame in session.input:
        if isinstance(frame, AudioFrame):
            await output.send(frame)
        elif isinstance(frame, MessageFrame) and isinstance(frame.message, dict):
            if seconds := frame.message.get("play"):
                for piece in playback_pieces(float(str(seconds))):
                    await output.send(AudioFrame(audio=piece, sample_rate=SAMPLE_RATE, num_channels=NUM_CHANNELS))
            else:
                await output.interrupt()
