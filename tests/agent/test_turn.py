"""When an answer is complete, told by times alone."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import (
    AgentHungUp,
    Answer,
    AudioChunk,
    PlaybackCleared,
    Transcript,
    TurnEnded,
    TurnRules,
    silent_chunk,
)
from trio_transports.agent.turn import TurnGatherer, joined, voiced_s
from trio_transports.audio.format import AudioFormat

RULES = TurnRules(first_audio_timeout_s=5.0, tail_silence_s=1.0, cap_s=20.0)


def voice(seconds: float, transcript: str | None = None) -> AudioChunk:
    return AudioChunk(np.full(int(24000 * seconds), 3000, "<i2").tobytes(), transcript)


def gatherer(rules: TurnRules = RULES, sent_at: float = 0.0) -> TurnGatherer:
    made = TurnGatherer(rules)
    made.turn_sent(sent_at)
    return made


def test_rules_are_checked() -> None:
    """Times are above 0, a level is not above full scale."""
    for wrong in ({"tail_silence_s": 0}, {"first_audio_timeout_s": -1}, {"cap_s": 0}, {"silence_dbfs": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TurnRules(**wrong)  # type: ignore[arg-type]


def test_nothing_ends_before_the_turn_was_sent() -> None:
    """However long sending takes, the answer is waited for from its end."""
    waiting = TurnGatherer(RULES)
    assert waiting.deadline == inf
    waiting.turn_sent(100.0)
    assert waiting.deadline == 105.0


def test_silence_within_the_time_is_no_answer() -> None:
    """Nothing came: there is no reason for an end."""
    waiting = gatherer()
    waiting.expired()
    assert waiting.ended_by is None
    assert waiting.answer() == Answer()


def test_sent_silence_is_no_answer_either() -> None:
    """A line that sends silence does not begin an answer, nor put off the end of waiting."""
    waiting = gatherer()
    for tick in range(200):
        waiting.heard(silent_chunk(0.02), tick * 0.02)
    assert waiting.deadline == 5.0
    waiting.expired()
    assert waiting.ended_by is None
    answer = waiting.answer()
    assert answer.first_byte_s == 0.0
    assert answer.first_voice_s is None


def test_tail_silence_of_a_sender_in_real_time() -> None:
    """Ends one tail after the last voice, whether silence is sent or nothing is."""
    for follow in (silent_chunk(0.02), None):
        waiting = gatherer()
        for tick in range(100):
            if tick < 50:
                waiting.heard(voice(0.02), 1.0 + tick * 0.02)
            elif follow is not None and tick < 75:
                waiting.heard(follow, 1.0 + tick * 0.02)
        assert waiting.deadline == pytest.approx(3.0)
        waiting.expired()
        assert waiting.ended_by == "tail_silence"
        assert waiting.answer().first_byte_s == pytest.approx(1.0)


def test_a_burst_is_played_before_its_tail_begins() -> None:
    """Ten seconds of audio that come at once are followed by a pause only when they have been played."""
    waiting = gatherer()
    waiting.heard(voice(10.0), 0.5)
    assert waiting.deadline == pytest.approx(11.5)
    waiting.heard(voice(2.0), 9.0)
    assert waiting.deadline == pytest.approx(13.5)


def test_a_burst_that_nobody_plays() -> None:
    """Not in real time, the tail begins when the last audio came."""
    waiting = gatherer(TurnRules(tail_silence_s=1.0, in_real_time=False))
    waiting.heard(voice(10.0), 0.5)
    assert waiting.deadline == pytest.approx(1.5)
    waiting.heard(silent_chunk(1.0), 0.6)
    assert waiting.deadline == pytest.approx(1.5)
    waiting.heard(voice(1.0), 1.2)
    assert waiting.deadline == pytest.approx(2.2)


def test_pauses_inside_an_answer_do_not_end_it() -> None:
    """As long as they are shorter than the tail."""
    waiting = gatherer()
    waiting.heard(voice(1.0), 0.0)
    waiting.heard(silent_chunk(0.9), 1.0)
    waiting.heard(voice(1.0), 1.9)
    assert waiting.deadline == pytest.approx(3.9)


def test_the_cap() -> None:
    """An agent that never stops is stopped listening to."""
    waiting = gatherer()
    for second in range(30):
        waiting.heard(voice(1.0), float(second))
    assert waiting.deadline == pytest.approx(20.0)
    waiting.expired()
    assert waiting.ended_by == "cap"


def test_a_turn_end_ends() -> None:
    """The agent's word is taken, with audio or without."""
    for heard in ([voice(1.0)], []):
        waiting = gatherer()
        for chunk in heard:
            waiting.heard(chunk, 0.5)
        waiting.heard(TurnEnded(), 0.6)
        assert waiting.ended_by == "turn_end"
        assert waiting.answer().events == (TurnEnded(),)


def test_a_turn_end_of_an_earlier_turn_does_not() -> None:
    """One that came while the caller spoke, or that tells of a turn cut short before this answer began."""
    waiting = gatherer(sent_at=2.0)
    waiting.heard(TurnEnded(), 1.9)
    waiting.heard(TurnEnded(completed=False), 2.1)
    assert waiting.ended_by is None
    waiting.heard(voice(0.1), 2.2)
    waiting.heard(TurnEnded(completed=False), 2.3)
    assert waiting.ended_by == "turn_end"


def test_hanging_up_ends() -> None:
    """There is nothing more to wait for."""
    waiting = gatherer()
    waiting.heard(AgentHungUp(), 0.1)
    assert waiting.ended_by == "agent_hung_up"


def test_a_clean_close_ends_what_has_begun() -> None:
    """But is no answer by itself."""
    waiting = gatherer()
    waiting.finished()
    assert waiting.ended_by is None
    waiting.heard(voice(0.1), 0.1)
    waiting.finished()
    assert waiting.ended_by == "finished"


def test_cleared_playback_begins_the_tail() -> None:
    """What was taken back is not waited for; it stays in the answer, for it was sent."""
    waiting = gatherer()
    waiting.heard(voice(10.0), 0.0)
    waiting.heard(PlaybackCleared(), 2.0)
    assert waiting.deadline == pytest.approx(3.0)
    assert waiting.answer().duration_s == 10.0


def test_latencies_count_from_the_end_of_the_turn() -> None:
    """Negative when the agent spoke into it; first byte and first voice are told apart."""
    waiting = gatherer(sent_at=10.0)
    waiting.heard(silent_chunk(0.5), 9.5)
    waiting.heard(AudioChunk(silent_chunk(0.25).data + voice(0.5).data), 10.5)
    answer = waiting.answer()
    assert answer.first_byte_s == -0.5
    assert answer.first_voice_s == pytest.approx(0.75)


def test_an_answer_over_while_the_caller_spoke() -> None:
    """Waiting never ends before the caller's own turn."""
    waiting = gatherer(sent_at=10.0)
    waiting.heard(voice(0.5), 1.0)
    assert waiting.deadline == 10.0
    waiting.expired()
    assert waiting.ended_by == "tail_silence"


def test_transcripts() -> None:
    """Pieces grow until the whole replaces them; the caller's are kept apart; chunks' own count too."""
    waiting = gatherer()
    for text in ("Hel", "lo"):
        waiting.heard(Transcript(text, final=False), 0.1)
    assert waiting.answer().transcript == "Hello"
    waiting.heard(Transcript("Hello!"), 0.2)
    waiting.heard(Transcript("hi there", "caller"), 0.2)
    waiting.heard(voice(0.1, "How are you?"), 0.3)
    waiting.heard(Transcript(" I am", final=False), 0.4)
    answer = waiting.answer()
    assert answer.transcript == "Hello! How are you? I am"
    assert answer.caller_transcript == "hi there"


def test_the_audio_of_an_answer() -> None:
    """All chunks as one, with their transcripts and the times of the first and the last."""
    chunks = (AudioChunk(b"ab", "one", 1.0, 2.0), AudioChunk(b"cd", None, 2.0, 3.0), AudioChunk(b"ef", "two", 3.0, 4.0))
    audio = Answer(chunks=chunks).audio
    assert (audio.data, audio.transcript, audio.start_time, audio.end_time) == (b"abcdef", "one two", 1.0, 4.0)
    assert Answer().audio.data == b""
    with pytest.raises(ValueError, match="24000 Hz mono, 8000 Hz mono; give the adapter an audio_format"):
        joined((AudioChunk(b"ab"), AudioChunk(b"cd", sample_rate=8000)))


def test_voiced() -> None:
    """Found to 10 ms, at any rate, in stereo too, and not in noise below the level."""
    for audio_format in (AudioFormat(8000), AudioFormat(24000, 2), AudioFormat(44100)):
        quiet = audio_format.silence(audio_format.samples_in(0.1))
        loud = np.full(audio_format.samples_in(0.05) * audio_format.num_channels, 2000, "<i2").tobytes()
        found = voiced_s(quiet + loud + quiet, audio_format, -50.0)
        assert found is not None
        assert found == pytest.approx((0.1, 0.15), abs=0.011)
        assert voiced_s(quiet, audio_format, -50.0) is None
    assert voiced_s(b"", AudioFormat(8000), -50.0) is None
    noise = np.random.default_rng(1).integers(-60, 60, 8000).astype("<i2").tobytes()
    assert voiced_s(noise, AudioFormat(8000), -50.0) is None


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.9), st.floats(0, 0.5)), max_size=20))
def test_the_deadline_is_a_tail_after_the_last_voice(pieces: list[tuple[bool, float, float]]) -> None:
    """Whatever comes, at whatever pace: never before a tail of silence has been played, never later than that."""
    waiting, now, playhead, voice_end = gatherer(TurnRules(cap_s=1e6, tail_silence_s=1.0)), 0.0, 0.0, None
    for is_voice, duration_s, pause_s in pieces:
        now += pause_s
        chunk = voice(duration_s) if is_voice else silent_chunk(duration_s)
        waiting.heard(chunk, now)
        playhead = max(playhead, now) + chunk.duration_seconds
        if is_voice:
            voice_end = playhead
    assert waiting.deadline == pytest.approx(30.0 if voice_end is None else voice_end + 1.0, abs=0.001)
