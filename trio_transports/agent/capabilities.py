"""What an adapter can do, said beforehand, and the error for asking what it cannot."""

from collections.abc import Iterable
from typing import cast, final

from attrs import field, frozen
from attrs.validators import instance_of

from .._documented import documented
from ..errors import LocalProtocolError


def _names(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else cast("tuple[str, ...]", value)  # else the validator's


@documented
@final
@frozen(kw_only=True)
class AdapterCapabilities:
    """What one kind of agent can be asked for. Formats are written ``"encoding/rate"``, as in ``"pcm16/24000"``.

    ``interruption`` and ``dtmf`` need not be declared by hand: an adapter whose protocol has the hook has the
    capability.
    """

    streaming_transcripts: bool = field(default=False, validator=instance_of(bool))
    """Text comes while the agent speaks."""
    native_vad: bool = field(default=False, validator=instance_of(bool))
    """The agent finds the ends of the caller's turns in the audio, and so needs the silence after them."""
    dtmf: bool = field(default=False, validator=instance_of(bool))
    """The protocol has a message for a key of a telephone."""
    interruption: bool = field(default=False, validator=instance_of(bool))
    """The protocol has a message that stops the agent."""
    turn_events: bool = field(default=False, validator=instance_of(bool))
    """The agent says when its turn is over."""
    input_formats: tuple[str, ...] = field(default=(), converter=_names, validator=instance_of(tuple))
    """What the agent takes, as ``encoding/rate``."""
    output_formats: tuple[str, ...] = field(default=(), converter=_names, validator=instance_of(tuple))
    """What the agent sends, as ``encoding/rate``."""


class UnsupportedCapability(LocalProtocolError):
    """The agent's protocol has no way to do what was asked; ``capability`` names it."""

    def __init__(self, adapter: str, capability: str, hint: str = "") -> None:
        self.adapter = adapter
        self.capability = capability
        self.hint = hint
        super().__init__(adapter, capability, hint)

    def __str__(self) -> str:
        text = f"{self.adapter} does not have the capability {self.capability!r}"
        return f"{text}: {self.hint}" if self.hint else text
