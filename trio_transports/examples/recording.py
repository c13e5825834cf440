"""Every call in a stereo WAV file of its own: the caller on the left, what the bot said on the right, aligned in time.

RECORDINGS=calls python -m trio_transports.examples.recording
"""

import os
from functools import partial

import trio

import trio_transports as tt
from trio_transports.observe import recorder
from trio_transports.pipeline import Pipeline
from trio_transports.pipeline.stages import utterances
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = tt.WebsocketServerParams(
    serializer=DetectingFrameSerializer(),
    audio_enabled=True,
    vad_enabled=True,
    session_timeout=1800,
    session_timeout_action="close",
)
FOLDER = trio.Path(os.environ.get("RECORDINGS", "recordings"))


async def bot(session: tt.Session, folder: trio.Path = FOLDER) -> None:
    await folder.mkdir(parents=True, exist_ok=True)
    async with recorder(session, folder / f"{session.id}.wav") as recording:
        await Pipeline([utterances()], allow_interruptions=True).run(session.input, session.output)
    if recording.lost_s or recording.failure:
        print(f"{session.id}: {recording.lost_s:.1f} s are not in the file: {recording.failure or 'the disk was slow'}")


async def main() -> None:
    server = tt.WebsocketServerTransport(PARAMS, host="127.0.0.1", port=8765)
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(partial(server.serve, bot, signals=True, drain=30))
        print(f"call ws://127.0.0.1:{ready.port}; recordings go to {FOLDER}")


if __name__ == "__main__":
    trio.run(main)
