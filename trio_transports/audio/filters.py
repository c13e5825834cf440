"""Filters: what changes the inbound audio before anybody hears it."""

from collections.abc import Mapping
from typing import Protocol

from .format import AudioFormat


class AudioFilter(Protocol):
    """Any object with these members filters. ``slow`` ones run in a worker thread, in order."""

    @property
    def slow(self) -> bool: ...

    def start(self, audio_format: AudioFormat) -> None: ...

    def filter(self, pcm: bytes) -> bytes: ...

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None: ...

    def stop(self) -> None: ...

    def fresh(self) -> "AudioFilter":
        """Make an unstarted filter with the same settings, for another session."""
