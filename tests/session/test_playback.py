"""What was heard of what was sent, piece by piece."""

from itertools import count

import pytest

from trio_transports.session.playback import Playback


@pytest.mark.parametrize(
    ("now_s", "place"),
    [(0.0, 0), (0.5, 500), (1.0, 1000), (1.5, 1000), (2.0, 1000), (2.5, 1500), (3.0, 2000), (9, 2000)],
)
def test_the_place_within_the_piece_that_plays(now_s: float, place: int) -> None:
    """A second of audio, one of silence, and one of audio, sent at once: asked twice, the answer is the same."""
    playback = Playback(count())
    playback.bytes_per_second = 1000
    playback.audio("name", 0, 2000)
    playback.sent(1000, 1000, 1.0, 0.0)
    playback.sent(0, 0, 1.0, 0.0)
    playback.sent(2000, 1000, 1.0, 0.0)
    for _ in range(2):
        assert playback.place(now_s, 2000) == place
