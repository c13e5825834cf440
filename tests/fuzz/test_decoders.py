"""Any bytes: every decoder takes them, or says what is wrong by its own error, at a bounded cost.

``python -m tests.fuzz`` goes on for as long as it is told; here each gets the inputs that are kept, and some more.
"""

import pytest

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.corpus import FILE, inputs_of
from tests.fuzz.coverage import Coverage
from tests.fuzz.loop import Search, told
from tests.fuzz.target import Target
from trio_transports.audio.wav import strip_wav_header

INPUTS = 150
DECODERS = [target for target in TARGETS.values() if not target.is_port]


@pytest.mark.parametrize("target", DECODERS, ids=lambda target: target.name)
def test_any_bytes_are_taken(target: Target) -> None:
    """What is kept from longer searches, and what one seed makes of it."""
    search = Search(target)
    search.run(inputs=INPUTS)
    assert not search.found, told(list(search.found.values()))
    assert search.inputs == INPUTS + len(inputs_of(target))
    assert len(search.coverage.seen) > 10


def test_the_corpus_is_small() -> None:
    assert FILE.stat().st_size < 64 * 1024


def test_a_wrong_decoder_is_found() -> None:
    """One that fails behind two conditions, one that works too long, and one that takes too much."""

    def fails(data: bytes) -> None:
        if data[:1] == b"R" and data[1:2] == b"I":
            raise IndexError

    def works(data: bytes) -> None:
        for _ in range(2000 if b"!" in data else 1):
            check_wav(b"")

    def takes(data: bytes) -> None:
        check_wav(b"")
        assert len(bytes(10_000_000 if b"!" in data else 1))

    for feed, what in ((fails, "IndexError"), (works, "too much work"), (takes, "too much memory")):
        search = Search(Target(name="wrong", feed=feed, seeds=lambda: [b"R!I"], max_lines=3000))
        search.run(inputs=500)
        assert [found for found in search.found if what in found], what


def test_coverage_is_of_this_library_alone() -> None:
    """Lines count as new once, and lines of others not at all."""
    coverage = Coverage()
    assert coverage.watch(lambda data: None, b"") == 0
    new = [coverage.watch(check_wav, b"") for _ in range(2)]
    assert new[0] > 0 == new[1]
    assert coverage.lines > 0


def check_wav(data: bytes) -> None:
    assert not strip_wav_header(data)
