"""What each provider's line can do, as a table in Markdown, made of the tables that the serializers work by."""

from collections.abc import Mapping, Sequence
from typing import Final, final

from attrs import frozen

from ..serializers.lines.asterisk import ASTERISK
from ..serializers.lines.azure import AZURE
from ..serializers.lines.exotel import EXOTEL
from ..serializers.lines.genesys.audio import RATE
from ..serializers.lines.genesys.serializer import ENCODINGS
from ..serializers.lines.jambonz import JAMBONZ
from ..serializers.lines.line import Line
from ..serializers.lines.plivo import PLIVO
from ..serializers.lines.sinch import SINCH
from ..serializers.lines.telnyx import TELNYX
from ..serializers.lines.twilio import SIGNALWIRE, TWILIO
from ..serializers.lines.vonage import VONAGE
from ..serializers.lines.wavix import WAVIX
from .azure import AzureHangUp
from .basic import BasicAuth
from .genesys import GenesysSignature
from .plivo import PlivoHangUp, PlivoSignature
from .telnyx import TelnyxHangUp, TelnyxToken
from .twilio import TwilioHangUp, TwilioSignature
from .vonage import VonageJWT

HEADINGS: Final = ("provider", "codes, in kHz", "marks", "clear", "digits", "handshake check", "hang-up")
_BY_MESSAGE: Final = "by message: `EndFrame`"


@final
@frozen(kw_only=True)
class Row:
    """One provider. ``proof`` is what stands for ``authorize``, ``ends`` for ``hang_up``; None: there is none here."""

    name: str
    codecs: Mapping[str, tuple[int, ...]]
    has_marks: bool
    has_clear: bool
    hears_digits: bool = True
    sends_digits: bool = False
    ends_by_message: bool = False
    proof: type | None = None
    ends: type | None = None

    def cells(self) -> tuple[str, ...]:
        """The row's texts, in the order of ``HEADINGS``."""
        ends = f"`{self.ends.__name__}`" if self.ends is not None else _BY_MESSAGE if self.ends_by_message else "-"
        digits = ("in" if self.hears_digits else "") + (", out" if self.sends_digits else "")
        return (
            self.name,
            "; ".join(f"{code} {_kilohertz(rates)}" for code, rates in self.codecs.items()) or "text only",
            _yes(self.has_marks),
            _yes(self.has_clear),
            digits or "-",
            f"`{self.proof.__name__}`" if self.proof is not None else "-",
            ends,
        )


def row(line: Line, *, proof: type | None = None, ends: type | None = None) -> Row:
    """A provider as its line's table has it, with what is beside the audio."""
    return Row(
        name=line.name,
        codecs=line.codecs,
        has_marks=line.mark is not None,
        has_clear=line.clear is not None,
        hears_digits=line.hears_digits,
        ends_by_message=line.end is not None,
        proof=proof,
        ends=ends,
    )


ROWS: Final = (
    row(TWILIO, proof=TwilioSignature, ends=TwilioHangUp),
    row(SIGNALWIRE, ends=TwilioHangUp),
    row(TELNYX, proof=TelnyxToken, ends=TelnyxHangUp),
    row(PLIVO, proof=PlivoSignature, ends=PlivoHangUp),
    row(EXOTEL, proof=BasicAuth),
    row(VONAGE, proof=VonageJWT),
    Row(
        name="Genesys",
        codecs=dict.fromkeys(ENCODINGS, (RATE,)),
        has_marks=False,
        has_clear=True,
        ends_by_message=True,
        proof=GenesysSignature,
    ),
    row(ASTERISK, proof=BasicAuth),
    Row(
        name="ConversationRelay",
        codecs={},
        has_marks=False,
        has_clear=False,
        sends_digits=True,
        ends_by_message=True,
        proof=TwilioSignature,
    ),
    row(AZURE, ends=AzureHangUp),
    row(JAMBONZ, proof=BasicAuth),
    row(WAVIX),
    row(SINCH),
)


def _yes(value: bool) -> str:
    return "yes" if value else "-"


def _kilohertz(rates: Sequence[int]) -> str:
    return ", ".join(f"{rate / 1000:g}" for rate in sorted(rates))


def markdown() -> str:
    """The table, a line for each provider."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(each.cells() for each in ROWS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
