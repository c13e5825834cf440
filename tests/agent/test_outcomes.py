"""The four outcomes: which errors they are, and what they say."""

import pytest

from trio_transports.agent import (
    AgentConnectionLost,
    AgentFinished,
    AgentOutcome,
    AgentSilent,
    AgentUnreachable,
    Answer,
    silent_chunk,
)
from trio_transports.errors import TransportError

PEER = "ws://127.0.0.1:9/voice"


@pytest.mark.parametrize("kind", [AgentSilent, AgentFinished, AgentConnectionLost, AgentUnreachable])
def test_outcomes_are_the_librarys_errors(kind: type[AgentOutcome]) -> None:
    """Each is a TransportError, and none is another of the four."""
    assert issubclass(kind, TransportError)
    others = {AgentSilent, AgentFinished, AgentConnectionLost, AgentUnreachable} - {kind}
    assert not any(issubclass(kind, other) for other in others)


def test_they_are_what_python_calls_them_too() -> None:
    """Code that waits for a TimeoutError or a ConnectionError finds them."""
    assert issubclass(AgentSilent, TimeoutError)
    assert issubclass(AgentUnreachable, ConnectionError)


def test_silence_says_that_the_connection_lives() -> None:
    """Who, how long, what came instead, and how soon a dead peer would have been noticed."""
    error = AgentSilent(peer=PEER, elapsed_s=7.25, waited_s=5, messages=3, dead_after_s=10)
    assert (error.peer, error.elapsed_s, error.close_code, error.waited_s, error.messages) == (PEER, 7.25, None, 5, 3)
    assert str(error) == (
        f"{PEER}: connected, and no audio came for 5 s, only 3 other message(s); "
        "a dead peer would be found out within 10 s (7.25 s after dialling)"
    )
    assert "nor anything else" in str(AgentSilent(peer=PEER, elapsed_s=1, waited_s=1))


def test_endings_say_the_close_code() -> None:
    """Peer, elapsed time, code, reason, and what had come of an answer."""
    answer = Answer(chunks=(silent_chunk(1.5),))
    error = AgentConnectionLost(
        "the connection broke", peer=PEER, elapsed_s=2, close_code=1011, reason="oops", answer=answer
    )
    assert str(error) == (
        f"{PEER}: the connection broke (2.00 s after dialling, close code 1011 'oops', 1.50 s of an answer had come)"
    )
    assert error.answer is answer
