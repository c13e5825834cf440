"""Parameters of the transports: keyword-only attrs values, checked when they are made.

Rules
1. A bad value is a ValueError or TypeError that names the class and the field and says what would be right.
2. A combination that cannot work is refused here, not found out in a call.
3. Names and defaults are those of the systems this library replaces, except ``add_wav_header``: False everywhere,
   since a header on every chunk is heard as a click.
4. What a session must not share (serializer, mixer, filter, analyzer) may be given as an object with ``fresh()``, a
   class, or a factory: ``per_session`` makes each session's own.
"""

import math
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, cast, final
from urllib.parse import urlsplit

from attrs import Attribute, Factory, field, frozen

from .audio.filters import AudioFilter
from .audio.loudness import MAX_VOLUME
from .audio.mixer import AudioMixer
from .audio.resample import MAX_RATE, MIN_RATE
from .serializers.protocol import FrameSerializer, check_destinations, message_bytes_needed
from .vad.analyzer import VADAnalyzer
from .vad.turns import TurnAnalyzer
from .video.codec import codec_named
from .video.pixels import PIXEL_FORMATS, PixelFormat
from .video.shaping import PictureFit

SerializerSource: TypeAlias = FrameSerializer | Callable[[], FrameSerializer]
MixerSource: TypeAlias = AudioMixer | Callable[[], AudioMixer]
FilterSource: TypeAlias = AudioFilter | Callable[[], AudioFilter]
AnalyzerSource: TypeAlias = VADAnalyzer | Callable[[], VADAnalyzer]
TurnAnalyzerSource: TypeAlias = TurnAnalyzer | Callable[[], TurnAnalyzer]
SessionTimeoutAction: TypeAlias = Literal["notify", "close"]
PeerGoneAction: TypeAlias = Literal["continue", "cancel"]


def _named(instance: object, attribute: "Attribute[Any]") -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def _flag(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is not bool:
        raise TypeError(f"{_named(instance, attribute)} must be True or False, not {value!r}")


def _number(
    *, above: float | None = None, least: float | None = None, optional: bool = False, whole: bool = False
) -> Callable[[object, "Attribute[Any]", Any], None]:
    """Check for a finite number; ``above`` is an exclusive lower bound, ``least`` an inclusive one."""
    kind = "a whole number" if whole else "a number"
    bound = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
    wanted = f"{kind}{bound}" + (" or None" if optional else "")

    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise TypeError(f"{_named(instance, attribute)} must be {wanted}, not {value!r}")
        if not math.isfinite(value) or (above is not None and value <= above) or (least is not None and value < least):
            raise ValueError(f"{_named(instance, attribute)} must be {wanted}, not {value!r}")

    return check


def _volume(instance: object, attribute: "Attribute[Any]", value: float) -> None:
    _number(least=0)(instance, attribute, value)
    if value > MAX_VOLUME:
        raise ValueError(f"{_named(instance, attribute)} must be {MAX_VOLUME:g} at most, not {value!r}: 1 is as it is")


def _rate(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    wanted = f"a whole number of Hz between {MIN_RATE} and {MAX_RATE}, or None"
    if type(value) is not int:
        raise TypeError(f"{_named(instance, attribute)} must be {wanted}, not {value!r}")
    if not MIN_RATE <= value <= MAX_RATE:
        raise ValueError(f"{_named(instance, attribute)} must be {wanted}, not {value!r}")


def _one_of(*allowed: str) -> Callable[[object, "Attribute[Any]", Any], None]:
    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{_named(instance, attribute)} must be one of {', '.join(allowed)}, not {value!r}")

    return check


def _members(*names: str, optional: bool = True) -> Callable[[object, "Attribute[Any]", Any], None]:
    """Check for an object with these members, or something to call that makes one."""

    def check(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        if value is None and optional:
            return
        missing = [name for name in names if not hasattr(value, name)]
        if missing and not callable(value):
            raise TypeError(
                f"{_named(instance, attribute)} must have {', '.join(names)} or be a factory of such an object; "
                f"{value!r} lacks {', '.join(missing)}"
            )

    return check


def _names(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _name_tuple(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name for name in value):
        raise TypeError(f"{_named(instance, attribute)} must be a sequence of non-empty names, not {value!r}")
    if len(set(value)) != len(value):
        raise ValueError(f"{_named(instance, attribute)} names a destination twice: {value!r}")


def _ssl(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise TypeError(f"{_named(instance, attribute)} must be an ssl.SSLContext or None, not {value!r}")


def _callable(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{_named(instance, attribute)} must be an async callable or None, not {value!r}")


_MIXER = _members("start", "mix", "control", "stop")


def _mixers(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    for mixer in value.values() if isinstance(value, Mapping) else (value,):
        _MIXER(instance, attribute, mixer)


def _headers(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise TypeError(f"{_named(instance, attribute)} must be a mapping of str to str, not {value!r}")


def _text(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{_named(instance, attribute)} must be a str or None, not {value!r}")


def _path(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    wanted = f"{_named(instance, attribute)} must be a path that begins with a slash, or None, not {value!r}"
    if value is not None and not isinstance(value, str):
        raise TypeError(wanted)
    if value is not None and not value.startswith("/"):
        raise ValueError(wanted)


def _codec(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    _text(instance, attribute, value)
    if isinstance(value, str):
        try:
            codec_named(value)
        except ValueError as exc:
            raise ValueError(f"{_named(instance, attribute)}: {exc}") from None
        if find_spec("PIL") is None:
            raise ValueError(
                f"{_named(instance, attribute)} needs the 'video' extra: pip install 'trio-transports[video]'"
            )


def _policy(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, ReconnectPolicy):
        raise TypeError(f"{_named(instance, attribute)} must be a ReconnectPolicy or None, not {value!r}")


def _strings(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Collection) or not all(isinstance(v, str) for v in value):
        raise TypeError(f"{_named(instance, attribute)} must be a collection of strings, not {value!r}")


def _origins(instance: object, attribute: "Attribute[Any]", value: object) -> None:
    _strings(instance, attribute, value)
    for origin in cast("Collection[str] | None", value) or ():
        if origin not in ("*", "null") and not _is_origin(origin):
            raise ValueError(
                f"{_named(instance, attribute)} has {origin!r}, which no browser ever names and so nothing matches: "
                "write scheme and host, and the port if it is not the scheme's own ('https://app.example', "
                "'http://localhost:3000'), or '*' for every origin"
            )


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:  # a port that is no number, a bracket left open
        return False
    host = parts.hostname or ""
    is_host = bool(host) and host.isascii() and "*" not in host and "@" not in parts.netloc
    is_all = not (parts.path.strip("/") or parts.query or parts.fragment)
    return bool(parts.scheme) and is_host and is_all and port != 0


def check_quick(out_filter: object, where: str) -> None:
    """Raise ValueError for a filter of outgoing audio that is too slow to keep time."""
    if getattr(out_filter, "slow", False) is True:
        raise ValueError(
            f"{where}.audio_out_filter is slow: it would work in a thread, and what it makes would be late. "
            "Filter the audio before it is sent instead"
        )


@final
@frozen(kw_only=True)
class ReconnectPolicy:
    """When a client dials again: exponential backoff with jitter, until ``max_attempts`` in a row have failed.

    An attempt has failed too if its connection did not last ``stable_after`` seconds: see ``wire.dialling``.
    """

    max_attempts: int | None = field(default=None, validator=_number(least=1, optional=True, whole=True))
    initial_delay: float = field(default=0.5, validator=_number(least=0))
    max_delay: float = field(default=30.0, validator=_number(least=0))
    multiplier: float = field(default=2.0, validator=_number(least=1))
    jitter: float = field(default=0.5, validator=_number(least=0))
    max_queued_audio_secs: float = field(default=1.0, validator=_number(least=0))
    stable_after: float = field(default=5.0, validator=_number(least=0))

    def __attrs_post_init__(self) -> None:
        if self.max_delay < self.initial_delay:
            raise ValueError("ReconnectPolicy.max_delay must not be below initial_delay")
        if self.jitter > 1:
            raise ValueError("ReconnectPolicy.jitter is a share of the delay: it must be between 0 and 1")

    def delay_s(self, attempt: int, random: float) -> float:
        """The wait before ``attempt`` (from 1), made shorter by up to ``jitter`` of itself by ``random`` in [0, 1)."""
        exponent = min(attempt - 1, 64)
        delay = min(self.max_delay, self.initial_delay * self.multiplier**exponent)
        return delay * (1 - self.jitter * random)


@frozen(kw_only=True)
class TransportParams:
    """What every transport takes."""

    audio_out_enabled: bool = field(default=False, validator=_flag)
    audio_out_sample_rate: int | None = field(default=None, validator=_rate)
    audio_out_channels: int = field(default=1, validator=_number(least=1, whole=True))
    audio_out_bitrate: int = field(default=96000, validator=_number(least=1, whole=True))
    audio_out_10ms_chunks: int = field(default=4, validator=_number(least=1, whole=True))
    audio_out_mixer: MixerSource | Mapping[str | None, MixerSource] | None = field(default=None, validator=_mixers)
    audio_out_volume: float = field(default=1.0, validator=_volume)
    audio_out_filter: FilterSource | None = field(
        default=None, validator=_members("start", "filter", "control", "stop")
    )
    audio_out_destinations: tuple[str, ...] = field(default=(), converter=_names, validator=_name_tuple)
    audio_out_end_silence_secs: float = field(default=2, validator=_number(least=0))
    audio_out_auto_silence: bool = field(default=True, validator=_flag)
    audio_out_max_queue_secs: float = field(default=60.0, validator=_number(above=0))
    audio_out_lead_ms: float = field(default=0, validator=_number(least=0))

    audio_in_enabled: bool = field(default=False, validator=_flag)
    audio_in_sample_rate: int | None = field(default=None, validator=_rate)
    audio_in_channels: int = field(default=1, validator=_number(least=1, whole=True))
    audio_in_filter: FilterSource | None = field(default=None, validator=_members("start", "filter", "control", "stop"))
    audio_in_stream_on_start: bool = field(default=True, validator=_flag)
    audio_in_passthrough: bool = field(default=True, validator=_flag)
    audio_in_max_queue_secs: float = field(default=5.0, validator=_number(above=0))
    audio_in_jitter_ms: float = field(default=0, validator=_number(least=0))

    vad_enabled: bool = field(default=False, validator=_flag)
    vad_analyzer: AnalyzerSource | None = field(default=None, validator=_members("start", "analyze", "stop"))
    vad_audio_passthrough: bool = field(default=True, validator=_flag)
    turn_analyzer: TurnAnalyzerSource | None = field(default=None, validator=_members("is_complete"))
    """Says, beside voice activity, whether a pause ends the turn; until it does, the user has not stopped speaking."""
    turn_max_pause_secs: float = field(default=2.0, validator=_number(above=0))
    """A pause of that length ends the turn, whatever the turn analyzer says."""
    allow_interruptions: bool = field(default=False, validator=_flag)

    video_in_enabled: bool = field(default=False, validator=_flag)
    video_out_enabled: bool = field(default=False, validator=_flag)
    video_out_is_live: bool = field(default=False, validator=_flag)
    video_out_width: int = field(default=1024, validator=_number(least=1, whole=True))
    video_out_height: int = field(default=768, validator=_number(least=1, whole=True))
    video_out_bitrate: int | None = field(default=None, validator=_number(least=1, optional=True, whole=True))
    video_out_framerate: int = field(default=30, validator=_number(least=1, whole=True))
    video_out_color_format: PixelFormat = field(default="RGB", validator=_one_of(*PIXEL_FORMATS))
    video_out_codec: str | None = field(default=None, validator=_codec)
    video_out_destinations: tuple[str, ...] = field(default=(), converter=_names, validator=_name_tuple)
    video_out_fit: PictureFit = field(default="letterbox", validator=_one_of("letterbox", "stretch"))
    """How a picture of other proportions fills its track: with black beside it, or out of shape."""
    video_out_max_queue_bytes: int = field(default=32 * 1024 * 1024, validator=_number(least=1, whole=True))
    """So much memory may wait on one picture track; then sending waits for room."""

    add_wav_header: bool = field(default=False, validator=_flag)
    serializer: SerializerSource | None = field(default=None, validator=_members("encode", "decode"))
    fixed_audio_packet_size: int | None = field(default=None, validator=_number(least=2, optional=True, whole=True))

    session_timeout: float | None = field(default=None, validator=_number(above=0, optional=True))
    session_timeout_action: SessionTimeoutAction = field(default="notify", validator=_one_of("notify", "close"))
    on_peer_gone: PeerGoneAction = field(default="continue", validator=_one_of("continue", "cancel"))
    idle_timeout: float | None = field(default=None, validator=_number(above=0, optional=True))
    connect_timeout: float = field(default=10, validator=_number(above=0))
    send_timeout: float = field(default=10, validator=_number(above=0))
    close_timeout: float = field(default=2, validator=_number(above=0))
    drain_timeout: float | None = field(default=None, validator=_number(least=0, optional=True))
    ping_interval: float | None = field(default=20, validator=_number(above=0, optional=True))
    ping_timeout: float | None = field(default=20, validator=_number(above=0, optional=True))
    max_message_bytes: int = field(
        default=Factory(lambda self: message_bytes_needed(self.serializer), takes_self=True),
        validator=_number(least=1, whole=True),
    )
    max_unread_bytes: int = field(default=4 * 1024 * 1024, validator=_number(least=1, whole=True))
    max_malformed: int = field(default=100, validator=_number(least=1, whole=True))
    ssl_context: ssl.SSLContext | None = field(default=None, validator=_ssl)

    silence_grace_ms: float = field(default=60, validator=_number(least=0))
    silence_max_secs: float | None = field(default=2, validator=_number(least=0, optional=True))
    catch_up_ms: float = field(default=400, validator=_number(least=0))
    partial_flush_ms: float = field(default=100, validator=_number(least=0))

    hang_up: Callable[..., Awaitable[object]] | None = field(default=None, validator=_callable)
    hang_up_timeout: float = field(default=5, validator=_number(above=0))

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
        check_quick(self.audio_out_filter, where)
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


@final
@frozen(kw_only=True)
class WebsocketClientParams(TransportParams):
    """Parameters of a client. No serializer means protobuf where that extra is installed, else JSON."""

    additional_headers: Mapping[str, str] | None = field(default=None, validator=_headers, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), converter=_names, validator=_name_tuple)
    reconnect: ReconnectPolicy | None = field(default=None, validator=_policy)


@frozen(kw_only=True)
class _AcceptingParams(TransportParams):
    """What the two transports that accept callers share: a serializer is required, callers can be refused."""

    allowed_origins: Collection[str] | None = field(default=None, validator=_origins)
    authorize: Callable[..., Awaitable[Any]] | None = field(default=None, validator=_callable)
    subprotocols: tuple[str, ...] = field(default=(), converter=_names, validator=_name_tuple)
    max_messages_per_second: float | None = field(default=None, validator=_number(above=0, optional=True))
    max_bytes_per_second: float | None = field(default=None, validator=_number(above=0, optional=True))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.serializer is None:
            raise ValueError(
                f"{type(self).__name__}.serializer is required: without one every frame would be lost; "
                "pass serializer=JSONFrameSerializer() or another"
            )


@final
@frozen(kw_only=True)
class WebsocketServerParams(_AcceptingParams):
    """Parameters of the standalone server. ``max_sessions=1`` is the replaced server's one client at a time."""

    max_sessions: int | None = field(default=None, validator=_number(least=1, optional=True, whole=True))
    max_connections_per_address: int | None = field(default=None, validator=_number(least=1, optional=True, whole=True))
    max_handshakes_per_second: float | None = field(default=None, validator=_number(above=0, optional=True))
    health_path: str | None = field(default="/health", validator=_path)


@final
@frozen(kw_only=True)
class AsgiWebsocketParams(_AcceptingParams):
    """Parameters of a session inside an ASGI app."""
