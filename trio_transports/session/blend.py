"""What is made of a chunk of PCM before it is packed: the bot at its volume, with the mixer's bed around it.

Rules
1. The volume is the bot's own: the bed has its own settings.
2. A change of the volume is heard with the next chunk, also in audio that was queued before it.
"""

from typing import final

from attrs import define

from ..audio.format import AudioFormat
from ..audio.loudness import Volume
from ..audio.mixer import AudioMixer


@final
@define(eq=False)
class Blend:
    """Owned by one track."""

    mixer: AudioMixer | None
    volume: Volume

    def start(self, audio_format: AudioFormat) -> None:
        if self.mixer is not None:
            self.mixer.start(audio_format)

    def stop(self) -> None:
        if self.mixer is not None:
            self.mixer.stop()
