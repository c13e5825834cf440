"""Captured messages, decoded and shown."""

import base64
import json
from pathlib import Path

import pytest

from tests.tools import requires_module
from trio_transports.__main__ import main
from trio_transports.audio.wav import read_wav
from trio_transports.frames import AudioFrame, MessageFrame, TextFrame
from trio_transports.serializers import JSONFrameSerializer

AUDIO = AudioFrame(audio=b"\x01\x02" * 320, sample_rate=16000)


def text_of(*frames: AudioFrame | TextFrame | MessageFrame) -> str:
    return "".join(f"{JSONFrameSerializer().encode(frame)[0]!s}\n" for frame in frames)


def test_text_messages_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each message, and a sum."""
    file = tmp_path / "capture.txt"
    file.write_text(text_of(AUDIO, TextFrame(text="hello"), AUDIO) + "\n")
    assert main(["inspect", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "text" in lines[0]
    assert "AudioFrame 20 ms at 16000 Hz mono" in lines[0]
    assert "TextFrame(text='hello')" in lines[1]
    assert lines[-1] == "3 messages, 0 malformed, 2 audio frames of 0.04 s"


def test_json_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json every line is an object; bytes are told by their size."""
    file = tmp_path / "capture.txt"
    file.write_text(text_of(AUDIO, MessageFrame(message={"a": [1]})))
    assert main(["inspect", str(file), "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["frames"][0]["frame"] == "AudioFrame"
    assert first["frames"][0]["audio"] == "640 bytes"
    assert second["frames"] == [{"frame": "MessageFrame", "message": {"a": [1]}, "urgent": False}]


def test_only_line_feeds_part_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line separator inside JSON text, which JSON allows, is part of the message."""
    file = tmp_path / "capture.txt"
    file.write_text('{"type": "text", "text": "a\u2028b"}\r\n{"type": "text", "text": "c"}\n', "utf-8", newline="")
    assert main(["inspect", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 messages, 0 malformed")


def test_malformed_messages_are_told_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are still shown; the exit code is 1."""
    file = tmp_path / "capture.txt"
    file.write_text('{"type": "text"}\n' + text_of(TextFrame(text="fine")))
    assert main(["inspect", str(file)]) == 1
    told = capsys.readouterr()
    assert "malformed: " in told.out
    assert "TextFrame(text='fine')" in told.out
    assert told.err == "trio-transports: 1 of 2 messages are malformed\n"


@pytest.mark.parametrize("form", ["base64", "hex", "bare"])
def test_binary_messages_in_every_form(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Base64 and hex lines, and a file that is one binary message, decode to the same."""
    requires_module("google.protobuf", extra="protobuf")
    from trio_transports.serializers.protobuf import ProtobufFrameSerializer

    message = ProtobufFrameSerializer().encode(AUDIO)[0]
    assert isinstance(message, bytes)
    file = tmp_path / "message"
    forms = {"base64": base64.b64encode(message) + b"\n", "hex": message.hex().encode() + b"\n", "bare": message}
    file.write_bytes(forms[form])
    assert main(["inspect", str(file), "--serializer", "protobuf"]) == 0
    assert "AudioFrame 20 ms at 16000 Hz mono" in capsys.readouterr().out


def test_the_audio_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--wav puts all audio into one file, if it has one format."""
    file, wav = tmp_path / "capture.txt", tmp_path / "out.wav"
    file.write_text(text_of(AUDIO, AUDIO))
    assert main(["inspect", str(file), "--wav", str(wav)]) == 0
    assert read_wav(wav) == (AUDIO.format, AUDIO.audio * 2)
    file.write_text(text_of(AUDIO, AudioFrame(audio=b"", sample_rate=8000)))
    assert main(["inspect", str(file), "--wav", str(wav)]) == 1
    assert "one WAV file holds audio of one format, the messages hold 16000 Hz mono, 8000 Hz mono" in (
        capsys.readouterr().err
    )


def test_what_is_no_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is no message is named, with its number; a missing file too."""
    file = tmp_path / "notes.txt"
    file.write_text("{}\nwhat is this?\n")
    assert main(["inspect", str(file)]) == 1
    assert "notes.txt, line 2: 'what is this?' is neither JSON, nor hex, nor base64" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "missing")]) == 1
    assert "missing: No such file or directory" in capsys.readouterr().err


def test_json_also_tells_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that reads the output finds the error there too."""
    assert main(["inspect", str(tmp_path / "missing"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert "No such file" in told["error"]
