"""A member of a message that is text or nothing, as it is read the slower way."""

import pytest

from trio_transports import RemoteProtocolError
from trio_transports.bus.codec.json import _text_or_none


def test_text_and_nothing_are_taken() -> None:
    assert [_text_or_none(value, str | None) for value in (None, "", "text")] == [None, "", "text"]


@pytest.mark.parametrize("value", [0, 1, True, b"text", ["text"], {}])
def test_all_else_is_refused(value: object) -> None:
    with pytest.raises(RemoteProtocolError, match="a string"):
        _text_or_none(value, str | None)
