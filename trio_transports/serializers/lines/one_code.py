"""The serializer of the lines that carry one code both ways: the provider announces it, unless it was given."""

from attrs import define, field

from ..._documented import documented
from .line import Coding, given
from .serializer import LineSerializer
from .settings import known_encoding, known_sample_rate


@documented
@define(eq=False, kw_only=True)
class OneCodeSerializer(LineSerializer):
    """``encoding`` and ``sample_rate`` None take what is announced; they are given with ``stream_id``."""

    encoding: str | None = field(default=None, validator=known_encoding)
    """The code of the audio, where the provider says none or a wrong one; None takes what is announced. A wrong one is
    heard as noise."""
    sample_rate: int | None = field(default=None, validator=known_sample_rate)
    """Samples per second, in Hz, where the provider says none or a wrong one; None takes what is announced."""

    def _before_start(self) -> tuple[Coding | None, Coding]:
        coding = self._coding()
        return (coding if self.stream_id is not None else None), coding

    def _coding(self, announces: Coding | None = None) -> Coding:
        """What was given, else what is announced, else the line's usual code."""
        return given(self.line, self.encoding, self.sample_rate, announces)
