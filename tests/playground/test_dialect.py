"""What the page's client speaks: pings that are answered whatever the handler does, and who speaks."""

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.helpers import params
from trio_transports import AudioFrame, RemoteProtocolError, TextFrame
from trio_transports.audio.format import AudioFormat
from trio_transports.frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame, UserStartedSpeakingFrame
from trio_transports.playground.dialect import PCMFrameSerializer
from trio_transports.serializers import Notices, PlaybackMarks, Replies
from trio_transports.testing import memory_session


def test_what_a_session_asks_of_it() -> None:
    """It answers, tells notices and may tell what was played; each session has its own."""
    template = PCMFrameSerializer(AudioFormat(48000), has_marks=True)
    assert isinstance(template, Replies)
    assert isinstance(template, Notices)
    assert isinstance(template, PlaybackMarks)
    copy = template.fresh()
    assert copy is not template
    assert (copy.audio_format, copy.has_marks) == (AudioFormat(48000), True)


async def test_a_ping_is_answered_while_the_handler_sleeps(autojump_clock: MockClock) -> None:
    """With what is known of the session, ahead of five seconds of audio, however often."""
    async with memory_session(params(serializer=PCMFrameSerializer())) as (session, peer):
        assert isinstance(session.serializer, PCMFrameSerializer)
        session.serializer.information = lambda: {"id": session.id}
        await session.output.send(AudioFrame(audio=bytes(160_000), sample_rate=16000))
        for t in (1, 2.5, 2.5):
            await peer.send_raw(json.dumps({"type": "ping", "t": t}))
            await wait_all_tasks_blocked()
        pongs = [json.loads(text) for _, text in peer.messages if isinstance(text, str) and "pong" in text]
        assert [pong["t"] for pong in pongs] == [1, 2.5, 2.5]
        assert {pong["session"]["id"] for pong in pongs} == {session.id}
        assert trio.current_time() < 1


@pytest.mark.parametrize(
    "message", ['{"type":"ping"}', '{"type":"ping","t":"1"}', '{"type":"ping","t":true}', '{"ping"']
)
def test_a_ping_that_is_none(message: str) -> None:
    """Without a number to send back it is malformed, and owed nothing."""
    dialect = PCMFrameSerializer()
    with pytest.raises(RemoteProtocolError):
        dialect.decode(message)
    assert dialect.replies() == []


def test_words_that_hold_a_ping_are_words() -> None:
    """Only the message's own type makes a ping."""
    dialect = PCMFrameSerializer()
    assert dialect.decode('{"type":"text","text":"\\"ping\\""}') == (TextFrame(text='"ping"'),)
    assert dialect.replies() == []


def test_the_mood_follows_what_is_noticed() -> None:
    """For a list of sessions: listening, hearing, answering, and the user comes first."""
    dialect = PCMFrameSerializer()
    moods = [dialect.mood]
    for frame in (BotStartedSpeakingFrame(), UserStartedSpeakingFrame(at_s=1.5), BotStoppedSpeakingFrame()):
        (told,) = dialect.notice(frame)
        assert dialect.decode(told) == (frame,)
        moods.append(dialect.mood)
    assert moods == ["listening", "answering", "hearing", "hearing"]
