"""Parameters from a file: what is taken, and how each mistake is told."""

from pathlib import Path

import pytest

from trio_transports.params import AsgiWebsocketParams, ReconnectPolicy, WebsocketClientParams, WebsocketServerParams
from trio_transports.serializers.json import JSONFrameSerializer
from trio_transports.serializers.packed import PackedFrameSerializer
from trio_transports.serializers.protocol import per_session
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
        ('\n[vad_analyzer]\nname = "energy"\nparams = {}', "line 2: vad_analyzer: params is set in code"),
        ('authorize = "me"', "line 1: authorize is set in code"),
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
