"""Parameters from a file: what is taken, and how each mistake is told."""

import re
from pathlib import Path

import attrs
import pytest
from attrs import evolve

from tests.tools import requires_module
from trio_transports import Session, TransportParams
from trio_transports.params import AsgiWebsocketParams, ReconnectPolicy, WebsocketClientParams, WebsocketServerParams
from trio_transports.playground.routes import bot_params
from trio_transports.serializers.json import JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protocol import per_session
from trio_transports.serve import Bot, ServeOptions
from trio_transports.serve.params_file import ParamsFileError, load_params
from trio_transports.vad.energy import EnergyVADAnalyzer


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "bot.toml"
    file.write_text(text)
    return file


def test_a_file_becomes_parameters(tmp_path: Path) -> None:
    """Numbers, flags, lists and names each become what the parameter takes."""
    file = written(
        tmp_path,
        """
        # the bot's ears
        audio_in_enabled = true
        audio_in_sample_rate = 16000
        vad_enabled = true
        vad_analyzer = "energy"
        serializer = "json"
        allowed_origins = ["https://app.example"]
        audio_out_destinations = ["a", "b"]
        session_timeout = 300
        session_timeout_action = "close"
        """,
    )
    params = AsgiWebsocketParams(**load_params(file, AsgiWebsocketParams))
    assert params.audio_in_enabled
    assert params.audio_in_sample_rate == 16000
    assert params.vad_analyzer is EnergyVADAnalyzer
    assert params.serializer is JSONFrameSerializer
    assert params.audio_out_destinations == ("a", "b")
    assert params.session_timeout_action == "close"


def test_a_table_is_a_policy(tmp_path: Path) -> None:
    file = written(tmp_path, 'serializer = "json"\n[reconnect]\nmax_attempts = 3\n')
    assert WebsocketClientParams(**load_params(file, WebsocketClientParams)).reconnect == ReconnectPolicy(
        max_attempts=3
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\naudio_in_sample_rat = 16000",
            "line 2: audio_in_sample_rat is not a parameter of .*did you mean audio_in_sample_rate",
        ),
        ("a = 1", "line 1: a is not a parameter"),
        ("audio_in_enabled = 1", "line 1: AsgiWebsocketParams.audio_in_enabled must be True or False, not 1"),
        ('# x\n\nsession_timeout = "long"', "line 3: AsgiWebsocketParams.session_timeout must be a number"),
        ('session_timeout_action = "maybe"', "line 1: .*must be one of notify, close, not 'maybe'"),
        ('serializer = "xml"', "line 1: serializer must be one of json, protobuf"),
        ('serializer = { name = "xml" }', "line 1: serializer must be one of json, protobuf"),
        ('serializer = { encoding = "OPUS" }', "line 1: serializer must be one of json, protobuf"),
        ('serializer = { name = "packed", coding = "OPUS" }', "line 1: serializer: coding is not a setting of pack"),
        (
            'serializer = { name = "json", rate = 1 }',
            "line 1: serializer: rate is not a setting of json; it has binary",
        ),
        ('serializer = { name = "packed", encoding = "MP3" }', "line 1: 'encoding' must be in"),
        ('\n[vad_analyzer]\nname = "energy"\nparams = {}', "line 4: vad_analyzer: params is set in code"),
        ('authorize = "me"', "line 1: authorize is set in code"),
        ('hang_up = { url = "x" }', "line 1: hang_up is set in code, not in a file: it takes an async function"),
        ("audio_out_mixer = {}", "line 1: audio_out_mixer is set in code"),
        (
            '\n[serializer]\n\nname = "packed"\naudio_in_enabled = true',
            r"line 5: serializer: audio_in_enabled is not a setting of packed; .*it stands above \[serializer\]",
        ),
        # each is right by itself, and they do not go together
        ('vad_enabled = false\nserializer = "json"\nvad_analyzer = "energy"', "lines 1 and 3: .*vad_analyzer is given"),
        ('serializer = "json"\n\nallow_interruptions = true', "line 3: .*allow_interruptions needs vad_enabled=True"),
        (
            'video_out_width = 9000\nserializer = "json"\nvideo_out_height = 9000',
            "lines 1 and 3: .*video_out_width times video_out_height",
        ),
        ("audio_in_enabled = \nx = 1", "not TOML: .*line 1"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ParamsFileError, match=said) as caught:
        load_params(written(tmp_path, text), AsgiWebsocketParams)
    assert "bot.toml" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'serializer = { name = "packed", encoding = "OPUS", opus_rate = 16000 }\naudio_out_bitrate = 32000\n',
        'audio_out_bitrate = 32000\n[serializer]\nname = "packed"\nencoding = "OPUS"\nopus_rate = 16000\n',
    ],
)
def test_a_serializer_has_its_settings(tmp_path: Path, text: str) -> None:
    """The packed dialect with Opus, as a table of either spelling; each session has coders of its own."""
    pytest.importorskip("av")
    params = WebsocketServerParams(**load_params(written(tmp_path, text), WebsocketServerParams))
    one, other = per_session(params.serializer), per_session(params.serializer)
    assert isinstance(one, PackedFrameSerializer)
    assert one is not other
    assert (one.encoding, one.opus_rate) == ("OPUS", 16000)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "audio_in_enabled = 1\naudio_out_channels = 0\nnope = 2\n")
    with pytest.raises(ParamsFileError) as caught:
        load_params(file, AsgiWebsocketParams)
    assert [line.split(": ")[0].rpartition(", ")[2] for line in str(caught.value).splitlines()] == [
        "line 1",
        "line 2",
        "line 3",
    ]


def test_a_server_without_a_serializer_is_told_so(tmp_path: Path) -> None:
    """What is right line by line can still be wrong as a whole."""
    with pytest.raises(ParamsFileError, match="serializer"):
        load_params(written(tmp_path, "audio_in_enabled = true"), WebsocketServerParams)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsFileError, match="cannot be read"):
        load_params(tmp_path / "none.toml", AsgiWebsocketParams)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[reconnect]\n\nmax_atempts = 3", ["line 3: reconnect: max_atempts is not a setting", "mean max_attempts?"]),
        ("reconnect.nonsense = 3", ["line 1: reconnect: nonsense is not a setting of ReconnectPolicy"]),
        ("reconnect = { jitter = -1 }", ["line 1: ReconnectPolicy.jitter must be"]),
        ("reconnect = 5", ["line 1: reconnect must be a table"]),
        ("[reconnect]\nmax_delay = 1\njitter = 0.1\ninitial_delay = 2", ["lines 2 and 4: ReconnectPolicy.max_delay"]),
        ("[reconnect]\njitter = 2\nmax_delay = 1", ["line 2: ReconnectPolicy.jitter is a share"]),
        ("[additional_headers]\nA = 'b'\nB = 5", ["lines 2 and 3: WebsocketClientParams.additional_headers must be"]),
        (
            "[reconnect]\nmax_attempts = 0\nserializer = 'json'\njitter = true",
            [
                "line 2: ReconnectPolicy.max_attempts must be",
                "line 3: reconnect: serializer is not a setting of ReconnectPolicy; as a parameter it stands above",
                "line 4: ReconnectPolicy.jitter must be",
            ],
        ),
    ],
)
def test_a_mistake_inside_a_table_has_its_own_line(tmp_path: Path, text: str, said: list[str]) -> None:
    """One for each, in the order of the file."""
    with pytest.raises(ParamsFileError) as caught:
        load_params(written(tmp_path, text), WebsocketClientParams)
    lines = str(caught.value).splitlines()
    told = [line for line in said if line.startswith("line")]
    assert len(lines) == len(told)
    for line, beginning in zip(lines, told, strict=True):
        assert line.startswith(f"{tmp_path / 'bot.toml'}, {beginning}")
    assert all(each in str(caught.value) for each in said)


BASE: dict[str, object] = {
    "serializer": JSONFrameSerializer,
    "audio_enabled": True,
    "vad_enabled": True,
    "vad_analyzer": EnergyVADAnalyzer,
    "video_in_enabled": True,
    "video_out_enabled": True,
    "video_out_codec": "JPEG",
}
TAKEN = {
    "serializer": '"json"',
    "vad_analyzer": '"silero"',
    "turn_analyzer": '"prosody"',
    "reconnect": "{ max_attempts = 2 }",
    "additional_headers": '{ a = "b" }',
    "allowed_origins": '["https://app.example"]',
    "health_path": '"/alive"',
    "fixed_audio_packet_size": "320",
    "session_timeout_action": '"close"',
    "on_peer_gone": '"cancel"',
    "video_out_fit": '"stretch"',
    "video_out_codec": '"WEBP"',
    "video_in_color_format": '"GRAY"',
    "video_out_color_format": '"GRAY"',
}
ANY = ("true", "1", "16000", "[]")
"""One of these is taken by every other parameter."""


@pytest.mark.parametrize("kind", [WebsocketClientParams, WebsocketServerParams, AsgiWebsocketParams])
def test_every_parameter_is_named_or_refused_with_a_reason(tmp_path: Path, kind: type[TransportParams]) -> None:
    """No parameter is forgotten: it has a value in a file, or the file is told that code has to set it, and why."""
    requires_module("PIL", extra="video")
    base, refused = kind(**BASE), list[str]()  # type: ignore[arg-type]
    for attribute in attrs.fields(kind):
        name, told = attribute.name, list[str]()
        for value in (TAKEN[name],) if name in TAKEN else ANY:
            try:
                values = load_params(written(tmp_path, f"\n{name} = {value}"), kind, base)
            except ParamsFileError as exc:
                told.append(str(exc))
            else:
                assert name in values
                break
        else:
            refused.append(name)
            why = f"{tmp_path / 'bot.toml'}, line 2: {name} is set in code, not in a file: it takes an? .*"
            assert all(re.fullmatch(why, each) for each in told), told
    assert set(refused) == {name for name in IN_CODE if name in attrs.fields_dict(kind)}


IN_CODE = ("audio_in_filter", "audio_out_filter", "audio_out_mixer", "authorize", "hang_up", "ssl_context")


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("vad_enabled = false", {"vad_enabled", "allow_interruptions"}),
        ("audio_in_enabled = false", {"audio_in_enabled", "vad_enabled", "allow_interruptions"}),
        ("audio_enabled = false", {"audio_in_enabled", "audio_out_enabled", "vad_enabled", "allow_interruptions"}),
        ("audio_enabled = false\naudio_out_enabled = true", {"audio_in_enabled", "vad_enabled", "allow_interruptions"}),
    ],
)
def test_what_a_bot_usually_has_can_be_turned_off(tmp_path: Path, text: str, off: set[str]) -> None:
    """``serve`` brings an analyzer and interruptions: a file that wants none of that need not know what they are."""
    params = evolve(bot_params(), **load_params(written(tmp_path, text), AsgiWebsocketParams, bot_params()))
    assert {name for name in ("audio_in_enabled", "audio_out_enabled", "vad_enabled", "allow_interruptions")
            if not getattr(params, name)} == off  # fmt: skip
    assert params.vad_analyzer is None
    for bot in (Bot(handler=quiet, name="a"), Bot(handler=quiet, name="b", interrupts_itself=True)):
        served = ServeOptions(params_file=str(tmp_path / "bot.toml")).params_for(bot)
        assert (served.vad_enabled, served.vad_analyzer) == (False, None)


def test_what_a_file_wants_itself_it_does_not_turn_off(tmp_path: Path) -> None:
    """It is told that its own wishes contradict each other."""
    text = 'vad_enabled = false\n\nallow_interruptions = true\nvad_analyzer = "energy"'
    with pytest.raises(ParamsFileError, match=r"lines 1 and 3: AsgiWebsocketParams\.allow_interruptions needs"):
        load_params(written(tmp_path, text), AsgiWebsocketParams, bot_params())


async def quiet(session: Session) -> None:
    """A bot that says nothing."""
