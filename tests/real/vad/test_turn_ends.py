"""Turn analyzers on speech that espeak-ng speaks: what they gain over silence alone, and the model's own figures."""

import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.tools import missing, pipecat_python, requires, requires_module
from trio_transports.audio.convert import Converter
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import parse_wav
from trio_transports.vad import ProsodyTurnAnalyzer, TurnAnalyzer

WHOLE: Final = (
    "I would like to order a large pizza.",
    "My name is Robert and I live in London.",
    "No thank you.",
    "Please call me back tomorrow morning.",
    "I think that is everything.",
    "Yes, that is correct.",
    "It arrived broken, so I sent it back.",
    "She told me that the train was late.",
    "We need two rooms for three nights.",
    "How much does it cost?",
)
CUT: Final = (
    "I would like to order,",
    "My name is Robert and,",
    "Well no but,",
    "Please call me back when,",
    "I think that if you,",
    "Yes, because,",
    "It arrived broken, so,",
    "She told me that,",
    "We need two rooms and,",
    "How much would it,",
)
VOICES: Final = ("en-us", "en-gb", "en-us+f3", "en-gb+m5")
STEP_S: Final = 0.1
PAUSES_S: Final = np.arange(0.3, 1.0, STEP_S)
"""How long people pause in the middle of a turn."""


def spoken(text: str, voice: str, rate: int = 16000) -> bytes:
    """The words as PCM, without the silence around them."""
    done = subprocess.run(
        [requires("espeak-ng"), "--stdout", "-v", voice, "-s", "160", text], check=True, capture_output=True, timeout=60
    )
    audio_format, pcm = parse_wav(done.stdout)
    converter = Converter(audio_format, AudioFormat(rate))
    samples = np.frombuffer(converter.process(pcm) + converter.flush(), "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 200)
    return samples[loud[0] : loud[-1] + 1].tobytes()


def ends_after_s(analyzer: TurnAnalyzer, pcm: bytes, rate: int = 16000) -> float:
    """How much silence it takes, asked each tenth of a second."""
    for silence_s in np.arange(0.2, 2.05, STEP_S):
        turn = pcm + bytes(2 * round(rate * silence_s))
        if analyzer.is_complete(turn, rate, float(silence_s)):
            return float(silence_s)
    return 2.0


def figures(analyzer: TurnAnalyzer) -> tuple[float, float]:
    """How long it waits at the end of a turn on average, and how many of the pauses within one it takes for the end."""
    waits = [ends_after_s(analyzer, spoken(text, voice)) for voice in VOICES for text in WHOLE]
    cuts = [ends_after_s(analyzer, spoken(text, voice)) for voice in VOICES for text in CUT]
    cut_off = [after_s <= pause_s for after_s in cuts for pause_s in PAUSES_S]
    return float(np.mean(waits)), float(np.mean(cut_off))


def test_prosody_is_better_than_silence_alone() -> None:
    """As quick as silence alone is with most pauses taken for the end, and cutting off far fewer."""
    waits_s, cut_off = figures(ProsodyTurnAnalyzer())
    # Silence alone, waiting just as long: it takes every pause of that length or more for the end.
    silence_cut_off = float(np.mean(waits_s <= PAUSES_S))
    print(f"prosody: {waits_s:.2f} s, {cut_off:.0%} cut off; silence alone, as quick: {silence_cut_off:.0%}")
    assert waits_s < 0.75
    assert cut_off < 0.5 * silence_cut_off


def test_a_short_silence_never_ends_a_turn() -> None:
    """Under short_secs it does not listen at all, and after long_secs it is always over; noise has no pitch."""
    analyzer = ProsodyTurnAnalyzer(short_secs=0.4, long_secs=0.9)
    whole = spoken(WHOLE[0], "en-us")
    noise = np.random.default_rng(1).normal(0, 3000, 16000).astype("<i2").tobytes()
    assert not analyzer.is_complete(whole + bytes(9600), 16000, 0.3)
    assert analyzer.is_complete(whole + bytes(12800), 16000, 0.4)
    for pcm in (noise, b"", bytes(100)):
        assert not analyzer.is_complete(pcm, 16000, 0.5)
        assert analyzer.is_complete(pcm, 16000, 0.9)


def model() -> Path:
    folder = pipecat_python().parents[1]
    found = sorted(folder.glob("lib/python3*/site-packages/pipecat/audio/turn/smart_turn/data/*.onnx"))
    return found[-1] if found else missing("a smart-turn model", "pipecat-ai brings one")


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_model_tells_an_end_from_a_pause(rate: int) -> None:
    """More ends are found after a short silence than pauses are taken for one; at telephone rate it only runs.

    A synthetic voice is not what it was trained with: with people's voices its makers state far better figures.
    """
    requires_module("onnxruntime", extra="turns")
    from trio_transports.vad.smart_turn import SmartTurnAnalyzer

    analyzer = SmartTurnAnalyzer(model())
    silence = bytes(2 * rate // 5)
    found = [analyzer.is_complete(spoken(text, "en-us", rate) + silence, rate, 0.2) for text in WHOLE]
    taken = [analyzer.is_complete(spoken(text, "en-us", rate) + silence, rate, 0.2) for text in CUT]
    print(f"{rate} Hz: {sum(found)} of {len(found)} ends found, {sum(taken)} of {len(taken)} pauses taken for the end")
    assert sum(found) - sum(taken) >= (3 if rate == 16000 else 0)


def test_the_models_features_are_those_it_was_trained_with() -> None:
    """What is given to the model is what its makers' own code gives it, to the last digits of a float."""
    requires_module("onnxruntime", extra="turns")
    from trio_transports.vad.smart_turn import features

    pcm = np.random.default_rng(5).normal(0, 3000, 16000 * 5).astype("<i2").tobytes()
    code = (
        "import sys, numpy as np\n"
        "from pipecat.audio.turn.smart_turn._whisper_features import compute_whisper_log_mel_features as f\n"
        "x = np.frombuffer(sys.stdin.buffer.read(), '<i2').astype(np.float32) / 32768\n"
        "x = np.pad(x, (128000 - len(x), 0))\n"
        "sys.stdout.buffer.write(f(x).tobytes())\n"
    )
    done = subprocess.run([pipecat_python(), "-c", code], input=pcm, check=True, capture_output=True, timeout=60)
    theirs = np.frombuffer(done.stdout, np.float32).reshape(80, 800)
    assert np.abs(features(pcm) - theirs).max() < 1e-4


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    """The path is in the error."""
    requires_module("onnxruntime", extra="turns")
    from trio_transports.vad.smart_turn import SmartTurnAnalyzer

    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.onnx cannot be used as a smart-turn model"):
        SmartTurnAnalyzer(tmp_path / "model.onnx")
