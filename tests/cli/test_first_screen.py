"""What ``serve`` says first: where to open what, in words that can be followed as they stand."""

import json
import os

import pytest

from tests.serve.test_params_file import quiet
from trio_transports import __version__
from trio_transports.cli.serving import ReadyNotice
from trio_transports.serve import Bot, ServeOptions

ALONE = f"""\
trio-transports {__version__} serves the shop's bot

  open in a browser   http://127.0.0.1:8765/
  call                ws://127.0.0.1:8765/ws    any dialect; try: trio-transports call ws://127.0.0.1:8765/ws --in a.wav
  Pipecat's clients   http://127.0.0.1:8765/start
  telephones          https://YOUR.PUBLIC.NAME/answer/twilio    or telnyx, plivo, exotel, vonage, signalwire, relay
                      once it goes by that name: --public-url https://YOUR.PUBLIC.NAME
  health, metrics     http://127.0.0.1:8765/health, http://127.0.0.1:8765/metrics

Ctrl-C lets calls finish, for 20 s at most; once more ends them.
"""
PUBLIC = f"""\
trio-transports {__version__} serves bot:bot, 4 workers

  open in a browser   https://bot.example/x/
  call                wss://bot.example/x/ws    any dialect; try: trio-transports call wss://10.0.0.7:443/ws --in a.wav
  Pipecat's clients   https://bot.example/x/start
  telephones          https://bot.example/x/answer/twilio    or telnyx, plivo, exotel, vonage, signalwire, relay
  health, metrics     https://10.0.0.7:443/health, https://10.0.0.7:443/metrics
  Everybody who reaches this machine can call. A microphone needs https, but on this machine.

Ctrl-C lets calls finish, for 2.5 s at most; once more ends them.
"""


def test_alone_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """By the name that the loaded bot has; without one, by what was asked for."""
    screen = ReadyNotice(ServeOptions(), "127.0.0.1:8765", None, False, False)
    screen.show(Bot(handler=quiet, name="the shop's bot"))
    assert capsys.readouterr().out == ALONE
    screen.show(None)
    assert capsys.readouterr().out == ALONE.replace("the shop's bot", "the built-in echo bot")


def test_workers_behind_a_public_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Callers are told the public name; health and metrics are asked for here. A slash at its end is not doubled."""
    for public_url in ("https://bot.example/x", "https://bot.example/x/"):
        options = ServeOptions(
            target="bot:bot", host="0.0.0.0", tls=("a", "b"), public_url=public_url, drain_s=2.5
        )  # fmt: skip
        ReadyNotice(options, "10.0.0.7:443", 4, False, False).show(None)
        assert capsys.readouterr().out == PUBLIC


def test_a_bot_that_is_being_written(capsys: pytest.CaptureFixture[str]) -> None:
    ReadyNotice(ServeOptions(target="bot.py"), "127.0.0.1:1", None, True, False).show(None)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert last == "Ctrl-C ends all calls, and so does a change."
    assert first == f"trio-transports {__version__} serves bot.py, loaded anew when a file changes"


def test_as_json_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ReadyNotice(ServeOptions(), "127.0.0.1:8765", 2, False, True).show(None)
    assert json.loads(capsys.readouterr().out) == {
        "event": "ready",
        "url": "http://127.0.0.1:8765",
        "ws_url": "ws://127.0.0.1:8765/ws",
        "pid": os.getpid(),
        "workers": 2,
    }
