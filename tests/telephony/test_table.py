"""The table of providers: in the guide as it is made, and true of the serializers."""

from pathlib import Path

import pytest

from tests.serializers.other_conversations import SCRIPTS
from tests.serializers.scripts import Script
from trio_transports.frames import DTMFFrame, EndFrame, InterruptionFrame, MarkFrame
from trio_transports.serializers.detect import PROVIDERS
from trio_transports.serializers.lines.detection import LINES
from trio_transports.telephony.table import ROWS, Row, markdown

GUIDE = Path(__file__).parents[2] / "trio_transports" / "docs" / "guides" / "telephony.md"
NAMES = {row.name.lower(): row for row in ROWS}


def test_the_readme_has_it() -> None:
    """The guide's table is the one that the tables give; print it with markdown()."""
    assert markdown() in GUIDE.read_text("utf-8")


def test_every_line_is_in_it() -> None:
    """Each provider that is detected has a row, and each row is detected."""
    assert {"relay" if name == "conversationrelay" else name for name in NAMES} == set(LINES)
    assert set(LINES) <= set(PROVIDERS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_is_true(script: Script) -> None:
    """What a row says of marks, clear, digits and the end is what the serializer does in a call."""
    row: Row = NAMES["conversationrelay" if script.provider == "relay" else script.provider]
    serializer = script.make()
    for message in script.received[:2]:
        serializer.decode(message)
    assert bool(serializer.encode(MarkFrame(mark="m"))) is row.has_marks is serializer.has_marks
    assert bool(serializer.encode(InterruptionFrame())) is row.has_clear
    assert bool(serializer.encode(DTMFFrame(digit="1"))) is row.sends_digits
    assert bool(serializer.encode(EndFrame())) is row.ends_by_message
    assert (serializer.audio_format is not None) is bool(row.codecs)
