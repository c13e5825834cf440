"""What may stand in a Close frame that this side sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports import LocalProtocolError
from trio_transports.wire.closing import MAX_REASON_BYTES, sendable_close

SENDABLE = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_every_code() -> None:
    """The codes of RFC 6455, 7.4, and of its registry, can be sent; those that only stand for something cannot."""
    for code in range(-2, 6000):
        if code in SENDABLE:
            assert sendable_close(code, "why") == (code, "why")
        else:
            with pytest.raises(LocalProtocolError, match=f"close code {code} cannot be sent: use "):
                sendable_close(code, "why")


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_a_reason_is_cut_to_what_the_frame_can_hold(reason: str) -> None:
    """123 bytes at most, never within a character, and no more is lost than must be."""
    _, cut = sendable_close(1000, reason)
    assert reason.startswith(cut)
    assert len(cut.encode()) <= MAX_REASON_BYTES == 123
    assert cut == reason or len(reason[: len(cut) + 1].encode()) > MAX_REASON_BYTES
