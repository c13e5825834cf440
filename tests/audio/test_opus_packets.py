"""How long an Opus packet is, by its first bytes (RFC 6716, 3.1 and 3.2)."""

import pytest

from trio_transports.audio.codecs.encoded import opus_duration_s


def first(config: int, code: int) -> int:
    return config << 3 | code


@pytest.mark.parametrize(
    ("configs", "lengths_ms"),
    [
        (range(12), (10, 20, 40, 60) * 3),
        (range(12, 16), (10, 20) * 2),
        (range(16, 32), (2.5, 5, 10, 20) * 4),
    ],
)
def test_each_kind_of_packet_has_its_length(configs: range, lengths_ms: tuple[float, ...]) -> None:
    """One frame, two alike, two of different sizes, or as many as the second byte says, of 120 ms at most."""
    for config, length_ms in zip(configs, lengths_ms, strict=True):
        for code, frames in ((0, 1), (1, 2), (2, 2)):
            packet = bytes([first(config, code), 0xFF])
            assert opus_duration_s(packet) == pytest.approx(length_ms * frames / 1000)
            assert opus_duration_s(packet[:1]) == pytest.approx(length_ms * frames / 1000)
        most = int(120 / length_ms)
        for frames in (1, most):
            for flags in (0, 0x40, 0x80, 0xC0):
                packet = bytes([first(config, 3), flags | frames])
                assert opus_duration_s(packet) == pytest.approx(length_ms * frames / 1000)
        for wrong in (
            b"",
            bytes([first(config, 3)]),
            bytes([first(config, 3), 0]),
            bytes([first(config, 3), most + 1]),
        ):
            with pytest.raises(ValueError, match="bytes are no OPUS"):
                opus_duration_s(wrong)
