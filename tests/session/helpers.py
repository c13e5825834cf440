"""Audio and parameters that the session's tests share."""

from collections.abc import Sequence
from itertools import pairwise

from trio_transports import AudioFrame, TransportParams
from trio_transports.serializers import JSONFrameSerializer

RATE = 16000
CHUNK_S = 0.02
CHUNK_BYTES = 640


def params(**changes: object) -> TransportParams:
    """Both directions on, 20 ms chunks of 16 kHz mono, JSON."""
    settings: dict[str, object] = {
        "serializer": JSONFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "audio_out_sample_rate": RATE,
        "audio_out_10ms_chunks": 2,
        **changes,
    }
    return TransportParams(**settings)  # type: ignore[arg-type]


def pcm(size_bytes: int, *, start: int = 1) -> bytes:
    """Bytes that are never zero, so that padding and silence can be told from audio."""
    return bytes(1 + (start + i) % 255 for i in range(size_bytes))


def audio(size_bytes: int, *, start: int = 1, rate: int = RATE, channels: int = 1) -> AudioFrame:
    return AudioFrame(audio=pcm(size_bytes, start=start), sample_rate=rate, num_channels=channels)


def seconds(duration_s: float, *, rate: int = RATE, channels: int = 1) -> AudioFrame:
    return audio(round(duration_s * rate) * 2 * channels, rate=rate, channels=channels)


def is_silence(pcm_bytes: bytes) -> bool:
    return not any(pcm_bytes)


def gaps(times_s: Sequence[float]) -> list[float]:
    return [round(later - earlier, 6) for earlier, later in pairwise(times_s)]
