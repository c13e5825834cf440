"""The names that ``--json`` prints are those that are documented, command by command, and stand in its help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.test_target import BOTS
from trio_transports.__main__ import main
from trio_transports.audio.format import AudioFormat
from trio_transports.cli.call import Call, CallPlan
from trio_transports.cli.call_report import call_report
from trio_transports.cli.json_output import FAILURE, OBJECTS
from trio_transports.cli.meters import Meters
from trio_transports.session.events import Disconnected


def run(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Run a command as a script would, and read what it prints."""
    command = [sys.executable, "-m", "trio_transports", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("command", OBJECTS)
def test_the_help_has_each_name(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    out = capsys.readouterr().out
    for name in OBJECTS[command]:
        assert f"  {name} " in out


def test_a_failure_looks_the_same_everywhere(tmp_path: Path) -> None:
    """Nobody listens, no such file, no such bot, a wrong parameter file: ok, error, and 1."""
    (tmp_path / "shop_bots.py").write_text(BOTS, "utf-8")
    (tmp_path / "bad.toml").write_text("vad_enabled = 5\naudio_in_enabledd = true\n", "utf-8")
    bot = str(tmp_path / "shop_bots.py")
    for arguments in (
        ("probe", "ws://127.0.0.1:9"),
        ("inspect", str(tmp_path / "none")),
        ("serve", f"{bot}:othr", "--port", "0"),
        ("serve", bot, "--params", str(tmp_path / "bad.toml")),
        ("new", str(tmp_path / "bad.toml")),
    ):
        code, told = run(*arguments)
        assert code == 1, arguments
        assert set(told[-1]) == set(FAILURE), arguments
        assert told[-1]["ok"] is False


def test_what_is_inspected_has_its_names(tmp_path: Path) -> None:
    """One message that is right and one that is not."""
    (tmp_path / "capture.txt").write_text('{"type": "text", "text": "a"}\n{"type": 5}\n', "utf-8")
    code, told = run("inspect", str(tmp_path / "capture.txt"))
    assert code == 1
    assert [set(each) for each in told] == [set(OBJECTS["inspect"])] * 2


def test_a_self_test_and_a_new_bot_have_their_names(tmp_path: Path) -> None:
    code, (told,) = run("demo", "--self-test")
    assert set(told) == {"ok", "duration_s", "findings"} < set(OBJECTS["demo"])
    assert code == (0 if told["ok"] else 1)
    code, (told,) = run("new", str(tmp_path / "mybot"))
    assert (code, set(told)) == (0, set(OBJECTS["new"]))


PROMISED = {
    "serve": {"event", "url", "ws_url", "pid", "workers"},
    "demo": {"event", "url", "ok", "duration_s", "findings"},
    "new": {"ok", "files"},
    "echo": {
        "event", "url", "port", "session", "peer", "code", "reason", "initiator", "audio_received_s", "audio_sent_s",
    },
    "call": {
        "ok", "url", "format", "said_s", "heard_s", "heard_frames", "first_audio_ms", "jitter_ms", "interruptions",
        "other_frames", "close_code", "close_reason", "ended_by", "said_lines", "heard",
    },
    "probe": {
        "ok", "url", "peer", "server", "subprotocol", "connect_ms", "handshake_ms", "pings", "lost",
        "messages_received", "close_answered_ms", "round_trip", "audio",
    },
    "inspect": {"message", "kind", "size", "frames", "error"},
}  # fmt: skip
"""What scripts may rely on already: written down here once more, so that nobody takes a name away unawares."""


def test_no_name_is_taken_away() -> None:
    """New names may come beside them, and are written down here then."""
    assert {command: set(names) for command, names in OBJECTS.items()} == PROMISED
    assert FAILURE == ("ok", "error")


@pytest.mark.parametrize("ending", [None, Disconnected(None, 1001, "going", "remote")])  # type: ignore[arg-type]
def test_a_call_has_its_names_on_every_line(ending: Disconnected | None) -> None:
    """One of audio and one of text print the same names, in the same order."""
    audio = Call(AudioFormat(16000), b"", CallPlan(tail_s=1, limit_s=1), Meters(is_on=False)).report("ws://a", ending)
    text = call_report("ws://a", ending, {"said_lines": 1, "heard": ["b"]})
    assert list(audio) == list(text) == list(OBJECTS["call"])
    for report in (audio, text):
        assert (report["ok"], report["url"]) == (True, "ws://a")
        told = (report["close_code"], report["close_reason"], report["ended_by"])
        assert told == ((None, "", None) if ending is None else (1001, "going", "remote"))
    assert (audio["format"], audio["said_lines"], audio["heard"]) == (str(AudioFormat(16000)), None, None)
    assert (text["format"], text["said_lines"], text["heard"]) == (None, 1, ["b"])
