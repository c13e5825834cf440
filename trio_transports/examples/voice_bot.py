"""A streaming voice bot: speech to text, a model that streams, text to speech; and it stops when it is interrupted.

python -m trio_transports.examples.voice_bot
"""

from functools import partial

import trio

import trio_transports as tt
from trio_transports.examples._speech import answer, say, words_in
from trio_transports.pipeline import Pipeline, Stage, per_turn
from trio_transports.pipeline.stages import sentences, utterances
from trio_transports.serializers.detect import DetectingFrameSerializer

PARAMS = tt.WebsocketServerParams(
    serializer=DetectingFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True, vad_enabled=True
)
Output = trio.abc.SendChannel[tt.Frame]


async def speech_to_text(frame: tt.Frame, output: Output) -> None:
    await output.send(tt.TranscriptionFrame(text=await words_in(frame)) if isinstance(frame, tt.AudioFrame) else frame)


async def model(context: list[str], frame: tt.Frame, output: Output) -> None:
    if isinstance(frame, tt.TranscriptionFrame):
        context.append(f"user: {frame.text}")
        async for piece in answer(frame.text):
            await output.send(tt.TextFrame(text=piece))
    else:
        if isinstance(frame, tt.InterruptionFrame):  # the model must know what was heard of its answer, and no more
            context += [f"bot: {' '.join(text.text for text in played.texts)}..." for played in frame.heard]
        await output.send(frame)


async def text_to_speech(frame: tt.Frame, output: Output) -> None:
    await output.send(frame)  # before its audio: it counts as heard when that begins
    if isinstance(frame, tt.TextFrame):
        await output.send(say(frame.text))


async def bot(session: tt.Session) -> None:
    context: list[str] = []
    understand: list[Stage] = [utterances(), per_turn(speech_to_text), per_turn(partial(model, context))]
    pipeline = Pipeline([*understand, sentences(), per_turn(text_to_speech)], allow_interruptions=True)
    await pipeline.run(session.input, session.output)


if __name__ == "__main__":
    server = tt.WebsocketServerTransport(PARAMS, host="127.0.0.1", port=8765)
    trio.run(partial(server.serve, bot, signals=True))
