"""The audio that a message announces, within bounds; apart from the converters, which a binary line never needs."""

from typing import Final

from ..audio.format import SAMPLE_WIDTH
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, checked_audio_frame

MIN_SAMPLE_RATE: Final = 1_000
MAX_SAMPLE_RATE: Final = 768_000
MAX_CHANNELS: Final = 64
"""Bounds on what a peer may announce: past them a small message turns into gigabytes when it is resampled."""
MAX_NAME: Final = 256
"""Characters of a name or a destination: each frame that waits keeps its own, and each destination its own for good."""


def check_name(name: str, *, path: str) -> None:
    """RemoteProtocolError for the name of a frame, or of a destination, that is none."""
    if len(name) > MAX_NAME:
        raise RemoteProtocolError(f"at most {MAX_NAME} characters are wanted, not {len(name)}", path=path)


def audio_frame(
    audio: bytes,
    sample_rate: int,
    num_channels: int = 1,
    *,
    pts: int | None = None,
    destination: str | None = None,
    id: int = 0,  # noqa: A002 - the frame's own field
    name: str = "",
    path: str = "",
) -> AudioFrame:
    """An ``AudioFrame`` of what a peer sent; ``path`` is the place of its fields' parent."""
    if name or destination:
        dot = f"{path}." if path else ""
        check_name(name, path=f"{dot}name")
        check_name(destination or "", path=f"{dot}destination")
    if (
        not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE
        or not 0 < num_channels <= MAX_CHANNELS
        or len(audio) % (SAMPLE_WIDTH * num_channels)
    ):
        dot = f"{path}." if path else ""
        if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            bounds = f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
            raise RemoteProtocolError(
                f"a sample rate of {bounds} is wanted, not {sample_rate}", path=f"{dot}sample_rate"
            )
        if not 0 < num_channels <= MAX_CHANNELS:
            raise RemoteProtocolError(
                f"1 to {MAX_CHANNELS} channels are wanted, not {num_channels}", path=f"{dot}num_channels"
            )
        raise RemoteProtocolError(
            f"{len(audio)} bytes are not whole 16-bit samples of {num_channels} channels", path=f"{dot}audio"
        )
    return checked_audio_frame(audio, sample_rate, num_channels, pts, destination, id, name)
