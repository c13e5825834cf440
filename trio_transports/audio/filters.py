"""Filters: what changes the inbound audio before anybody hears it."""

from collections.abc import Iterable, Mapping
from typing import Protocol, final

from .format import AudioFormat
from .gain import Gain as Gain
from .gate import NoiseGate as NoiseGate
from .highpass import HighPass as HighPass

__all__ = ["AudioFilter", "FilterChain", "Gain", "HighPass", "NoiseGate"]


class AudioFilter(Protocol):
    """Any object with these members filters. ``slow`` ones run in a worker thread, in order."""

    @property
    def slow(self) -> bool:
        """Whether ``filter`` takes longer than a millisecond or two, and so belongs in a thread."""

    def start(self, audio_format: AudioFormat) -> None:
        """Prepare for audio of that format. Called once before the first audio, and again after ``stop``."""

    def filter(self, pcm: bytes) -> bytes:
        """The filtered audio, as PCM of the same format; it may hold some back."""

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Change settings while it runs, and turn it on or off; None leaves that as it is.

        A wrong setting is a ValueError.

        ``enabled`` is True for on, False for off.
        """

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""

    def fresh(self) -> "AudioFilter":
        """Make an unstarted filter with the same settings, for another session."""


@final
class FilterChain:
    """Filters one after another: ``FilterChain(hum=HighPass(), gate=NoiseGate())``.

    ``control`` takes the settings of each by its name: ``{"gate": {"threshold_dbfs": -40}}``. ``enabled`` is the whole
    chain's; a filter of it is turned on and off by a setting ``enabled`` of its own.
    """

    def __init__(self, **filters: AudioFilter) -> None:
        if not filters:
            raise ValueError("FilterChain needs at least one filter: FilterChain(hum=HighPass())")
        self._filters = filters
        self._enabled = True
        self._format: AudioFormat | None = None

    @property
    def slow(self) -> bool:
        """Whether any filter of it is slow."""
        return any(member.slow for member in self._filters.values())

    def start(self, audio_format: AudioFormat) -> None:
        """Start all of them, or none."""
        started: list[AudioFilter] = []
        try:
            for member in self._filters.values():
                member.start(audio_format)
                started.append(member)
        except BaseException:
            _stop(started)
            raise
        self._format = audio_format

    def filter(self, pcm: bytes) -> bytes:
        """The audio after all of them, in order."""
        if self._format is None:
            raise RuntimeError("FilterChain.filter was called before start(audio_format) or after stop()")
        if self._enabled:
            for member in self._filters.values():
                pcm = member.filter(pcm)
        return pcm

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Pass the settings on. An error in one filter's leaves those before it changed."""
        if enabled is not None and not isinstance(enabled, bool):
            raise TypeError(f"FilterChain: enabled must be True or False, not {enabled!r}")
        for name, own in settings.items():
            if name not in self._filters:
                raise ValueError(f"FilterChain has no filter {name!r}: it has {', '.join(self._filters)}")
            if not isinstance(own, Mapping):
                raise TypeError(f"FilterChain: the settings of {name!r} must be a mapping, not {own!r}")
        for name, own in settings.items():
            assert isinstance(own, Mapping)
            rest = {key: value for key, value in own.items() if key != "enabled"}
            self._filters[name].control(rest, own.get("enabled"))
        if enabled and not self._enabled and self._format is not None:
            # What the filters remember is from before the pause.
            audio_format = self._format
            self.stop()
            self.start(audio_format)
        self._enabled = self._enabled if enabled is None else enabled

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""
        if self._format is not None:
            self._format = None
            _stop(self._filters.values())

    def fresh(self) -> "FilterChain":
        """One with the same settings for another call."""
        chain = FilterChain(**{name: member.fresh() for name, member in self._filters.items()})
        chain._enabled = self._enabled
        return chain


def _stop(members: Iterable[AudioFilter]) -> None:
    for member in members:
        member.stop()
