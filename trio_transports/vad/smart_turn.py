"""The end of a turn by a smart-turn model (version 3), run by onnxruntime of the ``turns`` extra.

The model is yours to give, as the path of its ONNX file: the pipecat-ai package carries one, as
``pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx``, and its makers publish it by the name of
pipecat-ai/smart-turn-v3.

Rules
1. The model hears the last eight seconds at 16 kHz, zeros in front of less, brought to mean 0 and variance 1.
2. It is given the logarithm of 80 mel bands, as Whisper's encoder wants them: windows of 25 ms each 10 ms, base 10,
   nothing more than 8 below the loudest, and scaled by (x + 4) / 4.
3. It answers with the probability that the turn is complete.
"""

from os import PathLike
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
from attrs import define, field
from attrs.validators import and_, gt, lt

from .._documented import documented
from .._extras import require
from ..audio.convert import Converter
from ..audio.format import AudioFormat

__all__ = ["SmartTurnAnalyzer"]

_onnxruntime: Final = require("onnxruntime", extra="turns", needed_by="trio_transports.vad.smart_turn")

RATE: Final = 16000
SECONDS: Final = 8
_WINDOW: Final = 400
_HOP: Final = 160
_BANDS: Final = 80

Floats = npt.NDArray[np.float64]


@documented
@final
@define(eq=False)
class SmartTurnAnalyzer:
    """A turn analyzer by a model: ``SmartTurnAnalyzer("smart-turn-v3.2-cpu.onnx")``. One serves any number of calls."""

    model_path: "str | PathLike[str]"
    """The ONNX file of a smart-turn model of version 3; this library brings none. A file that is none is a
    ValueError."""
    threshold: float = field(default=0.5, validator=and_(gt(0), lt(1)))
    """How sure the model must be that the turn is over, between 0 and 1. Higher waits longer and breaks in less."""
    _session: Any = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        options = _onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = _onnxruntime.InferenceSession(str(self.model_path), options, ["CPUExecutionProvider"])
        except Exception as exc:  # its own errors have no common base
            raise ValueError(f"{self.model_path} cannot be used as a smart-turn model: {exc}") from exc
        wanted = [value.name for value in self._session.get_inputs()]
        if wanted != ["input_features"]:
            raise ValueError(f"{self.model_path} is no smart-turn model: it asks for {wanted}, not input_features")

    def is_complete(self, turn: bytes, sample_rate: int, silence_secs: float) -> bool:
        """Whether the model holds the turn for over; about 50 ms of a processor core."""
        return self.probability(turn, sample_rate) > self.threshold

    def probability(self, turn: bytes, sample_rate: int) -> float:
        """How likely it is that this turn is over."""
        converter = Converter(AudioFormat(sample_rate), AudioFormat(RATE))
        pcm = converter.process(turn) + converter.flush()
        (answer,) = self._session.run(None, {"input_features": features(pcm)[None]})
        return float(np.asarray(answer).reshape(-1)[0])


def features(pcm: bytes) -> npt.NDArray[np.float32]:
    """What the model is given of 16 kHz PCM; rules 1 and 2."""
    samples = np.frombuffer(pcm, "<i2")[-SECONDS * RATE :] / 32768.0
    samples = np.pad(samples, (SECONDS * RATE - len(samples), 0))
    samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-1]
    power = np.abs(np.fft.rfft(windows * _TAPER, axis=1)) ** 2
    bands = np.log10(np.maximum(1e-10, power @ _MEL)).T
    scaled: Floats = (np.maximum(bands, bands.max() - 8.0) + 4.0) / 4.0
    return scaled.astype(np.float32)


def _mel_of(hz: Floats) -> Floats:
    """Slaney's scale: linear below 1 kHz, logarithmic above it."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1.0) / 1000) * 27 / np.log(6.4))


def _hz_of(mel: Floats) -> Floats:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def _mel_bands() -> Floats:
    """One column for each band: a triangle over the bins of the spectrum, all of the same area."""
    top = float(_mel_of(np.array([RATE / 2]))[0])
    edges = _hz_of(np.linspace(0, top, _BANDS + 2))
    bins = np.linspace(0, RATE / 2, _WINDOW // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])


_TAPER: Final[Floats] = np.hanning(_WINDOW + 1)[:-1]
_MEL: Final[Floats] = _mel_bands()
