"""What is kept of a destination's audio, place by place."""

from trio_transports.session.kept import Kept


def test_no_audio_is_no_span() -> None:
    """Where it begins and ends at one place, twice, nothing is kept, ends, or is covered there."""
    kept = Kept()
    for _ in range(2):
        kept.add(5, 5)
        assert not kept.spans
        assert not kept.ends_at(5)
        assert not kept.covers(5, 5)
    kept.add(5, 8)
    kept.add(8, 9)
    assert list(kept.spans) == [(5, 9)]
    assert kept.ends_at(9)
