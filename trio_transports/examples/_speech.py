"""Stand-ins for speech services, so that the examples run without any: tones for words, and words for tones.

Put yours in their place: ``say`` is where text becomes audio, ``words_in`` where audio becomes text.
"""

from collections.abc import AsyncIterator

import numpy as np
import trio

from trio_transports import AudioFrame

RATE = 16000
WORD_S = 0.25


def say(text: str, *, utterance: str | None = None) -> AudioFrame:
    """Speak: a tone for each word, higher for a longer one."""
    moments = np.arange(round(WORD_S * RATE)) / RATE
    fade = np.minimum(1, np.minimum(moments, WORD_S - moments) / 0.02)
    tones = [8000 * fade * np.sin(2 * np.pi * (200 + 40 * len(word)) * moments) for word in text.split()]
    pcm = np.concatenate(tones or [moments * 0]).astype("<i2").tobytes()
    return AudioFrame(audio=pcm, sample_rate=RATE, utterance=utterance)


async def words_in(audio: AudioFrame) -> str:
    """Understand: as many words as there is time for, in a moment."""
    await trio.sleep(0.1)
    return " ".join(["word"] * max(1, round(audio.duration_s / WORD_S)))


async def answer(question: str) -> AsyncIterator[str]:
    """Think aloud: a model that streams its answer, a piece each 50 ms."""
    for piece in f"You said {len(question.split())} words. That is interesting. Please go on.".split(" "):
        await trio.sleep(0.05)
        yield piece + " "
