"""The list of example programs, and those that need no sockets to be tried."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from trio_transports import Session, TransportParams
from trio_transports.audio.wav import read_wav
from trio_transports.examples import fastapi_auth, recording
from trio_transports.examples.__main__ import programs
from trio_transports.testing import phone_call, speech_like
from trio_transports.wire import Peer


def test_every_program_is_listed_with_what_it_does() -> None:
    """Run as a user runs it: each module that can be run, with a line of its own, and how."""
    listed = subprocess.run(
        [sys.executable, "-m", "trio_transports.examples"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    folder = Path(fastapi_auth.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    assert [name for name, _ in programs()] == names
    for name, text in programs():
        assert f"python -m trio_transports.examples.{name}\n    {text}" in listed
        assert len(text) > 20
        assert '__name__ == "__main__"' in (folder / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("calls", [1, 2])
async def test_both_sides_of_each_call_are_recorded(calls: int, autojump_clock: MockClock, tmp_path: Path) -> None:
    """One file for each call: what the caller said is left, the echo right, and later."""

    async def bot(session: Session) -> None:
        await recording.bot(session, trio.Path(tmp_path))

    params = TransportParams(
        serializer=recording.PARAMS.serializer, audio_enabled=True, vad_enabled=True, audio_in_sample_rate=16000
    )
    for _ in range(calls):
        async with phone_call(bot, "twilio", params=params) as phone:
            await phone.be_silent(0.5)
            await phone.speak(speech_like(1.0))
            await phone.be_silent(2.0)
            await phone.listen()
    files = sorted(await trio.Path(tmp_path).glob("*.wav"))
    assert len(files) == calls
    for file in files:
        audio_format, pcm = read_wav(file)
        assert audio_format.num_channels == 2
        sides = np.abs(np.frombuffer(pcm, "<i2").reshape(-1, 2).astype(int)) > 1000
        first = [int(np.flatnonzero(side)[0]) for side in sides.T]
        assert first[0] < first[1]


def test_tokens_are_ours_and_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token opens for its user, until its time; one that was made up or changed does not."""

    def user(token: str) -> str | None:
        return fastapi_auth.user_of(Peer(query_string=f"token={token}"))

    good = fastapi_auth.token_for("ada")
    assert user(good) == "ada"
    assert user(fastapi_auth.token_for("ada", now_s=1000)) is None
    for wrong in (
        "",
        "ada",
        "..",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("ada", "bob"),
        "ada.x.y",
    ):
        assert user(wrong) is None, wrong
    monkeypatch.setenv("API_KEYS", "ada:secret,bob:hush")
    assert fastapi_auth.users() == {"secret": "ada", "hush": "bob"}
