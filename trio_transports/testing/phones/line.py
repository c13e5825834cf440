"""A caller of any provider, played by what a table says of the provider's messages.

Rules
1. ``LineWords`` is the table's row: the provider's messages as templates, in both directions. What a provider has no
   words for is None there. Audio without a template travels as it is, in binary messages.
2. A ``ScriptedLine`` is one call: it fills the templates with the call's own names and numbers, and reads what the bot
   sends. What the provider would refuse is an AssertionError that says so.
3. Where ``numbered``, each side counts its messages from 1 and says which of the other's it has seen.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, final

from attrs import define, evolve, field, frozen
from attrs.validators import ge, instance_of

from ..._documented import documented
from ...audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from ...frames import JSONValue
from ...serializers.protocol import Message
from .orders import ClearOrder, EndOrder, MarkOrder, Order, OtherOrder, PlayOrder, TextOrder
from .templates import filled, matched

_OWN: Final = ("stream", "announced", "rate")
"""What a message must say as this call does, where it says it at all."""
_PACKETS_PER_S: Final = 50
BEGAN: Final = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
"""When the call began, on a line that tells the time of day."""


class PhoneLine(Protocol):
    """One caller of one provider. What it has no words for is None."""

    @property
    def name(self) -> str:
        """What ``phone_call`` and the command line call it."""

    @property
    def rate(self) -> int:
        """The sample rate of its audio, both ways."""

    @property
    def is_answered(self) -> bool:
        """Whether the caller may speak by now."""

    def fresh(self) -> "PhoneLine":
        """Make the same caller, before its call."""

    def opening(self) -> tuple[Message, ...]:
        """Give what the provider says first."""

    def voice(self, pcm: bytes) -> Message | None:
        """Say a packet of the caller's audio, 16-bit PCM at ``rate``."""

    def words(self, text: str) -> Message | None:
        """Say what the caller said, where the provider writes it down."""

    def key(self, digit: str) -> Message | None:
        """Say that a key was pressed."""

    def played(self, mark: str) -> Message | None:
        """Say that all before this mark was played, or cleared."""

    def stop(self) -> Message | None:
        """Say that the call has ended, before the socket closes."""

    def understand(self, message: Message) -> Order:
        """Read what the bot sends; AssertionError for what the provider would refuse."""


@final
@frozen
class Code:
    """How a line codes its samples."""

    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]
    bytes_per_sample: int = 1


CODES: Final[Mapping[str, Code]] = {
    "PCMU": Code(pcm_to_ulaw, ulaw_to_pcm),
    "PCMA": Code(pcm_to_alaw, alaw_to_pcm),
    "L16": Code(bytes, bytes, 2),
}

Words = dict[str, Any]
"""A message as a template."""


@final
@frozen(kw_only=True)
class LineWords:
    """What one provider says and takes; rule 1."""

    name: str
    rate: int = 8000
    codes: Mapping[str, str] = {"PCMU": ""}
    """The codes it has, the usual one first, each by the provider's own name."""
    takes: str | None = None
    """The code that it takes, where that is not the one it sends in."""
    names_calls: bool = True
    carries_audio: bool = True
    numbered: bool = False
    # Said by the provider.
    opening: Sequence[Words]
    voice: Words | None = None
    words: Words | None = None
    key: Words | None = None
    played: Words | None = None
    stop: Words | None = None
    # Heard from the bot. ``answer`` comes before any audio, either way.
    answer: Words | None = None
    play: Words | None = None
    mark: Words | None = None
    clear: Words | None = None
    text: Words | None = None
    end: Words | None = None
    refusal: str = ""
    """What the provider does about any other message; nothing: it takes it."""
    max_bytes: int | None = None
    """A longer message ends the call."""
    whole_frames: bool = False
    """What is no whole frame of 20 ms is lost."""


@documented
@final
@define(kw_only=True, eq=False)
class ScriptedLine:
    """One call by a provider's line. ``code`` None is the provider's usual one; ``is_plain``: control in plain text."""

    by: LineWords
    """What the provider says and takes."""
    code: str | None = None
    """How the caller's audio is coded: ``PCMU``, ``PCMA`` or ``L16``, as far as the provider has it."""
    rate: int = field(default=0, validator=[instance_of(int), ge(0)])
    """The sample rate; nought is the provider's usual one."""
    stream_id: str = "MZ00000000000000000000000000000001"
    """What the provider calls the stream."""
    call_id: str | None = "CA00000000000000000000000000000001"
    """What the provider calls the call; None on a line that does not tell."""
    parameters: Mapping[str, JSONValue] = field(factory=dict)
    """What the application gave the call along, where the provider passes that on."""
    is_plain: bool = False
    """Asterisk's control as plain text in place of JSON."""
    is_answered: bool = field(init=False)
    """Whether the bot has taken the call, where the provider waits for that."""
    _said: int = field(default=0, init=False)
    _heard: int = field(default=0, init=False)
    _packets: int = field(default=0, init=False)
    _samples: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        by = self.by
        self.code = next(iter(by.codes)) if self.code is None else self.code
        if self.code not in by.codes:
            raise ValueError(f"{by.name} has no code {self.code!r}, only {', '.join(by.codes)}")
        self.rate = self.rate or by.rate
        self.call_id = self.call_id if by.names_calls else None
        self.is_answered = by.answer is None

    @property
    def name(self) -> str:
        """The provider's."""
        return self.by.name

    def fresh(self) -> "ScriptedLine":
        """Make the same caller, before its call."""
        return evolve(self)

    # What the provider says

    def opening(self) -> tuple[Message, ...]:
        """Give what the provider says first."""
        return tuple(self._message(template) for template in self.by.opening)

    def voice(self, pcm: bytes) -> Message | None:
        """Say a packet of the caller's audio, 16-bit PCM at ``rate``."""
        if not self.by.carries_audio:
            return None
        coded = CODES[self.code or ""].encode(pcm)
        self._packets += 1
        message = coded if self.by.voice is None else self._message(self.by.voice, payload=b64encode(coded).decode())
        self._samples += len(pcm) // 2
        return message

    def words(self, text: str) -> Message | None:
        """Say what the caller said, where the provider writes it down."""
        return self._said_or_none(self.by.words, text=text)

    def key(self, digit: str) -> Message | None:
        """Say that a key was pressed."""
        return self._said_or_none(self.by.key, digit=digit)

    def played(self, mark: str) -> Message | None:
        """Say that all before this mark was played, or cleared."""
        return self._said_or_none(self.by.played, mark=mark)

    def stop(self) -> Message | None:
        """Say that the call has ended, before the socket closes."""
        return self._said_or_none(self.by.stop)

    def _said_or_none(self, template: Words | None, **values: JSONValue) -> Message | None:
        return None if template is None else self._message(template, **values)

    def _message(self, template: Words, **values: JSONValue) -> Message:
        self._said += 1
        document = filled(template, {**self._values(), **values})
        assert isinstance(document, dict)
        if self.is_plain:
            event = document.pop("event")
            return " ".join([str(event), *(f"{name}:{value}" for name, value in document.items())])
        return json.dumps(document, separators=(",", ":"))

    def _values(self) -> dict[str, JSONValue]:
        code = self.code or ""
        return {
            "stream": self.stream_id,
            "call": self.call_id,
            "parameters": dict(self.parameters),
            "announced": self.by.codes[code],
            "rate": self.rate,
            "frame_bytes": CODES[code].bytes_per_sample * self.rate // _PACKETS_PER_S,
            "chunk": self._packets,
            "ms": self._samples * 1000 // self.rate,
            "time": f"{BEGAN + timedelta(seconds=self._samples / self.rate):%Y-%m-%dT%H:%M:%S.%fZ}",
            "seq": self._said,
            "seen": self._heard,
        }

    # What the bot says

    def understand(self, message: Message) -> Order:
        """Read what the bot sends; AssertionError for what the provider would refuse."""
        by = self.by
        if by.max_bytes is not None:
            assert len(message) <= by.max_bytes, f"{by.name} ends the call: more than {by.max_bytes} bytes"
        if isinstance(message, bytes):
            assert by.carries_audio, f"{by.name} carries no audio"
            assert by.play is None, f"{by.name} takes text messages only"
            return self._play(message)
        document = self._document(message)
        if by.numbered:
            self._check_numbers(document)
        if by.answer is not None and matched(by.answer, document) is not None:
            self.is_answered = True
            return OtherOrder(message)
        order = self._order(document)
        assert order is not None or not by.refusal, f"{by.refusal} for {message[:80]!r}"
        return order or OtherOrder(message)

    def _order(self, document: dict[str, JSONValue]) -> Order | None:
        by = self.by
        if (held := self._held(by.play, document)) is not None:
            return self._play(b64decode(str(held["payload"]), validate=True))
        if (held := self._held(by.mark, document)) is not None:
            return MarkOrder(str(held["mark"]))
        if self._held(by.clear, document) is not None:
            return ClearOrder()
        if (held := self._held(by.text, document)) is not None:
            return TextOrder(str(held["text"]), bool(held["last"]))
        if self._held(by.end, document) is not None:
            reason = document.get("handoffData")
            return EndOrder(None if reason is None else str(reason))
        return None

    def _held(self, template: Words | None, document: JSONValue) -> dict[str, JSONValue] | None:
        held = None if template is None else matched(template, document)
        if held is not None:
            values = self._values()
            for name in _OWN:
                assert held.get(name, values[name]) == values[name], (
                    f"{self.name} ignores what names another {name} than {values[name]!r}: {document}"
                )
        return held

    def _play(self, data: bytes) -> PlayOrder:
        code = CODES[self.by.takes or self.code or ""]
        assert self.is_answered, f"{self.name} takes no audio before {self.by.answer}"
        frame_bytes = code.bytes_per_sample * self.rate // _PACKETS_PER_S
        assert not (self.by.whole_frames and len(data) % frame_bytes), f"{self.name} loses what is no whole frame"
        return PlayOrder(code.decode(data), self.rate, len(data))

    def _document(self, message: str) -> dict[str, JSONValue]:
        if self.is_plain:
            command, *more = message.split()
            return {"command": command, **({"correlation_id": more[0]} if more else {})}
        document = json.loads(message)
        assert isinstance(document, dict), f"{self.name} takes JSON objects only, not {message[:80]!r}"
        return document

    def _check_numbers(self, document: dict[str, JSONValue]) -> None:
        self._heard += 1
        assert document["seq"] == self._heard, f"{self.name}: message {self._heard} is wanted, not {document['seq']}"
        seen = document["clientseq"]
        assert seen in range(self._said + 1), f"{self.name}: {seen} messages were not sent"
