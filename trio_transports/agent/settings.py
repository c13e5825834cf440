"""What an adapter decides from its user's settings: the session's parameters, and what the agent is capable of."""

from typing import Final

from attrs import evolve

from ..params import WebsocketClientParams
from .capabilities import AdapterCapabilities
from .chunk import AudioChunk
from .conversation import Conversation
from .protocol import WebSocketProtocol

PCM16_24K: Final = ("pcm16/24000",)
DEFAULT_PARAMS: Final = WebsocketClientParams(ping_interval=5, ping_timeout=5)
"""A dead agent is told from a silent one within ten seconds."""


def checked(params: WebsocketClientParams) -> WebsocketClientParams:
    """Refuse the settings that an adapter cannot honour."""
    reasons = {
        "serializer": "the protocol is what is spoken",
        "reconnect": "a lost connection is an outcome to be told, not to be hidden",
        "audio_out_mixer": "the caller's audio is sent as it is",
        "audio_in_filter": "what the agent sends is handed on as it is",
        "turn_analyzer": "what the agent sends is handed on as it is",
        "vad_analyzer": "what the agent sends is handed on as it is",
        "hang_up": "use the protocol's on_close",
        "fixed_audio_packet_size": "the protocol makes the messages",
    }
    for name, why in reasons.items():
        if getattr(params, name) is not None:
            raise ValueError(f"WebsocketClientParams.{name} is not for an agent adapter: {why}")
    if params.add_wav_header or params.vad_enabled or params.audio_out_destinations:
        raise ValueError(
            "WebsocketClientParams.add_wav_header, vad_enabled and audio_out_destinations are not for an agent adapter"
        )
    if params.audio_in_jitter_ms:
        raise ValueError(
            "WebsocketClientParams.audio_in_jitter_ms is not for an agent adapter: its audio is handed on as it comes"
        )
    return params


def session_params(
    params: WebsocketClientParams, conversation: Conversation, max_unread_s: float
) -> WebsocketClientParams:
    """What the adapter decides about its session, over what its user decided."""
    continuous = conversation.protocol.is_continuous
    return evolve(
        params,
        serializer=conversation.bridge,
        audio_in_enabled=True,
        audio_in_passthrough=True,
        audio_in_stream_on_start=True,
        audio_in_sample_rate=None,
        audio_in_channels=1,  # as the bridge gives it
        audio_in_max_queue_secs=max_unread_s,
        audio_out_enabled=True,
        audio_out_auto_silence=continuous,
        audio_out_end_silence_secs=0,
        silence_max_secs=None if continuous else params.silence_max_secs,
    )


def capabilities_of(declared: AdapterCapabilities | None, protocol: WebSocketProtocol) -> AdapterCapabilities:
    """What a subclass declares, else the protocol; what can be interrupted or dialled is the protocol's to know."""
    told = protocol.agent_capabilities
    own = type(protocol)
    if told is None:
        told = AdapterCapabilities(
            interruption=own.encode_interrupt is not WebSocketProtocol.encode_interrupt,
            dtmf=own.encode_dtmf is not WebSocketProtocol.encode_dtmf,
            input_formats=PCM16_24K,
            output_formats=PCM16_24K,
        )
    if declared is None:
        return told
    return evolve(declared, interruption=declared.interruption or told.interruption, dtmf=declared.dtmf or told.dtmf)


def pieces(chunk: AudioChunk, duration_s: float) -> list[AudioChunk]:
    """Cut a chunk where its messages would become too large."""
    size = chunk.format.size_bytes(max(1, chunk.format.samples_in(duration_s)))
    return [evolve(chunk, data=chunk.data[start : start + size]) for start in range(0, len(chunk.data), size)]
