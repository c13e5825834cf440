"""Mixing PCM between channel counts.

Rules
1. More channels from fewer: target channel ``c`` is a copy of source channel ``c % source_channels``.
2. Fewer channels from more: target channel ``c`` is the mean of the source channels ``c, c + target, c + 2 * target``
   and so on, rounded half up. A mean cannot overflow, so nothing is clipped and a centred voice keeps its level.
3. Equal counts return the very object that was given.
"""

from typing import Final

import numpy as np

_INT16: Final = np.dtype("<i2")


def mix_channels(pcm: bytes, source_channels: int, target_channels: int) -> bytes:
    """Turn PCM of ``source_channels`` into PCM of ``target_channels``."""
    if source_channels < 1 or target_channels < 1:
        raise ValueError(f"channel counts must be at least 1, not {source_channels} and {target_channels}")
    if source_channels == target_channels:
        return pcm
    if len(pcm) % (2 * source_channels):
        raise ValueError(
            f"{len(pcm)} bytes are not whole samples of {source_channels} channels: "
            f"pass a multiple of {2 * source_channels} bytes"
        )
    samples = np.frombuffer(pcm, _INT16)
    if source_channels == 1:
        return samples.repeat(target_channels).tobytes()
    if target_channels > source_channels:
        rows = samples.reshape(-1, source_channels)
        return rows[:, np.arange(target_channels) % source_channels].tobytes()
    if source_channels == 2:
        total = np.add(samples[0::2], samples[1::2], dtype=np.int32)
        total += 1
        total >>= 1
        return total.astype(_INT16).tobytes()
    rows = samples.reshape(-1, source_channels)
    mixed = np.empty((len(rows), target_channels), _INT16)
    for channel in range(target_channels):
        sources = rows[:, channel::target_channels]
        count = sources.shape[1]
        mixed[:, channel] = (sources.sum(axis=1, dtype=np.int32) + count // 2) // count
    return mixed.tobytes()
