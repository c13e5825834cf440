"""Numbers on messages: written, read, and what they tell."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_transports.bus import BusDataMessage, JSONMessageSerializer
from trio_transports.bus.redis.sequence import MAX_PUBLISHERS, Sequences, Stamp, stamp, unstamp

PUBLISHER = "0123456789abcdef"


@given(data=st.binary(max_size=50), number=st.integers(1, 10**18 - 1))
@settings(max_examples=100, deadline=None)
def test_a_stamp_is_read_as_it_was_written(data: bytes, number: int) -> None:
    """Whatever a serializer wrote, its number and its bytes are told apart again."""
    seen, rest = unstamp(stamp(data, PUBLISHER, number))
    assert seen == Stamp(PUBLISHER, number)
    if not data.startswith(b'{"'):
        assert rest == data


def test_a_stamp_on_json_is_a_member_that_readers_ignore() -> None:
    """A stamped document is still one, with one more member, and is read as the same message."""
    message = BusDataMessage(source="s", target="t")
    stamped = stamp(JSONMessageSerializer().encode(message), PUBLISHER, 7)
    assert json.loads(stamped)["__seq__"] == [PUBLISHER, 7]
    assert JSONMessageSerializer().decode(unstamp(stamped)[1]) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x02" * 16,
        b'{"__seq__":["0123456789ABCDEF",1],"a":1}',
        b'{"__seq__":["0123456789abcde",1],"a":1}',
        b'{"__seq__":["0123456789abcdef",-1],"a":1}',
        b'{"__seq__":["0123456789abcdef",1234567890123456789],"a":1}',
        b'{"__seq__":[1,2],"a":1}',
        b'{"__type__":"x"}',
    ],
)
def test_what_has_no_stamp_is_left_alone(data: bytes) -> None:
    """A message without a stamp, or with something that only looks like one, is given on as it is."""
    assert unstamp(data) == (None, data)


def test_numbers_tell_what_is_missing() -> None:
    """A number that was skipped is a loss, one that was seen a repetition; each publisher counts for itself."""
    sequences = Sequences()
    told = [sequences.missed(Stamp("a", number)) for number in (5, 6, 9, 9, 7, 10)]
    assert told == [0, 0, 2, None, None, 0]
    assert sequences.missed(Stamp("b", 100)) == 0
    assert sequences.missed(Stamp("a", 12)) == 1


def test_what_is_read_again_has_holes() -> None:
    """Neither there nor before the first number behind it is anything missing; what was seen is told all the same."""
    for _ in range(2):
        sequences = Sequences(reads_again=True)
        told = [sequences.missed(Stamp("a", number)) for number in (5, 8, 8, 6, 20)]
        assert told == [0, 0, None, None, 0]
        assert sequences.missed(Stamp("b", 1)) == 0
        sequences.reads_again = False
        assert [sequences.missed(Stamp("a", number)) for number in (20, 30, 31, 33)] == [None, 0, 0, 1]
        assert [sequences.missed(Stamp("b", number)) for number in (3, 5)] == [0, 1]


def test_publishers_are_bounded() -> None:
    """Past the bound the publisher that has been silent for longest is forgotten, and begins anew."""
    sequences = Sequences()
    assert sequences.missed(Stamp("kept", 1)) == 0
    for number in range(MAX_PUBLISHERS + 10):
        sequences.missed(Stamp(str(number), 1))
        sequences.missed(Stamp("kept", 2 + number))
    assert sequences.missed(Stamp("kept", 2 + MAX_PUBLISHERS + 12)) == 2
    assert sequences.missed(Stamp("0", 5)) == 0


def test_publishers_whose_numbers_were_read_again_are_bounded() -> None:
    sequences = Sequences(reads_again=True)
    for number in range(MAX_PUBLISHERS + 10):
        sequences.missed(Stamp(str(number), 1))
    assert len(sequences._read_again) == MAX_PUBLISHERS


def test_so_many_publishers_are_remembered_and_no_more() -> None:
    """The first that is too many costs the one that was silent for longest, however early that first spoke."""
    sequences = Sequences()
    for number in range(MAX_PUBLISHERS):
        sequences.missed(Stamp(str(number), 1))
    assert sequences.missed(Stamp("0", 3)) == 1
    sequences.missed(Stamp("too many", 1))
    assert [sequences.missed(Stamp(name, 5)) for name in ("2", "0")] == [3, 1]
    assert sequences.missed(Stamp("1", 5)) == 0  # it was forgotten, so nothing is known to be missing
