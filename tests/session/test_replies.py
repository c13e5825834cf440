"""What a dialect owes its peer is written by the session, ahead of everything else and within bounds."""

from collections.abc import Sequence

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.serializers.conversations import TWILIO_START
from tests.session.helpers import CHUNK_BYTES, RATE, audio, params, seconds
from tests.session.test_failures import Line, reconnecting
from trio_transports import AudioFrame, Frame, InterruptionFrame, MessageFrame, RemoteProtocolError, TransportParams
from trio_transports.audio.format import AudioFormat
from trio_transports.serializers import JSONFrameSerializer, Message, Replies
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.protocol import replies_of
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.lanes import REPLY_LIMIT
from trio_transports.session.run import open_session
from trio_transports.testing import memory_session

_json = JSONFrameSerializer()


@define(eq=False)
class Asking:
    """JSON frames, and questions: ``ask 7`` is owed ``answer 7``; ``bad 7`` is owed one too, but is refused."""

    audio_format: AudioFormat | None = None
    awaits: bool = False
    is_ready: bool = True
    owed: list[Message] = field(factory=list)

    def fresh(self) -> "Asking":
        return Asking(awaits=self.awaits, is_ready=not self.awaits, owed=list(self.owed))

    def encode(self, frame: Frame) -> Sequence[Message]:
        return _json.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        if isinstance(message, str) and message.startswith(("ask", "bad")):
            self.owed.append(message.replace(message[:3], "answer", 1))
            self.is_ready = True
            if message.startswith("bad"):
                raise RemoteProtocolError("a bad question", path="$")
            return ()
        return () if isinstance(message, str) and message.startswith("answer") else _json.decode(message)

    def replies(self) -> Sequence[Message]:
        owed, self.owed = self.owed, []
        return owed


def asking(**changes: object) -> TransportParams:
    return params(**{"serializer": Asking(), **changes})


def answers(messages: Sequence[tuple[float, Message]]) -> list[Message]:
    return [message for _, message in messages if isinstance(message, str) and message.startswith("answer")]


async def test_each_question_is_answered_once_and_in_order(autojump_clock: MockClock) -> None:
    """Equal questions are answered each, refused ones too, in the order in which they came."""
    asked = ["ask 1", "ask 2", "ask 2", "bad 3", "ask 4"]
    async with memory_session(asking()) as (session, peer):
        for question in asked:
            await peer.send_raw(question)
        await wait_all_tasks_blocked()
        assert answers(peer.messages) == ["answer 1", "answer 2", "answer 2", "answer 3", "answer 4"]
        assert session.statistics().malformed_messages == 1
        assert session.statistics().ignored_messages == 4


async def test_a_greeting_needs_no_question(autojump_clock: MockClock) -> None:
    """What a dialect owes before the peer's first message is its greeting, and leaves first."""
    async with memory_session(asking(serializer=Asking(owed=["answer 0"]))) as (session, peer):
        await session.output.send_message("after", urgent=True)
        await wait_all_tasks_blocked()
        assert next(message for _, message in peer.messages) == "answer 0"


async def test_an_answer_overtakes_everything(autojump_clock: MockClock) -> None:
    """With a blocked wire, audio and urgent messages queued and an interruption, the answer is written next."""
    async with memory_session(asking(), buffer_messages=1) as (session, peer):
        peer.stall()
        await session.output.send(seconds(0.5))
        await trio.sleep(0.3)
        for number in range(3):
            await session.output.send_message(number, urgent=True)
        await peer.send_raw("ask 1")
        await peer.send_raw("ask 2")
        await trio.sleep(0.01)
        await session.output.interrupt()
        before = len(peer.messages)
        peer.resume()
        await trio.sleep(0.1)
        later = [message for _, message in peer.messages[before:]]
    # One chunk was in the peer's buffer, and one was being read or written.
    where = later.index("answer 1")
    assert all(type(_json.decode(message)[0]) is AudioFrame for message in later[:where])
    assert where <= 3
    assert later[where + 1] == "answer 2"
    assert _json.decode(later[where + 2]) == (InterruptionFrame(),)
    assert [_json.decode(message)[0] for message in later[where + 3 : where + 6]] == [
        MessageFrame(message=number, urgent=True) for number in range(3)
    ]


async def test_what_opens_the_stream_goes_before_its_audio(autojump_clock: MockClock) -> None:
    """Audio waits for the start; the dialect's answer to the start is on the wire before the first of it."""
    async with memory_session(asking(serializer=Asking(awaits=True))) as (session, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.output.send, audio(10 * CHUNK_BYTES))
            await trio.sleep(1)
            assert peer.messages == []
            await peer.send_raw("ask start")
        await session.output.drain()
        kinds = [message == "answer start" for _, message in peer.messages]
    assert kinds[0]
    assert kinds.count(True) == 1
    assert len(kinds) >= 10


async def test_a_burst_of_questions_is_answered_whole(autojump_clock: MockClock) -> None:
    """A thousand questions at once each get their answer, and audio goes on in between."""
    async with memory_session(asking(), buffer_messages=2000) as (session, peer):
        await session.output.send(seconds(1))
        for number in range(1000):
            await peer.send_raw(f"ask {number}")
        await session.output.drain()
        assert answers(peer.messages) == [f"answer {number}" for number in range(1000)]
        assert session.statistics().audio_sent_s >= 1


async def test_a_peer_that_asks_and_does_not_read_waits_for_itself(autojump_clock: MockClock) -> None:
    """Unread answers stop the reading after ``REPLY_LIMIT``; after ``send_timeout`` the session ends."""
    async with memory_session(asking(send_timeout=5), buffer_messages=10) as (session, peer):
        peer.stall()
        asked = 0
        with trio.move_on_after(2):
            while True:
                await peer.send_raw(f"ask {asked}")
                asked += 1
        assert asked <= REPLY_LIMIT + 10 + 10 + 4
        assert session.statistics().duration_s == 2
        await trio.sleep(4)
        assert not session.is_connected
        peer.resume()
    assert trio.current_time() < 7


@pytest.mark.parametrize("leaves", ["returns", "raises"])
async def test_unread_answers_do_not_hold_the_end(autojump_clock: MockClock, leaves: str) -> None:
    """A session whose receive task waits for room ends in bounded time however its body ends."""
    ended_at_s = 0.0
    try:
        async with memory_session(asking(send_timeout=60, close_timeout=2), buffer_messages=2) as (_, peer):
            peer.stall()
            with trio.move_on_after(1):
                while True:
                    await peer.send_raw("ask")
            ended_at_s = trio.current_time()
            if leaves == "raises":
                raise KeyError("the body's own")
    except KeyError:
        assert leaves == "raises"
    assert trio.current_time() - ended_at_s < 6


async def test_answers_belong_to_their_connection(autojump_clock: MockClock) -> None:
    """What was owed on a lost connection is not said on the next one, where questions are answered as before."""
    line = Line(redial_s=0.5)
    told: Broadcast[Event] = Broadcast()
    async with (
        line.wire() as first,
        open_session(first, reconnecting(serializer=Asking()), events=told, redial=line.redial) as session,
    ):
        peer = line.peers[0]
        peer.serializer = Asking()
        await peer.send_raw("ask 0")
        await trio.sleep(0.01)
        assert answers(peer.messages) == ["answer 0"]
        peer.stall()
        for _ in range(70):  # more than the wire holds
            await peer.send_raw("ask lost")
            await trio.lowlevel.checkpoint()
        peer.drop()
        peer.resume()
        await trio.sleep(1)
        assert session.is_connected
        second = line.peers[1]
        second.serializer = Asking()
        await second.send_raw("ask 1")
        await trio.sleep(0.01)
        assert [message for _, message in second.messages] == ["answer 1"]
    assert line.dialled == 1


def refusing() -> "Refusing":
    return Refusing()


class Refusing:
    """A line that answers every start, and takes the second one only."""

    audio_format = AudioFormat(8000)
    is_ready = True
    has_marks = False
    chunk_ms = None
    start = None
    starts = 0

    def __init__(self) -> None:
        self.owed: list[Message] = []

    def fresh(self) -> "Refusing":
        return self

    def encode(self, frame: Frame) -> Sequence[Message]:
        return ()

    def decode(self, message: Message) -> Sequence[Frame]:
        Refusing.starts += 1
        self.owed.append(f"answer {Refusing.starts}")
        if Refusing.starts == 1:
            raise RemoteProtocolError("not this one", path="$")
        return ()

    def replies(self) -> Sequence[Message]:
        owed, self.owed = self.owed, []
        return owed


async def test_through_detection(autojump_clock: MockClock) -> None:
    """A detected dialect's answers reach the caller: those of a refused start, and all after the dialect is known."""
    Refusing.starts = 0
    found = DetectingFrameSerializer(providers={"twilio": refusing})
    async with memory_session(params(serializer=found, audio_out_sample_rate=RATE)) as (_, peer):
        peer.serializer = Asking()
        for _ in range(3):
            await peer.send_raw(TWILIO_START)
        await wait_all_tasks_blocked()
        assert answers(peer.messages) == ["answer 1", "answer 2", "answer 3"]


def test_who_owes_nothing() -> None:
    """A dialect without answers is no ``Replies`` and owes nothing; composed ones may ask without looking."""
    assert not isinstance(TwilioFrameSerializer(), Replies)
    assert isinstance(Asking(), Replies)
    assert replies_of(TwilioFrameSerializer()) == ()
    assert replies_of(Asking(owed=["answer"])) == ["answer"]
    detecting = DetectingFrameSerializer()
    assert detecting.replies() == ()
    detecting.decode(TWILIO_START)
    assert detecting.replies() == ()
