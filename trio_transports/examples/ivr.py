"""A telephone menu: 1 tells the opening hours, 2 records a message and plays it back, 0 says goodbye and hangs up.

python -m trio_transports.examples.ivr
"""

from functools import partial

import trio

from trio_transports import AudioFrame, DTMFFrame, EndFrame, Session, WebsocketServerParams, WebsocketServerTransport
from trio_transports.examples._speech import say
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = WebsocketServerParams(serializer=DetectingFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True)
MENU = say("Press one for hours two to leave a message zero to end")
HOURS = say("We are open from nine to five")
BEEP = say("beep")
GOODBYE = say("Goodbye")
LONGEST_S = 30


async def record(session: Session) -> list[AudioFrame]:
    """Record until a key is pressed, or for LONGEST_S."""
    heard: list[AudioFrame] = []
    with trio.move_on_after(LONGEST_S):
        async for frame in session.input:
            if isinstance(frame, AudioFrame):
                heard.append(frame)
            elif isinstance(frame, DTMFFrame):
                break
    return heard


async def bot(session: Session) -> None:
    await session.output.send(MENU)
    async for frame in session.input:
        if isinstance(frame, DTMFFrame):
            await session.output.interrupt()  # who knows the menu need not hear it out
            if frame.digit == "0":
                await session.output.send(GOODBYE)
                await session.output.send(EndFrame(reason="the caller pressed 0"))
                return
            if frame.digit == "2":
                await session.output.send(BEEP)
                for piece in await record(session):
                    await session.output.send(piece)
            await session.output.send(HOURS if frame.digit == "1" else MENU)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = WebsocketServerTransport(PARAMS, host="127.0.0.1", port=8765)
        print(f"call port {(await nursery.start(partial(server.serve, bot, signals=True))).port}")


if __name__ == "__main__":
    trio.run(main)
