"""Mixers: what plays under (or instead of) an output track's own audio."""

from collections.abc import Mapping
from typing import Protocol

from .format import AudioFormat


class AudioMixer(Protocol):
    """Any object with these members mixes; the session calls ``mix`` once for each chunk, with silence when idle."""

    def start(self, audio_format: AudioFormat) -> None: ...

    def mix(self, pcm: bytes) -> bytes:
        """Return exactly as many bytes as were given."""

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None: ...

    def stop(self) -> None: ...

    def fresh(self) -> "AudioMixer":
        """Make an unstarted mixer with the same settings, for another session."""
