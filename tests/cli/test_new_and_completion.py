"""``new`` writes a bot that works, and ``completion`` knows every command and option."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.completing import completed
from trio_transports.__main__ import main
from trio_transports.cli.completion import _subcommands
from trio_transports.cli.new import FILES


def test_the_first_bot_passes_its_own_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a program, in the folder that was written; and a bot that says nothing does not pass it."""
    folder = tmp_path / "mybot"
    assert main(["new", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert f"serve {folder / 'bot.py'}" in capsys.readouterr().out
    command = [sys.executable, str(folder / "test_bot.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "The bot answers.\n"), done.stderr
    bot = folder / "bot.py"
    bot.write_text(
        bot.read_text("utf-8").replace("Pipeline([utterances()])", "Pipeline([lambda frame: None])"), "utf-8"
    )
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    assert subprocess.run(command, capture_output=True, check=False, timeout=120).returncode != 0


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said twice, the second is refused, and what was changed in between stays."""
    assert main(["new", str(tmp_path / "mybot"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 3
    (tmp_path / "mybot" / "bot.py").write_text("mine", "utf-8")
    assert main(["new", str(tmp_path / "mybot")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mybot" / "bot.py").read_text("utf-8") == "mine"


def test_a_folder_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    assert main(["new", str(tmp_path / "file" / "mybot")]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands, options, and an option's values, of that command alone; nothing where nothing fits."""
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, "utf-8")
    for words, among in (
        (["se"], {"serve"}),
        (["p"], {"probe"}),
        (["--v"], {"--version"}),
        (["serve", "--wor"], {"--workers"}),
        (["probe", "--wor"], set[str]()),
        (["call", "--serializer", "tw"], {"twilio"}),
        (["completion", "z"], {"zsh"}),
        (["serve", "--log-level", ""], {"debug", "info", "warning", "error"}),
        (["serve", "--port", "8", "--log-level", "w"], {"warning"}),
    ):
        assert completed(shell, script, ["trio-transports", *words]) == among, words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_script_has_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name, command in _subcommands().items():
        assert name in script
        for action in command._actions:
            for flag in action.option_strings:
                if flag.startswith("--"):
                    assert (flag[2:] if shell == "fish" else flag) in script


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever types the bare name is shown what there is."""
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "trio-transports serve" in out
    assert "Exit codes: 0 it worked" in out
