"""The player that is not there: until when audio plays, and what is due when it has."""

from math import inf
from time import thread_time

from trio_transports.agent import Reply
from trio_transports.agent.playback import MAX_REPLIES, AgentPlayback


def test_audio_plays_one_after_the_other() -> None:
    """What comes ahead of real time is queued; a gap is a gap."""
    playback = AgentPlayback()
    playback.audio(1.0, 10.0)
    playback.audio(1.0, 10.2)
    assert playback.until == 12.0
    playback.audio(0.5, 20.0)
    assert playback.until == 20.5


def test_reply_waits_for_the_audio_before_it() -> None:
    """A mark is due when what came before it was played, not what came after it."""
    playback = AgentPlayback()
    playback.audio(1.0, 10.0)
    playback.wait(Reply("first", when_played=True), 10.1)
    playback.audio(1.0, 10.2)
    playback.wait(Reply("second", when_played=True), 10.3)
    assert playback.next_due == 11.0
    assert playback.take_due(10.9) == []
    assert playback.take_due(11.0) == [Reply("first", when_played=True)]
    assert playback.next_due == 12.0
    assert playback.take_due(30.0) == [Reply("second", when_played=True)]
    assert playback.next_due == inf


def test_reply_without_waiting_is_due_at_once() -> None:
    """A pong does not wait for the audio."""
    playback = AgentPlayback()
    playback.audio(1.0, 10.0)
    playback.wait(Reply("pong"), 10.1)
    assert playback.take_due(10.1) == [Reply("pong")]


def test_replies_are_in_the_order_of_their_messages() -> None:
    """Also one that waits for nothing, due together with a mark before it; told twice."""
    playback = AgentPlayback()
    for began_s in (10.0, 20.0):
        playback.audio(1.0, began_s)
        playback.wait(Reply("mark", when_played=True), began_s)
        playback.wait(Reply("pong"), began_s)
        assert [reply.messages for reply in playback.take_due(began_s + 1.0)] == ["mark", "pong"]


def test_replies_that_wait_are_bounded() -> None:
    """Past the bound the next is due, early and in order; a clear makes the rest due."""
    playback = AgentPlayback()
    taken = []
    for number in range(MAX_REPLIES + 5):
        playback.audio(1.0, 0.0)
        playback.wait(Reply(str(number), when_played=True), 0.0)
        taken += playback.take_due(0.0)
    playback.clear(0.0)
    assert [reply.messages for reply in taken] == ["0", "1", "2", "3", "4"]
    assert [reply.messages for reply in playback.take_due(0.0)] == [str(n) for n in range(5, MAX_REPLIES + 5)]


def test_the_cost_of_a_message_does_not_grow_with_the_replies_that_wait() -> None:
    """They are asked for at each message, audio or not."""

    def seconds(waiting: int) -> float:
        playback = AgentPlayback()
        for number in range(waiting):
            playback.audio(1.0, 0.0)
            playback.wait(Reply(str(number), when_played=True), 0.0)
        began_s = thread_time()
        for _ in range(100):
            assert playback.next_due == 1.0
            assert not playback.take_due(0.5)
        return thread_time() - began_s

    few, many = (min(seconds(waiting) for _ in range(5)) for waiting in (100, 10_000))
    assert many < 8 * few


def test_clearing_makes_everything_due() -> None:
    """A cleared player sends back the marks of what it will not play, in order."""
    playback = AgentPlayback()
    playback.audio(5.0, 10.0)
    for name in "ab":
        playback.wait(Reply(name, when_played=True), 10.0)
    playback.clear(11.0)
    assert playback.until == 11.0
    assert [reply.messages for reply in playback.take_due(11.0)] == ["a", "b"]


def test_clearing_a_player_that_has_played_changes_nothing() -> None:
    """It does not play on until the time of the clear."""
    playback = AgentPlayback()
    playback.audio(1.0, 10.0)
    playback.clear(15.0)
    assert playback.until == 11.0
