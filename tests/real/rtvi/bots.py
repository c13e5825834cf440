"""The bot that Pipecat's clients call in these tests: it does what it is asked, and says what it heard."""

import numpy as np
from attrs import define, field

from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    BotThinkingFrame,
    DTMFFrame,
    EndFrame,
    ErrorFrame,
    FunctionCallFrame,
    FunctionResultFrame,
    MetricsFrame,
    RequestFrame,
    Session,
    TextFrame,
    TranscriptionFrame,
    UserMutedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)

RATE = 24000


def tone(hz: float, duration_s: float, rate: int = RATE) -> AudioFrame:
    samples = 12000 * np.sin(2 * np.pi * hz / rate * np.arange(round(rate * duration_s)))
    return AudioFrame(audio=samples.astype("<i2").tobytes(), sample_rate=rate)


def pitch(pcm: bytes, rate: int) -> float:
    """The loudest tone in Hz."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    if len(samples) < rate // 4:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@define(eq=False)
class Bot:
    """One caller's; ``heard`` is its microphone."""

    session: Session
    heard: bytearray = field(factory=bytearray)
    rate: int = 0
    digits: str = ""

    async def run(self) -> None:
        output = self.session.output
        async for frame in self.session.input:
            match frame:
                case AudioFrame():
                    self.heard += frame.audio
                    self.rate = frame.sample_rate
                case RequestFrame(name="tone", data={"hz": int(hz), "seconds": int(seconds)}):
                    await output.send(TextFrame(text="A tone."))
                    await output.send(tone(hz, seconds))
                    await output.send(BotStoppedSpeakingFrame())
                    await output.send(frame.answer({"queued": seconds}))
                case RequestFrame(name="weather"):
                    await output.send(frame.answer({"celsius": 21, "asked": frame.data}))
                case RequestFrame(name="secret"):
                    await output.send(frame.refuse("not for you"))
                case RequestFrame(name="call"):
                    await output.send(FunctionCallFrame(name="page_title", call_id="t-1", arguments={"short": True}))
                case RequestFrame(name="everything"):
                    await output.send(BotThinkingFrame(thinking=True))
                    await output.send(MetricsFrame(metrics={"ttfb": [{"processor": "llm", "value": 0.25}]}))
                    await output.send(UserMutedFrame(muted=True))
                    await output.send(UserMutedFrame(muted=False))
                    await output.send(ErrorFrame(error="a small one"))
                    await output.send(BotThinkingFrame(thinking=False))
                    await output.send(frame.answer())
                case FunctionResultFrame():
                    await output.send(FunctionResultFrame(name=frame.name, call_id=frame.call_id, result=frame.result))
                    await output.send_message({"result": frame.result}, urgent=True)
                case DTMFFrame(digit=digit):
                    self.digits += digit
                    await output.send_message({"digits": self.digits}, urgent=True)
                case TextFrame(text=text):
                    await output.send(TextFrame(text=f"You wrote {text}.", aloud=False))
                case UserStartedSpeakingFrame():
                    await output.send(TranscriptionFrame(text="Testing", final=False))
                case UserStoppedSpeakingFrame():
                    await output.send(TranscriptionFrame(text="Testing, one, two.", user_id="u"))
                case EndFrame():
                    return
                case _:
                    pass
