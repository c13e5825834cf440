"""A client of a Pipecat bot: says a WAV file over its protobuf WebSocket, and writes what the bot answers into another.

python -m trio_transports.examples.pipecat_client ws://127.0.0.1:8765 question.wav answer.wav
"""

import sys

import trio

from trio_transports import AudioFrame, MessageFrame, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import read_wav, write_wav
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

HEARS = AudioFormat(24000, 1)
PARAMS = WebsocketClientParams(
    audio_enabled=True,
    audio_in_sample_rate=HEARS.sample_rate,
    audio_out_sample_rate=16000,
    silence_max_secs=None,  # a bot that listens for the end of a turn has to hear that nothing is said
    serializer=ProtobufFrameSerializer(),
)
FIRST_SOUND_S = 30.0
PAUSE_S = 1.5
LOUD = 500


async def ask(url: str, question: AudioFrame) -> bytes:
    """Say it, and listen until the bot has said nothing for a while."""
    heard = bytearray()
    async with WebsocketClientTransport(url, PARAMS).session() as session:
        await session.output.send(question)
        await session.output.drain()
        with trio.move_on_after(FIRST_SOUND_S) as patience:
            async for frame in session.input:
                match frame:
                    case AudioFrame(audio=audio):
                        heard += audio
                        if max(memoryview(audio).cast("h"), default=0) > LOUD:
                            patience.deadline = trio.current_time() + PAUSE_S
                    case TextFrame(text=text):
                        print("bot:", text)
                    case MessageFrame(message=message):
                        print("message:", message)
                    case _:
                        pass
    return bytes(heard)


async def main(url: str, question: str, answer: str) -> float:
    audio_format, pcm = read_wav(question)
    heard = await ask(
        url, AudioFrame(audio=pcm, sample_rate=audio_format.sample_rate, num_channels=audio_format.num_channels)
    )
    write_wav(answer, HEARS, heard)
    return HEARS.duration_s(len(heard))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [url, question, answer]:
            print(f"{trio.run(main, url, question, answer):.1f} s of answer")
        case _:
            sys.exit(__doc__)
