"""Raw PCM: binary messages are audio and nothing else, text messages are the application's own."""

from typing import final

from attrs import define, evolve, field
from attrs.validators import instance_of, optional

from ..._documented import documented
from ...audio.format import AudioFormat
from ...audio.wav import split_wav_header
from ...serializers.protocol import Message
from ..capabilities import AdapterCapabilities
from ..chunk import AGENT_FORMAT, AudioChunk, WholeSamples
from ..events import AgentMessage
from ..protocol import Messages, WebSocketProtocol


def pcm16(audio_format: AudioFormat) -> str:
    """The name of a PCM format among an adapter's capabilities."""
    return f"pcm16/{audio_format.sample_rate}"


@documented
@final
@define(eq=False, kw_only=True)
class RawPCMProtocol(WebSocketProtocol):
    """PCM16 in binary messages, cut anywhere, with a WAV header or without.

    A header's format holds until another comes; before the first it is ``output_format``.
    ``interrupt`` and ``end`` are messages to send, where the agent has such.
    """

    input_format: AudioFormat = field(default=AGENT_FORMAT, validator=instance_of(AudioFormat))
    """The PCM that the agent takes."""
    output_format: AudioFormat = field(default=AGENT_FORMAT, validator=instance_of(AudioFormat))
    """The PCM that the agent sends, until a WAV header says otherwise."""
    interrupt: Message | None = field(default=None, validator=optional(instance_of((str, bytes))))
    """The message that stops the agent; None: it cannot be interrupted."""
    end: Message | None = field(default=None, validator=optional(instance_of((str, bytes))))
    """The message that says that the caller's turn is over; None sends nothing."""
    is_continuous: bool = field(default=False, validator=instance_of(bool))
    """Whether silence is sent between the caller's turns, for agents that listen for the end of a turn."""
    _heard: AudioFormat = field(init=False)
    _samples: WholeSamples = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._speaks(self.output_format)

    def _speaks(self, audio_format: AudioFormat) -> None:
        self._heard = audio_format
        self._samples = WholeSamples(audio_format.bytes_per_sample)

    def fresh(self) -> "RawPCMProtocol":
        """One with the same settings for another call."""
        return evolve(self)

    @property
    def agent_capabilities(self) -> AdapterCapabilities:
        return AdapterCapabilities(
            interruption=self.interrupt is not None,
            input_formats=(pcm16(self.input_format),),
            output_formats=(pcm16(self.output_format),),
        )

    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: Message) -> AudioChunk | None:
        if isinstance(message, str):
            return None
        announced, pcm = split_wav_header(message) if not self._samples.waiting_bytes else (None, message)
        if announced is not None:
            self._speaks(announced)
        pcm = self._samples.take(pcm)
        if not pcm:
            return None
        return AudioChunk(pcm, sample_rate=self._heard.sample_rate, num_channels=self._heard.num_channels)

    def decode_event(self, message: Message) -> AgentMessage | None:
        return AgentMessage(message) if isinstance(message, str) else None

    def encode_end(self) -> Messages:
        return () if self.end is None else self.end

    def encode_interrupt(self) -> Messages:
        return () if self.interrupt is None else self.interrupt
