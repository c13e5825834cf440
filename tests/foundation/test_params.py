"""The parameter classes: their fields, their defaults, and what each refuses."""

import math
import ssl
from collections.abc import Mapping
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports import (
    AsgiWebsocketParams,
    ReconnectPolicy,
    TransportParams,
    WebsocketClientParams,
    WebsocketServerParams,
)
from trio_transports.audio.filters import HighPass
from trio_transports.audio.mixer import AudioMixer
from trio_transports.params import MixerSource
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.vad import EnergyVADAnalyzer

JSON: Final = JSONFrameSerializer()
CLASSES: Final[Mapping[type[TransportParams], Mapping[str, Any]]] = {
    TransportParams: {},
    WebsocketClientParams: {},
    WebsocketServerParams: {"serializer": JSON},
    AsgiWebsocketParams: {"serializer": JSON},
}
"""Every parameter class, with what it cannot be made without."""

REPLACED: Final[Mapping[str, object]] = {
    "audio_out_enabled": False,
    "audio_out_sample_rate": None,
    "audio_out_channels": 1,
    "audio_out_bitrate": 96000,
    "audio_out_10ms_chunks": 4,
    "audio_out_mixer": None,
    "audio_out_volume": 1.0,
    "audio_out_filter": None,
    "audio_out_destinations": (),
    "audio_out_end_silence_secs": 2,
    "audio_out_auto_silence": True,
    "audio_in_enabled": False,
    "audio_in_sample_rate": None,
    "audio_in_channels": 1,
    "audio_in_filter": None,
    "audio_in_stream_on_start": True,
    "audio_in_passthrough": True,
    "vad_enabled": False,
    "vad_analyzer": None,
    "vad_audio_passthrough": True,
    "video_in_enabled": False,
    "video_out_enabled": False,
    "video_out_is_live": False,
    "video_out_width": 1024,
    "video_out_height": 768,
    "video_out_bitrate": None,
    "video_out_framerate": 30,
    "video_out_color_format": "RGB",
    "video_out_codec": None,
    "video_out_destinations": (),
    "add_wav_header": False,  # the one that differs: the client's was True
    "session_timeout": None,
    "fixed_audio_packet_size": None,
}
"""What the parameters of the replaced systems are called, and their defaults."""

NEW: Final[Mapping[str, object]] = {
    "audio_enabled": False,
    "turn_analyzer": None,
    "turn_max_pause_secs": 2,
    "allow_interruptions": False,
    "audio_out_max_queue_secs": 60,
    "audio_in_max_queue_secs": 5,
    "audio_out_lead_ms": 0,
    "video_in_color_format": None,
    "video_in_max_pixels": 2 * 1024 * 1024,
    "video_in_max_queue_pictures": 3,
    "video_out_fit": "letterbox",
    "video_out_max_queue_bytes": 32 * 1024 * 1024,
    "session_timeout_action": "notify",
    "on_peer_gone": "continue",
    "idle_timeout": None,
    "connect_timeout": 10,
    "send_timeout": 10,
    "close_timeout": 2,
    "drain_timeout": None,
    "ping_interval": 20,
    "ping_timeout": 20,
    "max_message_bytes": 1024 * 1024,
    "max_unread_bytes": 4 * 1024 * 1024,
    "audio_in_jitter_ms": 0,
    "max_malformed": 100,
    "ssl_context": None,
    "silence_grace_ms": 60,
    "silence_max_secs": 2,
    "catch_up_ms": 400,
    "partial_flush_ms": 100,
    "hang_up": None,
    "hang_up_timeout": 5,
}

OWN: Final[Mapping[type[TransportParams], Mapping[str, object]]] = {
    TransportParams: {"serializer": None},
    WebsocketClientParams: {"serializer": None, "additional_headers": None, "subprotocols": (), "reconnect": None},
    WebsocketServerParams: {
        "serializer": JSON,
        "allowed_origins": None,
        "authorize": None,
        "subprotocols": (),
        "max_messages_per_second": None,
        "max_bytes_per_second": None,
        "max_sessions": None,
        "max_connections_per_address": None,
        "max_handshakes_per_second": None,
        "health_path": "/health",
        "share_wakes": True,
    },
    AsgiWebsocketParams: {
        "serializer": JSON,
        "allowed_origins": None,
        "authorize": None,
        "subprotocols": (),
        "max_messages_per_second": None,
        "max_bytes_per_second": None,
    },
}

NAN, INF = math.nan, math.inf
NO_FLAG: Final = (0, 1, None, "yes")
NO_NAMES: Final = ("left", ("",), (1,), ("left", "left"), None)
NO_COUNT: Final = (0, -1, 1.5, "1", True)
NO_RATE: Final = (*NO_COUNT, 999, 768_001)
NO_DURATION: Final = (0, -1, NAN, INF, "1", True)
NO_LENGTH: Final = (-1, NAN, INF, "1", True)
BAD: Final[Mapping[str, tuple[object, ...]]] = {
    "audio_out_enabled": NO_FLAG,
    "audio_out_sample_rate": NO_RATE,
    "audio_out_channels": (*NO_COUNT, None),
    "audio_out_bitrate": (*NO_COUNT, None),
    "audio_out_10ms_chunks": (*NO_COUNT, None),
    "audio_out_mixer": (3, "bed.wav", {None: 3}),
    "audio_out_volume": (*NO_LENGTH, None, 10.5),
    "audio_out_filter": (3, "gain"),
    "audio_out_destinations": NO_NAMES,
    "audio_out_end_silence_secs": (*NO_LENGTH, None),
    "audio_out_auto_silence": NO_FLAG,
    "audio_out_max_queue_secs": (*NO_DURATION, None),
    "audio_out_lead_ms": (*NO_LENGTH, None),
    "audio_enabled": NO_FLAG,
    "audio_in_enabled": NO_FLAG,
    "audio_in_sample_rate": NO_RATE,
    "audio_in_channels": (*NO_COUNT, None),
    "audio_in_filter": (3, "hum"),
    "audio_in_stream_on_start": NO_FLAG,
    "audio_in_passthrough": NO_FLAG,
    "audio_in_max_queue_secs": (*NO_DURATION, None),
    "audio_in_jitter_ms": (*NO_LENGTH, None),
    "vad_enabled": NO_FLAG,
    "vad_analyzer": (3, "silero"),
    "vad_audio_passthrough": NO_FLAG,
    "turn_analyzer": (3, "smart"),
    "turn_max_pause_secs": (*NO_DURATION, None),
    "allow_interruptions": NO_FLAG,
    "video_in_enabled": NO_FLAG,
    "video_out_enabled": NO_FLAG,
    "video_out_is_live": NO_FLAG,
    "video_out_width": (*NO_COUNT, None),
    "video_out_height": (*NO_COUNT, None),
    "video_out_bitrate": NO_COUNT,
    "video_out_framerate": (*NO_COUNT, None),
    "video_out_color_format": ("rgb", "", None, 3),
    "video_out_codec": (3, b"vp8"),
    "video_out_destinations": NO_NAMES,
    "video_in_color_format": ("rgb", "", 3),
    "video_in_max_pixels": (*NO_COUNT, None),
    "video_in_max_queue_pictures": (*NO_COUNT, None),
    "video_out_fit": ("crop", 1, None),
    "video_out_max_queue_bytes": (0, -1, 1.5, None, "1"),
    "add_wav_header": NO_FLAG,
    "serializer": (3, "json"),
    "fixed_audio_packet_size": (0, 1, -1, 1.5, "160", True),
    "session_timeout": NO_DURATION,
    "session_timeout_action": ("ignore", "", None, True),
    "on_peer_gone": ("close", "", None, True),
    "idle_timeout": NO_DURATION,
    "connect_timeout": (*NO_DURATION, None),
    "send_timeout": (*NO_DURATION, None),
    "close_timeout": (*NO_DURATION, None),
    "drain_timeout": NO_LENGTH,
    "ping_interval": NO_DURATION,
    "ping_timeout": NO_DURATION,
    "max_message_bytes": (*NO_COUNT, None),
    "max_unread_bytes": (*NO_COUNT, None),
    "max_malformed": (*NO_COUNT, None),
    "ssl_context": (True, "cert.pem"),
    "silence_grace_ms": (*NO_LENGTH, None),
    "silence_max_secs": NO_LENGTH,
    "catch_up_ms": (*NO_LENGTH, None),
    "partial_flush_ms": (*NO_LENGTH, None),
    "hang_up": (3, "https://"),
    "hang_up_timeout": (*NO_DURATION, None),
    "additional_headers": ("a: b", [("a", "b")], {"a": 1}, {1: "a"}),
    "subprotocols": NO_NAMES,
    "reconnect": (True, 3, {"max_attempts": 3}),
    "allowed_origins": ("https://example.org", 3, [3]),
    "authorize": (3, "token"),
    "max_messages_per_second": NO_DURATION,
    "max_bytes_per_second": NO_DURATION,
    "max_sessions": NO_COUNT,
    "max_connections_per_address": NO_COUNT,
    "max_handshakes_per_second": NO_DURATION,
    "health_path": ("health", "", 3, True),
    "share_wakes": NO_FLAG,
}

every_class = pytest.mark.parametrize("kind", CLASSES)


def make(kind: type[TransportParams], **changes: object) -> TransportParams:
    return kind(**{**CLASSES[kind], **changes})


@every_class
def test_every_field_has_the_name_and_default_it_replaces(kind: type[TransportParams]) -> None:
    """A call that worked with the replaced systems works here, and nothing is there that is not written down."""
    made = make(kind)
    expected = {**REPLACED, **NEW, **OWN[kind]}
    assert {field.name: getattr(made, field.name) for field in attrs.fields(kind)} == expected


@every_class
def test_every_field_is_validated(kind: type[TransportParams]) -> None:
    """The table of bad values has a row for each field."""
    assert {field.name for field in attrs.fields(kind)} <= set(BAD)


@every_class
def test_a_bad_value_is_told_with_class_and_field(kind: type[TransportParams]) -> None:
    """A bad value is a ValueError or TypeError at construction that says which field of which class, and the value."""
    for field in attrs.fields(kind):
        for value in BAD[field.name]:
            with pytest.raises(
                (ValueError, TypeError), match=rf"^{kind.__name__}\.{field.name} (must|names)"
            ) as caught:
                make(kind, **{field.name: value})
            if not isinstance(value, Mapping):
                assert repr(value) in str(caught.value)


@every_class
def test_parameters_are_values(kind: type[TransportParams]) -> None:
    """Keyword-only, frozen, equal when their fields are; evolve checks again."""
    with pytest.raises(TypeError):
        kind(True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no_such_field"):
        make(kind, no_such_field=1)
    made = make(kind)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.audio_in_enabled = True  # type: ignore[misc]
    assert made == make(kind)
    assert attrs.evolve(made, audio_in_enabled=True) == make(kind, audio_in_enabled=True)
    with pytest.raises(ValueError, match="max_malformed"):
        attrs.evolve(made, max_malformed=0)


@every_class
def test_audio_both_ways_in_one_word(kind: type[TransportParams]) -> None:
    """``audio_enabled`` is what the two directions are, unless one is given itself."""
    assert (make(kind).audio_in_enabled, make(kind).audio_out_enabled) == (False, False)
    both = make(kind, audio_enabled=True)
    assert (both.audio_in_enabled, both.audio_out_enabled) == (True, True)
    ears = make(kind, audio_enabled=True, audio_out_enabled=False)
    assert (ears.audio_in_enabled, ears.audio_out_enabled) == (True, False)
    assert make(kind, audio_enabled=True, vad_enabled=True).vad_enabled


class Analyzer:
    """A factory made for each session: being one is all that can be known of it here."""

    def __call__(self) -> object:
        return EnergyVADAnalyzer()


@every_class
@pytest.mark.parametrize(
    "settings",
    [
        {"audio_out_destinations": ["left", "right"], "video_out_enabled": True, "video_out_destinations": ["screen"]},
        {
            "audio_in_enabled": True,
            "vad_enabled": True,
            "vad_analyzer": EnergyVADAnalyzer(),
            "allow_interruptions": True,
        },
        {"audio_in_enabled": True, "vad_enabled": True, "vad_analyzer": EnergyVADAnalyzer},
        {"audio_in_enabled": True, "vad_enabled": True, "vad_analyzer": Analyzer()},
        {"audio_in_enabled": True, "audio_in_filter": HighPass()},
        {"audio_in_enabled": True, "audio_in_filter": lambda: HighPass(cutoff_hz=100)},
        {"serializer": JSONFrameSerializer},
        {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
        {"ping_interval": None, "ping_timeout": None},
        {"session_timeout": 180, "session_timeout_action": "close"},
        {"drain_timeout": 0, "silence_max_secs": None, "audio_out_end_silence_secs": 0},
        {"fixed_audio_packet_size": 160},
    ],
)
def test_good_values(kind: type[TransportParams], settings: dict[str, object]) -> None:
    """What the replaced systems took, and what a session of each needs of its own, is taken."""
    made = make(kind, **settings)
    for name, value in settings.items():
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value)


class Mixer:
    """Enough to be one."""

    def start(self, audio_format: object) -> None: ...

    def mix(self, pcm: bytes) -> bytes:
        return pcm

    def control(self, settings: object, enabled: object = None) -> None: ...

    def stop(self) -> None: ...

    def fresh(self) -> AudioMixer:
        return self


@every_class
@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"audio_in_enabled": True, "allow_interruptions": True}, "allow_interruptions", "needs vad_enabled=True"),
        ({"vad_enabled": True}, "vad_enabled", "needs audio_in_enabled=True"),
        ({"audio_in_enabled": True, "vad_analyzer": EnergyVADAnalyzer()}, "vad_analyzer", "set vad_enabled=True"),
        ({"ping_timeout": None}, "ping_timeout", "must be set when ping_interval is"),
        ({"audio_out_mixer": Mixer()}, "audio_out_mixer", "needs audio_out_enabled=True"),
        (
            {"audio_out_enabled": True, "audio_out_mixer": {"left": Mixer()}},
            "audio_out_mixer",
            "audio_out_destinations lacks: left",
        ),
        ({"fixed_audio_packet_size": 160, "add_wav_header": True}, "fixed_audio_packet_size", "exclude each other"),
    ],
)
def test_an_impossible_combination_is_told(
    kind: type[TransportParams], settings: dict[str, object], field: str, says: str
) -> None:
    """What cannot work together is a ValueError that names class and field and says what would work."""
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\.{field} .*{says}"):
        make(kind, **settings)


@pytest.mark.parametrize("kind", [WebsocketServerParams, AsgiWebsocketParams])
def test_no_serializer_is_an_error_where_callers_are_accepted(kind: type[TransportParams]) -> None:
    """Without one every frame would be lost, so it is told at construction and not in a call."""
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\.serializer is required"):
        kind()


def test_a_mixer_for_each_destination() -> None:
    """A mapping may name the destinations and None, the default track."""
    mixers: dict[str | None, MixerSource] = {None: Mixer(), "left": Mixer}
    made = TransportParams(audio_out_enabled=True, audio_out_destinations=("left",), audio_out_mixer=mixers)
    assert made.audio_out_mixer == mixers


# Dialling again


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("initial_delay", -1),
        ("max_delay", "1"),
        ("max_delay", 0.1),
        ("multiplier", 0.5),
        ("jitter", 1.1),
        ("jitter", -0.1),
        ("max_queued_audio_secs", INF),
        ("stable_after", -1),
        ("stable_after", True),
    ],
)
def test_a_bad_reconnect_policy(name: str, value: object) -> None:
    """Each field of the policy is checked, and named."""
    with pytest.raises((ValueError, TypeError), match=rf"^ReconnectPolicy\.{name} "):
        ReconnectPolicy(**{name: value})  # type: ignore[arg-type]


@given(
    attempt=st.integers(1, 10_000),
    random=st.floats(0, 1, exclude_max=True),
    initial=st.floats(0, 10),
    more=st.floats(0, 100),
    multiplier=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
def test_delays(attempt: int, random: float, initial: float, more: float, multiplier: float, jitter: float) -> None:
    """Delays grow up to max_delay, and jitter only takes away, up to its share."""
    policy = ReconnectPolicy(initial_delay=initial, max_delay=initial + more, multiplier=multiplier, jitter=jitter)
    full = policy.delay_s(attempt, 0)
    assert initial <= full <= initial + more
    assert full <= policy.delay_s(attempt + 1, 0)
    assert full * (1 - jitter) <= policy.delay_s(attempt, random) <= full


def test_the_usual_delays() -> None:
    """Half a second, doubled each time, half a minute at most."""
    policy = ReconnectPolicy()
    assert [policy.delay_s(attempt, 0) for attempt in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert policy.delay_s(1, 0.999) == pytest.approx(0.25, abs=0.001)
