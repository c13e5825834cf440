"""JSON with base64 audio, under keys of the user's choice.

Rules
1. A key is a path: ``"media.payload"`` is the member ``payload`` of the object ``media``.
2. A received message that has text under ``agent_audio_key`` is audio; its bytes may end inside a sample.
3. One that has all members of ``turn_end`` or of ``hang_up`` says that. A message can be several of these at once.
4. What is none of them, and no transcript, is an ``AgentMessage``. What is no JSON object is a RemoteProtocolError.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

from attrs import Attribute, define, evolve, field
from attrs.validators import instance_of, optional

from ..._documented import documented
from ...audio.format import AudioFormat
from ...serializers.codec import dumps, loads
from ...serializers.converters import from_base64, mismatch, to_base64
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AGENT_FORMAT, AudioChunk, WholeSamples
from ..events import AgentEvent, AgentHungUp, AgentMessage, Reply, Transcript, TurnEnded
from ..protocol import Heard, WebSocketProtocol
from .raw import pcm16

Document: TypeAlias = Mapping[str, object]
"""A JSON object, as a user writes it down; what JSON cannot hold is refused when the protocol is made."""


def parse_object(message: Message) -> dict[str, Any]:
    """Read a message that must be one JSON object."""
    document = loads(message)
    if type(document) is not dict:
        raise mismatch("a JSON object", document, path="$")
    return document


def look_up(document: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any JSON value
    """What stands at a dotted path, or None."""
    value: Any = document
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def with_value(document: Document, key: str, value: object) -> dict[str, object]:
    """Make a copy with another value at a dotted path, and the objects on the way to it."""
    first, dot, rest = key.partition(".")
    if not dot:
        return {**document, first: value}
    inner = document.get(first, {})
    if not isinstance(inner, Mapping):
        raise TypeError(f"{first!r} is {inner!r} in the template, and the path {key!r} needs an object there")
    return {**document, first: with_value(inner, rest, value)}


def json_object(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    """Check that a setting is a JSON object."""
    where = f"{type(instance).__name__}.{attribute.name}"
    if not isinstance(value, Mapping):
        raise TypeError(f"{where} must be a dict, not {value!r}")
    dumps(value, path=where)


def _json_objects(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{type(instance).__name__}.{attribute.name} must be a list of dicts, not {value!r}")
    for item in value:
        json_object(instance, attribute, item)


def _has(document: Mapping[str, Any], members: Document | None) -> bool:
    return members is not None and all(look_up(document, key) == value for key, value in members.items())


def _seconds(document: Mapping[str, Any], key: str | None) -> float | None:
    value = None if key is None else look_up(document, key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch("a number of seconds", value, path=str(key))
    return float(value)


def _text(document: Mapping[str, Any], key: str | None) -> str | None:
    value = None if key is None else look_up(document, key)
    if value is not None and not isinstance(value, str):
        raise mismatch("text", value, path=str(key))
    return value


def _key(instance: object, attribute: "Attribute[Any]", value: Any) -> None:  # noqa: ANN401 - may be anything yet
    if not isinstance(value, str) or not all(value.split(".")):
        where = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{where} must be a path like 'media.payload', not {value!r}")


def _optional_key(instance: object, attribute: "Attribute[Any]", value: Any) -> None:  # noqa: ANN401
    if value is not None:
        _key(instance, attribute, value)


@documented
@final
@define(eq=False, kw_only=True)
class JSONAudioProtocol(WebSocketProtocol):
    """``{"type": "audio", "audio": "<base64>"}`` both ways by default.

    ``template`` is what every audio message holds besides the audio. ``opening``, ``closing``, ``end`` and
    ``interrupt`` are documents to send, ``turn_end`` and ``hang_up`` what to recognise, all where the agent has such.
    """

    input_format: AudioFormat = field(default=AGENT_FORMAT, validator=instance_of(AudioFormat))
    """The PCM that the agent takes."""
    output_format: AudioFormat = field(default=AGENT_FORMAT, validator=instance_of(AudioFormat))
    """The PCM that the agent sends."""
    audio_key: str = field(default="audio", validator=_key)
    """Where the audio stands in what is sent; dots lead inside, as in ``media.payload``."""
    template: Document = field(factory=lambda: {"type": "audio"}, validator=json_object)
    """What every audio message holds besides the audio."""
    agent_audio_key: str | None = field(default=None, validator=_optional_key)
    """Where the audio stands in what comes; None: in the same place."""
    transcript_key: str | None = field(default="transcript", validator=_optional_key)
    """Where the words stand in what comes; None: nowhere."""
    start_key: str | None = field(default=None, validator=_optional_key)
    """Where the time of a chunk's beginning stands, in seconds; None: nowhere."""
    end_key: str | None = field(default=None, validator=_optional_key)
    """Where the time of a chunk's end stands, in seconds; None: nowhere."""
    turn_end: Document | None = field(default=None, validator=optional(json_object))
    """The message by which the agent says that its turn is over: one with these members. None: it says nothing."""
    hang_up: Document | None = field(default=None, validator=optional(json_object))
    """The message by which the agent says that the conversation is over; None: it says nothing."""
    opening: Sequence[Document] = field(default=(), validator=_json_objects)
    """Documents to send when the connection is made."""
    closing: Sequence[Document] = field(default=(), validator=_json_objects)
    """Documents to send before it is closed."""
    end: Document | None = field(default=None, validator=optional(json_object))
    """The document that says that the caller's turn is over; None sends nothing."""
    interrupt: Document | None = field(default=None, validator=optional(json_object))
    """The document that stops the agent; None: it cannot be interrupted."""
    is_continuous: bool = field(default=False, validator=instance_of(bool))
    """Whether silence is sent between the caller's turns, for agents that listen for the end of a turn."""
    _samples: WholeSamples = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._samples = WholeSamples(self.output_format.bytes_per_sample)
        with_value(self.template, self.audio_key, "")  # a template in the audio's way fails here

    def fresh(self) -> "JSONAudioProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            streaming_transcripts=self.transcript_key is not None,
            interruption=self.interrupt is not None,
            turn_events=self.turn_end is not None,
            input_formats=(pcm16(self.input_format),),
            output_formats=(pcm16(self.output_format),),
        )

    def encode_audio(self, audio: bytes) -> str:
        return dumps(with_value(self.template, self.audio_key, to_base64(audio)))

    def decode_response(self, message: Message) -> AudioChunk | None:
        return self._audio(parse_object(message))

    def decode_event(self, message: Message) -> Sequence[AgentEvent | Reply]:
        return self._events(parse_object(message))

    def decode(self, message: Message) -> Sequence[Heard]:
        document = parse_object(message)
        chunk = self._audio(document)
        events = self._events(document)
        return events if chunk is None else [chunk, *events]

    def on_open(self) -> Sequence[Message]:
        return [dumps(document) for document in self.opening]

    def on_close(self) -> Sequence[Message]:
        return [dumps(document) for document in self.closing]

    def encode_end(self) -> Sequence[Message]:
        return () if self.end is None else [dumps(self.end)]

    def encode_interrupt(self) -> Sequence[Message]:
        return () if self.interrupt is None else [dumps(self.interrupt)]

    @property
    def _received_key(self) -> str:
        return self.agent_audio_key or self.audio_key

    def _audio(self, document: dict[str, Any]) -> AudioChunk | None:
        encoded = look_up(document, self._received_key)
        if encoded is None:
            return None
        pcm = self._samples.take(from_base64(encoded, path=self._received_key))
        return AudioChunk(
            pcm,
            transcript=_text(document, self.transcript_key),
            start_time=_seconds(document, self.start_key),
            end_time=_seconds(document, self.end_key),
            sample_rate=self.output_format.sample_rate,
            num_channels=self.output_format.num_channels,
        )

    def _events(self, document: dict[str, Any]) -> list[AgentEvent | Reply]:
        events: list[AgentEvent | Reply] = []
        has_audio = look_up(document, self._received_key) is not None
        text = _text(document, self.transcript_key)
        if text is not None and not has_audio:  # with audio, it is the chunk's own
            events.append(Transcript(text))
        if _has(document, self.turn_end):
            events.append(TurnEnded())
        if _has(document, self.hang_up):
            events.append(AgentHungUp())
        if not events and not has_audio:
            events.append(AgentMessage(document))
        return events
