"""What a session's parameters mean for its parts, given its dialect."""

from collections.abc import Mapping
from math import inf
from typing import Final, final

from attrs import frozen

from .._offers import offers
from ..audio.format import AudioFormat
from ..audio.mixer import AudioMixer
from ..params import MixerSource, TransportParams, WebsocketClientParams
from ..serializers.protocol import FixedChunk, FrameSerializer, HoldsBack, per_session
from ..vad.analyzer import VADAnalyzer
from ..vad.turns import TurnAnalyzer

DEFAULT_SAMPLE_RATE: Final = 24000


@final
@frozen(kw_only=True)
class TrackSettings:
    """What all tracks of a session share."""

    format: AudioFormat
    chunk_ms: float
    add_wav_header: bool
    packet_bytes: int | None
    auto_silence: bool
    silence_grace_s: float
    silence_max_s: float
    partial_flush_s: float
    held_s: float = 0.0
    """How much of the last audio the dialect's code gives out only with what follows."""

    @classmethod
    def of(cls, params: TransportParams, serializer: FrameSerializer) -> "TrackSettings":
        """What leaves: in the dialect's own format and chunks, else as the parameters ask for."""
        native = serializer.audio_format
        asked = AudioFormat(params.audio_out_sample_rate or DEFAULT_SAMPLE_RATE, params.audio_out_channels)
        fixed_ms = serializer.chunk_ms if offers(serializer, FixedChunk) else None
        return cls(
            format=native or asked,
            chunk_ms=fixed_ms or 10 * params.audio_out_10ms_chunks,
            add_wav_header=params.add_wav_header,
            packet_bytes=params.fixed_audio_packet_size,
            auto_silence=params.audio_out_auto_silence,
            silence_grace_s=params.silence_grace_ms / 1000,
            silence_max_s=inf if params.silence_max_secs is None else params.silence_max_secs,
            partial_flush_s=params.partial_flush_ms / 1000,
            held_s=serializer.held_ms / 1000 if offers(serializer, HoldsBack) else 0.0,
        )

    @property
    def chunk_samples(self) -> int:
        return max(1, round(self.format.sample_rate * self.chunk_ms / 1000))


def max_stale_s(params: TransportParams) -> float:
    """How much queued audio is still worth sending after a reconnection."""
    reconnect = params.reconnect if isinstance(params, WebsocketClientParams) else None
    return inf if reconnect is None else reconnect.max_queued_audio_secs


def mixer_for(name: str | None, mixers: MixerSource | Mapping[str | None, MixerSource] | None) -> AudioMixer | None:
    """The session's own mixer of one destination; a single one is the default destination's."""
    if mixers is None:
        return None
    if isinstance(mixers, Mapping):
        return per_session(mixers[name]) if name in mixers else None
    return per_session(mixers) if name is None else None


def analyzer_for(params: TransportParams) -> VADAnalyzer | None:
    """The session's own voice activity analyzer; unless one is given, it goes by the energy."""
    if not params.vad_enabled:
        return None
    if params.vad_analyzer is not None:
        return per_session(params.vad_analyzer)
    from ..vad.energy import EnergyVADAnalyzer

    return EnergyVADAnalyzer()


def turn_analyzer_for(params: TransportParams) -> TurnAnalyzer | None:
    """What this session asks whether a pause is the end of a turn."""
    return None if params.turn_analyzer is None else per_session(params.turn_analyzer)
