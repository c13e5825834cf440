"""What was heard of what was sent, piece by piece."""

from itertools import count
from random import Random

import pytest

from trio_transports.frames import TextFrame
from trio_transports.session.playback import MAX_TEXT_BYTES, MAX_TEXTS, Playback


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


@pytest.mark.parametrize("seed", range(20))
def test_the_texts_of_all_utterances_take_a_bounded_memory(seed: int) -> None:
    """Whatever was said, and however often it was interrupted; the newest are remembered, and all are counted."""
    random, playback, place = Random(seed), Playback(count()), 0
    for number in range(300):
        text = TextFrame(text=f"{number}" * random.choice((1, 1000, 30_000)), utterance=random.choice((None, "a", "b")))
        playback.text(text, place)
        playback.audio(text.utterance, place, place + 100)
        place += 100
        if not random.randrange(5):
            playback.ended()
        elif not random.randrange(5):
            playback.sent(place, 100, 0.1, number)
            playback.interrupted(number + 1, place, lambda _start, _end: False, plays_on=False)
        remembered = [each for utterance in playback._utterances for each in utterance.texts]
        assert playback.text_bytes == sum(size_bytes for _, _, size_bytes in remembered) <= MAX_TEXT_BYTES
        for each in playback._utterances:
            assert each.played is None or [*each.played.texts] == [text for _, text, _ in each.texts]
    playback.text(TextFrame(text="the last one"), place)
    assert playback._utterances[-1].texts[-1][1].text == "the last one"


def test_a_text_that_is_too_large_is_not_remembered() -> None:
    """Twice: nothing is; what comes after it is again. Of many small ones the oldest of an utterance are forgotten."""
    playback = Playback(count())
    for _ in range(2):
        playback.text(TextFrame(text="before"), 0)
        playback.text(TextFrame(text="x" * MAX_TEXT_BYTES), 0)
        assert playback.text_bytes == 0
        for number in range(MAX_TEXTS + 2):
            playback.text(TextFrame(text=str(number)), 0)
        assert [text.text for _, text, _ in playback._utterances[-1].texts] == list(map(str, range(2, MAX_TEXTS + 2)))
        playback.ended()
