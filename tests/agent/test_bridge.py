"""A protocol as a serializer: everything said keeps its place, its times and its errors."""

from collections.abc import Sequence

import pytest

from trio_transports.agent import AgentMessage, AudioChunk, Reply, WebSocketProtocol
from trio_transports.agent.bridge import Bridge, Noted
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import add_wav_header
from trio_transports.frames import AudioFrame, BotStartedSpeakingFrame, EndFrame, Frame, MessageFrame, TextFrame


class Talkative(WebSocketProtocol):
    """Audio in binary messages; text messages are transcripts, ``pong`` is owed, ``bad`` fails."""

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(8000)

    def encode_audio(self, audio: bytes) -> Sequence[str | bytes]:
        if audio.startswith(b"bad "):
            raise ZeroDivisionError("cannot say that")
        return ["audio", audio]

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        if message == "bad":
            raise KeyError("audio")
        if isinstance(message, bytes):
            return AudioChunk(message, "said", 1.0, 2.0, sample_rate=8000)
        return AudioChunk(b"", message)

    def decode_event(self, message: str | bytes) -> Reply | AgentMessage | None:
        return Reply("pong") if message == "ping" else None


class Fixture:
    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[bytes] = []
        self.faults: list[Exception] = []
        self.bridge = Bridge(Talkative(), now=lambda: self.now, on_sent=self.sent.append, on_fault=self.faults.append)

    def hear(self, message: str | bytes) -> Sequence[Frame]:
        return self.bridge.decode(message)

    def recall(self, frames: Sequence[Frame]) -> list[tuple[float, Noted]]:
        return [recalled for frame in frames if (recalled := self.bridge.recall(frame)) is not None]


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_the_format_is_the_protocols(fixture: Fixture) -> None:
    """The session converts to what encode_audio wants."""
    assert fixture.bridge.audio_format == AudioFormat(8000)


def test_audio_keeps_what_is_known(fixture: Fixture) -> None:
    """Transcript and times survive the way through frames; the time of arrival is added."""
    fixture.now = 5.0
    (frame,) = fixture.hear(b"abcd")
    assert isinstance(frame, AudioFrame)
    fixture.now = 9.0
    assert fixture.recall([frame]) == [(5.0, AudioChunk(b"abcd", "said", 1.0, 2.0, sample_rate=8000, received_at=5.0))]


def test_a_transcript_alone_has_its_time_too(fixture: Fixture) -> None:
    """The time of arrival does not depend on there being audio."""
    fixture.now = 5.0
    assert fixture.recall(fixture.hear("word")) == [(5.0, AudioChunk(b"", "word", received_at=5.0))]


def test_wav_headers_are_taken_off_and_believed(fixture: Fixture) -> None:
    """A user's protocol need not know of them; a broken one is that protocol's error."""
    ((_, chunk),) = fixture.recall(fixture.hear(add_wav_header(b"abcdefgh", AudioFormat(16000, 2))))
    assert isinstance(chunk, AudioChunk)
    assert (chunk.data, chunk.format, chunk.transcript) == (b"abcdefgh", AudioFormat(16000, 2), "said")
    broken = add_wav_header(b"abcdefgh", AudioFormat(16000)).replace(b"fmt ", b"fmt?")
    ((_, error),) = fixture.recall(fixture.hear(broken))
    assert isinstance(error, ValueError)
    assert fixture.bridge.undecoded == 1


def test_order_is_kept(fixture: Fixture) -> None:
    """Audio, transcripts without audio, replies and errors come back in the order of the messages."""
    frames = [frame for message in (b"ab", "text", "ping", "bad", b"cd") for frame in fixture.hear(message)]
    noted = [item for _, item in fixture.recall(frames)]
    assert [type(item) for item in noted] == [AudioChunk, AudioChunk, AudioChunk, Reply, KeyError, AudioChunk]


def test_an_error_is_heard_as_itself(fixture: Fixture) -> None:
    """With the head of the message as a note, and the next message is read as ever."""
    ((_, error),) = fixture.recall(fixture.hear("bad"))
    assert isinstance(error, KeyError)
    assert error.__notes__ == ["while decoding the text message 'bad'"]
    assert error.__traceback__ is not None
    ((_, chunk),) = fixture.recall(fixture.hear(b"ab"))
    assert isinstance(chunk, AudioChunk)


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ("x" * 300, f"text message '{'x' * 200}'... (300 characters)"),
        (b"abc", "binary message b'abc'"),
        (b"x" * 65, f"binary message b'{'x' * 64}'... (65 bytes)"),
    ],
)
def test_the_note_shows_the_head_of_the_message(message: str | bytes, note: str) -> None:
    """Enough to recognise it by, and never a megabyte."""
    faults: list[Exception] = []

    class Failing(Talkative):
        def decode_response(self, message: str | bytes) -> AudioChunk | None:
            raise ValueError("no")

    bridge = Bridge(Failing(), now=float, on_sent=lambda _: None, on_fault=faults.append)
    recalled = bridge.recall(bridge.decode(message)[0])
    assert recalled is not None
    assert isinstance(recalled[1], ValueError)
    assert recalled[1].__notes__ == [f"while decoding the {note}"]


def test_audio_dropped_by_the_session_is_passed_over(fixture: Fixture) -> None:
    """A frame that never came back takes nothing with it."""
    frames = [*fixture.hear(b"ab"), *fixture.hear(b"cd"), *fixture.hear("text")]
    ((_, chunk),) = fixture.recall(frames[2:])
    assert isinstance(chunk, AudioChunk)
    assert chunk.transcript == "text"


def test_frames_of_the_sessions_own_are_nothing(fixture: Fixture) -> None:
    """What a session tells about itself was not said by the agent."""
    assert fixture.recall([BotStartedSpeakingFrame(), TextFrame(text="")]) == []


def test_audio_is_encoded_by_the_protocol(fixture: Fixture) -> None:
    """And whoever records it is told what left."""
    frame = AudioFrame(audio=b"abcd", sample_rate=8000)
    assert fixture.bridge.encode(frame) == ("audio", b"abcd")
    assert fixture.sent == [b"abcd"]


def test_a_failing_encoding_is_told(fixture: Fixture) -> None:
    """Nothing is sent, nothing is recorded, and the session does not see the error."""
    assert fixture.bridge.encode(AudioFrame(audio=b"bad bad ", sample_rate=8000)) == ()
    assert fixture.sent == []
    assert [type(fault) for fault in fixture.faults] == [ZeroDivisionError]


def test_finished_messages_pass_once(fixture: Fixture) -> None:
    """A frame stands for them, urgent or not; one that was not sent can be forgotten."""
    frame = fixture.bridge.finished(("a", b"b"), urgent=True)
    assert frame.urgent
    assert fixture.bridge.encode(frame) == ("a", b"b")
    forgotten = fixture.bridge.finished(("c",))
    fixture.bridge.forget(forgotten)
    fixture.bridge.forget(forgotten)


def test_other_frames_are_not_said(fixture: Fixture) -> None:
    """A protocol has no message for the session's own ends."""
    assert fixture.bridge.encode(EndFrame()) == ()
    assert fixture.bridge.encode(MessageFrame(message="text")) == ()
