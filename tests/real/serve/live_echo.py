"""A bot that says each frame of sound back at once, for the processes of these tests."""

from trio_transports import AudioFrame, Session


async def bot(session: Session) -> None:
    async for frame in session.input:
        if isinstance(frame, AudioFrame):
            await session.output.send(frame)
