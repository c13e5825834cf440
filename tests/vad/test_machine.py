from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped, VADParams
from trio_transports.vad.machine import TRANSITIONS, SpeechEdge, SpeechMachine, SpeechState

WINDOW_S = 0.02


def run(machine: SpeechMachine, windows: str) -> list[SpeechEvent]:
    """Step through windows, one letter each: ``x`` has speech, ``.`` has none."""
    events = []
    for index, letter in enumerate(windows):
        event = machine.step(letter == "x", index * WINDOW_S, (index + 1) * WINDOW_S)
        if event is not None:
            events.append(event)
    return events


def test_the_table_is_complete() -> None:
    """Every state has a row for each kind of window, due and not."""
    assert set(TRANSITIONS) == set(product(SpeechState, (False, True), (False, True)))


@pytest.mark.parametrize(("row", "result"), TRANSITIONS.items())
def test_what_is_told(row: tuple[SpeechState, bool, bool], result: tuple[SpeechState, SpeechEdge | None]) -> None:
    """Only becoming a speaker is told as a start, only ceasing to be one as a stop."""
    speaking = {SpeechState.SPEAKING, SpeechState.STOPPING}
    before, after = row[0] in speaking, result[0] in speaking
    assert result[1] is {(False, True): SpeechEdge.STARTED, (True, False): SpeechEdge.STOPPED}.get((before, after))


def test_times_are_those_of_the_speech() -> None:
    """Both events carry the time of the speech, not of the decision."""
    machine = SpeechMachine(VADParams(start_secs=0.2, stop_secs=0.3))
    events = run(machine, "." * 10 + "x" * 30 + "." * 20)
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped]
    assert [event.at_s for event in events] == pytest.approx([0.2, 0.8])
    assert machine.state is SpeechState.QUIET


def test_start_is_told_after_start_secs() -> None:
    """Unbroken speech is told with the window that completes start_secs."""
    assert run(SpeechMachine(VADParams(start_secs=0.2)), "x" * 9) == []
    assert run(SpeechMachine(VADParams(start_secs=0.2)), "x" * 10) == [SpeechStarted(0.0)]


def test_stop_is_told_after_stop_secs() -> None:
    """A pause shorter than stop_secs is part of the speech."""
    params = VADParams(start_secs=0.1, stop_secs=0.2)
    pauses = "x" * 10 + ("." * 9 + "x") * 5
    assert len(run(SpeechMachine(params), pauses + "." * 9)) == 1
    assert len(run(SpeechMachine(params), pauses + "." * 10)) == 2


def test_a_click_is_forgotten() -> None:
    """Clicks with pauses between them never add up to speech."""
    assert run(SpeechMachine(VADParams()), ("xx" + "." * 9) * 50) == []


def test_a_gap_at_the_beginning_is_bridged() -> None:
    """A stop consonant in the first syllable does not move the beginning behind it."""
    events = run(SpeechMachine(VADParams(start_secs=0.2)), "." * 5 + "xxxxx" + "." * 10 + "x" * 10)
    assert [event.at_s for event in events] == pytest.approx([0.1])


def test_no_waiting() -> None:
    """With start_secs and stop_secs of zero each change is told at once."""
    events = run(SpeechMachine(VADParams(start_secs=0, stop_secs=0)), ".x.x")
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped, SpeechStarted]


@given(
    windows=st.text(alphabet="x.", max_size=200),
    start_secs=st.sampled_from([0, 0.02, 0.1, 0.2]),
    stop_secs=st.sampled_from([0, 0.1, 0.2]),
)
def test_events_alternate(windows: str, start_secs: float, stop_secs: float) -> None:
    """Starts and stops alternate, their times never go back, and they lie within the audio."""
    events = run(SpeechMachine(VADParams(start_secs=start_secs, stop_secs=stop_secs)), windows)
    assert [isinstance(event, SpeechStarted) for event in events] == [index % 2 == 0 for index in range(len(events))]
    times = [event.at_s for event in events]
    assert times == sorted(times)
    assert all(0 <= time <= len(windows) * WINDOW_S + 1e-9 for time in times)
