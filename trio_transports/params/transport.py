"""The parameters that every transport takes."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias

from attrs import Factory, field, frozen

from .._moved import suggesting
from ..audio.filters import AudioFilter
from ..audio.mixer import AudioMixer
from ..serializers.protocol import FrameSerializer, check_destinations, message_bytes_needed
from ..vad.analyzer import VADAnalyzer
from ..vad.turns import TurnAnalyzer
from ..video.pixels import PIXEL_FORMATS, PixelFormat
from ..video.shaping import PictureFit
from . import checks

SerializerSource: TypeAlias = FrameSerializer | Callable[[], FrameSerializer]
MixerSource: TypeAlias = AudioMixer | Callable[[], AudioMixer]
FilterSource: TypeAlias = AudioFilter | Callable[[], AudioFilter]
AnalyzerSource: TypeAlias = VADAnalyzer | Callable[[], VADAnalyzer]
TurnAnalyzerSource: TypeAlias = TurnAnalyzer | Callable[[], TurnAnalyzer]
SessionTimeoutAction: TypeAlias = Literal["notify", "close"]
PeerGoneAction: TypeAlias = Literal["continue", "cancel"]


@suggesting("params")
@frozen(kw_only=True)
class TransportParams:
    """What every transport takes."""

    audio_out_enabled: bool = field(default=False, validator=checks.flag)
    audio_out_sample_rate: int | None = field(default=None, validator=checks.sample_rate)
    audio_out_channels: int = field(default=1, validator=checks.number(least=1, whole=True))
    audio_out_bitrate: int = field(default=96000, validator=checks.number(least=1, whole=True))
    audio_out_10ms_chunks: int = field(default=4, validator=checks.number(least=1, whole=True))
    audio_out_mixer: MixerSource | Mapping[str | None, MixerSource] | None = field(
        default=None, validator=checks.mixers
    )
    audio_out_volume: float = field(default=1.0, validator=checks.volume)
    audio_out_filter: FilterSource | None = field(
        default=None, validator=checks.members("start", "filter", "control", "stop")
    )
    audio_out_destinations: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    audio_out_end_silence_secs: float = field(default=2, validator=checks.number(least=0))
    audio_out_auto_silence: bool = field(default=True, validator=checks.flag)
    audio_out_max_queue_secs: float = field(default=60.0, validator=checks.number(above=0))
    audio_out_lead_ms: float = field(default=0, validator=checks.number(least=0))

    audio_in_enabled: bool = field(default=False, validator=checks.flag)
    audio_in_sample_rate: int | None = field(default=None, validator=checks.sample_rate)
    audio_in_channels: int = field(default=1, validator=checks.number(least=1, whole=True))
    audio_in_filter: FilterSource | None = field(
        default=None, validator=checks.members("start", "filter", "control", "stop")
    )
    audio_in_stream_on_start: bool = field(default=True, validator=checks.flag)
    audio_in_passthrough: bool = field(default=True, validator=checks.flag)
    audio_in_max_queue_secs: float = field(default=5.0, validator=checks.number(above=0))
    audio_in_jitter_ms: float = field(default=0, validator=checks.number(least=0))

    vad_enabled: bool = field(default=False, validator=checks.flag)
    vad_analyzer: AnalyzerSource | None = field(default=None, validator=checks.members("start", "analyze", "stop"))
    vad_audio_passthrough: bool = field(default=True, validator=checks.flag)
    turn_analyzer: TurnAnalyzerSource | None = field(default=None, validator=checks.members("is_complete"))
    """Says, beside voice activity, whether a pause ends the turn; until it does, the user has not stopped speaking."""
    turn_max_pause_secs: float = field(default=2.0, validator=checks.number(above=0))
    """A pause of that length ends the turn, whatever the turn analyzer says."""
    allow_interruptions: bool = field(default=False, validator=checks.flag)

    video_in_enabled: bool = field(default=False, validator=checks.flag)
    video_out_enabled: bool = field(default=False, validator=checks.flag)
    video_out_is_live: bool = field(default=False, validator=checks.flag)
    video_out_width: int = field(default=1024, validator=checks.number(least=1, whole=True))
    video_out_height: int = field(default=768, validator=checks.number(least=1, whole=True))
    video_out_bitrate: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    video_out_framerate: int = field(default=30, validator=checks.number(least=1, whole=True))
    video_out_color_format: PixelFormat = field(default="RGB", validator=checks.one_of(*PIXEL_FORMATS))
    video_out_codec: str | None = field(default=None, validator=checks.picture_codec)
    video_out_destinations: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    video_out_fit: PictureFit = field(default="letterbox", validator=checks.one_of("letterbox", "stretch"))
    """How a picture of other proportions fills its track: with black beside it, or out of shape."""
    video_out_max_queue_bytes: int = field(default=32 * 1024 * 1024, validator=checks.number(least=1, whole=True))
    """So much memory may wait on one picture track; then sending waits for room."""

    add_wav_header: bool = field(default=False, validator=checks.flag)
    serializer: SerializerSource | None = field(default=None, validator=checks.members("encode", "decode"))
    fixed_audio_packet_size: int | None = field(
        default=None, validator=checks.number(least=2, optional=True, whole=True)
    )

    session_timeout: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    session_timeout_action: SessionTimeoutAction = field(default="notify", validator=checks.one_of("notify", "close"))
    on_peer_gone: PeerGoneAction = field(default="continue", validator=checks.one_of("continue", "cancel"))
    idle_timeout: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    connect_timeout: float = field(default=10, validator=checks.number(above=0))
    send_timeout: float = field(default=10, validator=checks.number(above=0))
    close_timeout: float = field(default=2, validator=checks.number(above=0))
    drain_timeout: float | None = field(default=None, validator=checks.number(least=0, optional=True))
    ping_interval: float | None = field(default=20, validator=checks.number(above=0, optional=True))
    ping_timeout: float | None = field(default=20, validator=checks.number(above=0, optional=True))
    max_message_bytes: int = field(
        default=Factory(lambda self: message_bytes_needed(self.serializer), takes_self=True),
        validator=checks.number(least=1, whole=True),
    )
    max_unread_bytes: int = field(default=4 * 1024 * 1024, validator=checks.number(least=1, whole=True))
    max_malformed: int = field(default=100, validator=checks.number(least=1, whole=True))
    ssl_context: ssl.SSLContext | None = field(default=None, validator=checks.tls_context)

    silence_grace_ms: float = field(default=60, validator=checks.number(least=0))
    silence_max_secs: float | None = field(default=2, validator=checks.number(least=0, optional=True))
    catch_up_ms: float = field(default=400, validator=checks.number(least=0))
    partial_flush_ms: float = field(default=100, validator=checks.number(least=0))

    hang_up: Callable[..., Awaitable[object]] | None = field(default=None, validator=checks.async_callable)
    hang_up_timeout: float = field(default=5, validator=checks.number(above=0))

    def __attrs_post_init__(self) -> None:
        where = type(self).__name__
        if self.allow_interruptions and not self.vad_enabled:
            raise ValueError(
                f"{where}.allow_interruptions needs vad_enabled=True: the user's speech is what interrupts"
            )
        if self.vad_enabled and not self.audio_in_enabled:
            raise ValueError(f"{where}.vad_enabled needs audio_in_enabled=True: there is no audio to listen to")
        if self.vad_analyzer is not None and not self.vad_enabled:
            raise ValueError(f"{where}.vad_analyzer is given but vad_enabled is False: set vad_enabled=True")
        if self.turn_analyzer is not None and not self.vad_enabled:
            raise ValueError(f"{where}.turn_analyzer needs vad_enabled=True: it is asked when speech has stopped")
        if self.ping_interval is not None and self.ping_timeout is None:
            raise ValueError(f"{where}.ping_timeout must be set when ping_interval is: an unanswered ping needs an end")
        if isinstance(self.audio_out_mixer, Mapping):
            unknown = set(self.audio_out_mixer) - {None, *self.audio_out_destinations}
            if unknown:
                raise ValueError(
                    f"{where}.audio_out_mixer names destinations that audio_out_destinations lacks: "
                    + ", ".join(sorted(map(str, unknown)))
                )
        for name in ("audio_out_mixer", "audio_out_filter"):
            if getattr(self, name) is not None and not self.audio_out_enabled:
                raise ValueError(f"{where}.{name} needs audio_out_enabled=True")
        checks.check_quick(self.audio_out_filter, where)
        if self.video_out_bitrate is not None and (self.video_out_codec or "PNG").upper() == "PNG":
            raise ValueError(
                f"{where}.video_out_bitrate needs video_out_codec='JPEG' or 'WEBP': what loses nothing has no quality "
                "that could follow a bitrate"
            )
        if self.video_out_destinations and not self.video_out_enabled:
            raise ValueError(f"{where}.video_out_destinations needs video_out_enabled=True")
        if self.add_wav_header and self.audio_out_channels > 2:
            raise ValueError(
                f"{where}.add_wav_header needs audio_out_channels of 1 or 2, not {self.audio_out_channels}"
            )
        check_destinations(
            self.serializer,
            where,
            audio_out_destinations=self.audio_out_destinations,
            video_out_destinations=self.video_out_destinations,
        )
        if self.fixed_audio_packet_size is not None and self.add_wav_header:
            raise ValueError(f"{where}.fixed_audio_packet_size and add_wav_header exclude each other")
