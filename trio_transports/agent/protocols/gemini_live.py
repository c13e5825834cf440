"""Gemini Live: JSON, mostly in binary messages, base64 PCM inside; 16 kHz to the model and 24 kHz from it.

Rules
1. The first message is ``setup``. ``setup`` of this protocol is laid over what it says by itself: audio as answer, and
   transcripts of both sides.
2. With ``server_vad`` the model finds the end of the caller's turn in the audio, and silence is sent between turns.
   Without, each turn is framed by ``activityStart`` and ``activityEnd``.
3. ``interrupted`` takes back what was not played. ``turnComplete`` ends the turn.
4. A rate that a part's ``mimeType`` names is believed. Parts that are neither audio nor text, calls of tools and what
   is not known are an ``AgentMessage``.
5. ``goAway`` announces that the connection will be closed: an ``AgentMessage`` too, since the conversation goes on.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

from attrs import define, evolve, field
from attrs.validators import instance_of

from ..._documented import documented
from ...audio.format import AudioFormat
from ...serializers.codec import dumps
from ...serializers.converters import from_base64, mismatch, to_base64
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AGENT_FORMAT, AudioChunk
from ..events import AgentEvent, AgentMessage, PlaybackCleared, Transcript, TurnEnded
from ..protocol import Heard, WebSocketProtocol
from .json_audio import json_object, parse_object
from .openai_realtime import merged
from .raw import pcm16

INPUT_FORMAT: Final = AudioFormat(16000)
_RATE: Final = re.compile(r"audio/pcm(?:;.*?rate=(\d{4,6}))?.*")


@documented
@final
@define(eq=False, kw_only=True)
class GeminiLiveProtocol(WebSocketProtocol):
    """``model`` by its name, as ``models/gemini-...``."""

    model: str = field(validator=instance_of(str))
    """The model by its name, as ``models/gemini-...``."""
    setup: Mapping[str, object] = field(factory=dict, validator=json_object)
    """What is laid over the ``setup`` message: voice, instructions, tools."""
    server_vad: bool = field(default=True, validator=instance_of(bool))
    """Let the model find the ends of the caller's turns. False: the adapter tells it, which is exact in a test."""
    _turns: int = field(default=0, init=False)
    _is_active: bool = field(default=False, init=False)

    def fresh(self) -> "GeminiLiveProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def input_format(self) -> AudioFormat:
        return INPUT_FORMAT

    @property
    def is_continuous(self) -> bool:
        return self.server_vad

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            streaming_transcripts=True,
            native_vad=self.server_vad,
            turn_events=True,
            input_formats=(pcm16(INPUT_FORMAT),),
            output_formats=(pcm16(AGENT_FORMAT),),
        )

    def on_open(self) -> str:
        setup: dict[str, object] = {
            "model": self.model,
            "generationConfig": {"responseModalities": ["AUDIO"]},
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
        }
        if not self.server_vad:
            setup["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
        return dumps({"setup": merged(setup, self.setup)})

    def encode_audio(self, audio: bytes) -> Sequence[str]:
        blob = {"data": to_base64(audio), "mimeType": f"audio/pcm;rate={INPUT_FORMAT.sample_rate}"}
        begins = not (self.server_vad or self._is_active)
        self._is_active = True
        said = dumps({"realtimeInput": {"audio": blob}})
        return [dumps({"realtimeInput": {"activityStart": {}}}), said] if begins else [said]

    def encode_end(self) -> Sequence[str]:
        if self.server_vad or not self._is_active:
            return ()
        self._is_active = False
        return [dumps({"realtimeInput": {"activityEnd": {}}})]

    def decode_response(self, message: Message) -> Sequence[AudioChunk]:
        return [item for item in self.decode(message) if isinstance(item, AudioChunk)]

    def decode(self, message: Message) -> Sequence[Heard]:
        event = parse_object(message)
        content = event.get("serverContent")
        if content is None:
            return (AgentMessage(event),)
        if not isinstance(content, Mapping):
            raise mismatch("a JSON object", content, path="serverContent")
        return list(self._content(content))

    def _content(self, content: Mapping[str, Any]) -> Iterator[AudioChunk | AgentEvent]:
        if content.get("interrupted") is True:
            self._turns += 1
            yield PlaybackCleared()
        utterance = f"turn-{self._turns}"
        for member, speaker in (("inputTranscription", "caller"), ("outputTranscription", "agent")):
            told = content.get(member)
            if isinstance(told, Mapping) and isinstance(told.get("text"), str):
                if speaker == "agent":
                    yield Transcript(told["text"], final=False, utterance=utterance)
                else:
                    yield Transcript(told["text"], "caller", final=False)
        turn = content.get("modelTurn")
        if turn is not None:
            yield from _parts(turn, utterance)
        if content.get("turnComplete") is True:
            self._turns += 1
            yield TurnEnded()


def _parts(turn: object, utterance: str) -> Iterator[AudioChunk | AgentEvent]:
    parts = turn.get("parts", []) if isinstance(turn, Mapping) else None
    if not isinstance(parts, list):
        raise mismatch("an array", parts, path="serverContent.modelTurn.parts")
    for number, part in enumerate(parts):
        where = f"serverContent.modelTurn.parts[{number}]"
        if not isinstance(part, Mapping):
            raise mismatch("a JSON object", part, path=where)
        data, text = part.get("inlineData"), part.get("text")
        if isinstance(data, Mapping) and (kind := _RATE.fullmatch(str(data.get("mimeType")))):
            pcm = from_base64(data.get("data"), path=f"{where}.inlineData.data")
            rate = int(kind[1]) if kind[1] else AGENT_FORMAT.sample_rate
            yield AudioChunk(pcm[: len(pcm) & ~1], sample_rate=rate, utterance=utterance)
        elif isinstance(text, str):
            yield Transcript(text, final=False, utterance=utterance)
        else:
            yield AgentMessage(dict(part))
