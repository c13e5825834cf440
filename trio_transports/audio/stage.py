"""What all filters here share: settings that are checked, a beginning and an end, PCM to numbers and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import isfinite
from typing import ClassVar, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from .._documented import documented
from .format import AudioFormat

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int16]
"""One row for each sample, one column for each channel."""

_INT16: Final = np.dtype("<i2")
_LOWEST: Final = np.array(-32768.0)
_HIGHEST: Final = np.array(32767.0)


class Kernel(Protocol):
    """The arithmetic of a filter, and what it remembers of the stream."""

    def configure(self, settings: Mapping[str, float]) -> None: ...

    def run(self, rows: Rows) -> Floats | None:
        """Return as many rows, or None where nothing changes."""


@documented
class KernelFilter(ABC):
    """A filter made of a kernel. ``limits`` names its settings: the least and the most each can be."""

    limits: ClassVar[Mapping[str, tuple[float, float]]]
    """Its settings by name, each with the least and the most that it can be."""

    def __init__(self, *, enabled: bool, **settings: float) -> None:
        self._settings = self._checked(settings)
        self._enabled = self._flag(enabled)
        self._format: AudioFormat | None = None
        self._kernel: Kernel | None = None

    @abstractmethod
    def _make(self, audio_format: AudioFormat, settings: Mapping[str, float]) -> Kernel: ...

    @property
    def slow(self) -> bool:
        """False: it takes microseconds, and needs no thread."""
        return False

    @property
    def settings(self) -> Mapping[str, float]:
        """The settings as they are now, by name."""
        return dict(self._settings)

    def start(self, audio_format: AudioFormat) -> None:
        """Begin a stream, with the settings as they are."""
        self._kernel = self._make(audio_format, self._settings)
        self._format = audio_format

    def filter(self, pcm: bytes) -> bytes:
        """The filtered audio, as PCM of the same format and length."""
        kernel, audio_format = self._kernel, self._format
        if kernel is None or audio_format is None:
            raise RuntimeError(f"{type(self).__name__}.filter was called before start(audio_format) or after stop()")
        if not self._enabled or not pcm:
            return pcm
        audio_format.samples(len(pcm))
        result = kernel.run(np.frombuffer(pcm, _INT16).reshape(-1, audio_format.num_channels))
        if result is None:
            return pcm
        np.rint(result, out=result)
        np.maximum(result, _LOWEST, out=result)
        np.minimum(result, _HIGHEST, out=result)
        return result.astype(_INT16).tobytes()

    def control(self, settings: Mapping[str, object], enabled: bool | None = None) -> None:
        """Change what is given; all of it, or with an error none of it. A filter that was off begins anew.

        ``enabled`` turns it on or off; None leaves that as it is.
        """
        merged = {**self._settings, **self._checked(settings)}
        on = self._enabled if enabled is None else self._flag(enabled)
        if self._kernel is not None and self._format is not None:
            # Made also when it is not needed: what the format does not allow is an error before anything has changed.
            new = self._make(self._format, merged)
            if on and not self._enabled:
                self._kernel = new
            elif merged != self._settings:
                self._kernel.configure(merged)
        self._settings, self._enabled = merged, on

    def stop(self) -> None:
        """Let go of what ``start`` took; it can be started again."""
        self._kernel = self._format = None

    def fresh(self) -> Self:
        """One with the same settings for another call."""
        return type(self)(enabled=self._enabled, **self._settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value:g}' for name, value in self._settings.items())})"

    def _flag(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError(f"{type(self).__name__}: enabled must be True or False, not {value!r}")
        return value

    def _checked(self, settings: Mapping[str, object]) -> dict[str, float]:
        owner = type(self).__name__
        checked = {}
        for name, value in settings.items():
            if name not in self.limits:
                raise ValueError(f"{owner} has no setting {name!r}: it has {', '.join(self.limits)}")
            least, most = self.limits[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{owner}.{name} must be a number, not {value!r}")
            if not isfinite(value) or not least <= value <= most:
                raise ValueError(f"{owner}.{name} must be between {least:g} and {most:g}, not {value!r}")
            checked[name] = float(value)
        return checked
