"""An RTVI client's call in virtual time: what it hears and when, beside what the handler does."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from attrs import define
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.serializers.test_golden_rtvi import document
from tests.session.hearing import Planned
from tests.session.helpers import params
from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    FunctionCallFrame,
    FunctionResultFrame,
    InterruptionFrame,
    MessageFrame,
    RequestFrame,
    Session,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.serializers import FrameSerializer, Message
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.serializers.rtvi import RTVIFrameSerializer
from trio_transports.testing import ScriptedPeer, memory_session
from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped

_protobuf = ProtobufFrameSerializer()
RATE = 24000


@define(eq=False)
class Anything:
    """The peer's reading: whatever comes, audio and messages, is written down by the peer itself."""

    audio_format = None

    def encode(self, frame: Frame) -> Sequence[Message]:
        return _protobuf.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        return ()


@define(eq=False)
class Client:
    session: Session
    peer: ScriptedPeer

    async def says(self, kind: str, data: object = None, asked_as: str = "1") -> None:
        message: Any = {"label": "rtvi-ai", "type": kind, "id": asked_as, "data": data}
        await self.peer.send(MessageFrame(message=message))

    def heard(self) -> list[tuple[float, str]]:
        """When what was heard; audio once for each run of it."""
        found: list[tuple[float, str]] = []
        for at_s, message in self.peer.messages:
            (frame,) = _protobuf.decode(message)
            what = "audio" if isinstance(frame, AudioFrame) else str(document(message)["type"])
            if what != "audio" or not found or found[-1][1] != "audio":
                found.append((round(at_s, 3), what))
        return found

    def kinds(self) -> list[str]:
        return [what for _, what in self.heard()]

    def documents(self, kind: str) -> list[dict[str, Any]]:
        found = []
        for _, message in self.peer.messages:
            (frame,) = _protobuf.decode(message)
            if isinstance(frame, MessageFrame) and document(message)["type"] == kind:
                found.append(document(message))
        return found


@asynccontextmanager
async def client(*, ready: bool = True, **changes: object) -> AsyncIterator[Client]:
    settings = {"serializer": RTVIFrameSerializer(), "audio_out_auto_silence": False, **changes}
    async with memory_session(params(**settings), buffer_messages=4000) as (session, peer):
        peer.serializer = Anything()
        here = Client(session, peer)
        if ready:
            await here.says("client-ready", {"version": "2.1.0", "about": {"library": "a"}}, "r")
            assert isinstance(await session.input.receive(), StartFrame)
        yield here


def speech(duration_s: float, rate: int = RATE) -> AudioFrame:
    return AudioFrame(audio=b"\1\2" * round(rate * duration_s), sample_rate=rate)


async def test_the_bot_speaks_once_the_client_is_ready(autojump_clock: MockClock) -> None:
    """A greeting sent at once waits for client-ready; bot-ready is the first thing on the wire, audio at 24 kHz."""
    async with client(ready=False) as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.session.output.send, speech(1, rate=8000))
            await trio.sleep(2)
            assert here.peer.messages == []
            await here.says("client-ready", {"version": "2.1.0", "about": {"library": "a"}})
        await here.session.output.drain()
        assert here.kinds() == ["bot-ready", "bot-tts-started", "bot-started-speaking", "audio"]
        frames = [_protobuf.decode(message)[0] for _, message in here.peer.messages]
    heard = [frame for frame in frames if isinstance(frame, AudioFrame)]
    assert {frame.sample_rate for frame in heard} == {RATE}
    assert sum(frame.duration_s for frame in heard) == pytest.approx(1, abs=0.03)
    assert here.session.start is not None
    assert here.session.start.parameters["version"] == "2.1.0"


@pytest.mark.parametrize("is_detected", [False, True])
async def test_the_bots_level_is_told_while_it_speaks(is_detected: bool, autojump_clock: MockClock) -> None:
    """At its pace, whatever the client says meanwhile: nothing, as one whose microphone is off."""
    serializer: FrameSerializer = RTVIFrameSerializer(levels_ms=100)
    if is_detected:
        serializer = DetectingFrameSerializer(providers={"rtvi": serializer})
    async with client(serializer=serializer) as here:
        for _ in range(2):
            await here.session.output.send(speech(2))
            await here.session.output.drain()
        times = [at_s for at_s, what in here.heard() if what == "bot-audio-level"]
    assert len(times) == pytest.approx(40, abs=2)
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    assert gaps[2] > 0.05
    assert gaps[-3] < 0.15


async def test_who_speaks_is_told_without_a_word_of_the_handler(autojump_clock: MockClock) -> None:
    """The session's own notices of both sides reach the client, each once, and an interruption by speech too."""
    plan: list[tuple[float, SpeechEvent]] = [(0.1, SpeechStarted(at_s=0.05)), (0.3, SpeechStopped(at_s=0.25))]
    async with client(vad_enabled=True, vad_analyzer=Planned(plan), allow_interruptions=True) as here:
        await here.session.output.send(speech(5))
        await trio.sleep(1)
        for _ in range(20):
            await here.peer.send(AudioFrame(audio=bytes(640), sample_rate=16000))
            await trio.sleep(0.02)
        told = [what for what in here.kinds() if what != "audio"]
        assert told == [
            "bot-ready",
            "bot-tts-started",
            "bot-started-speaking",
            "user-started-speaking",
            "bot-interrupted",
            "bot-tts-stopped",
            "bot-stopped-speaking",
            "user-stopped-speaking",
        ]
        audio_s = here.session.statistics().audio_sent_s
    assert audio_s == pytest.approx(1.1, abs=0.1)


async def test_words_are_news_when_made_and_again_when_spoken(autojump_clock: MockClock) -> None:
    """Texts among two seconds of audio: both are news at once, each is spoken at its place, twice over."""
    async with client() as here:
        for _ in range(2):
            del here.peer.messages[:]
            began_s = trio.current_time()
            await here.session.output.send(TextFrame(text="One."))
            await here.session.output.send(speech(1))
            await here.session.output.send(TextFrame(text="Two."))
            await here.session.output.send(speech(1))
            await here.session.output.send(BotStoppedSpeakingFrame())
            await here.session.output.drain()
            await trio.sleep(0.5)
            at = [(round(at_s - began_s, 1), what) for at_s, what in here.heard()]
            assert [when for when, what in at if what == "bot-llm-text"] == [0, 0]
            assert [when for when, what in at if what == "bot-tts-text"] == [0, pytest.approx(1, abs=0.1)]
            assert [what for _, what in at].count("bot-llm-started") == 1
            assert [what for _, what in at][-3:] == ["bot-tts-stopped", "bot-stopped-speaking", "bot-llm-stopped"]
            progress = [(d["data"]["text"], d["data"]["spoken_status"]) for d in here.documents("bot-output")]
            for text in ("One.", "Two."):
                assert [status for told, status in progress if told == text] == ["new", "in-progress", "completed"]
            assert progress.index(("One.", "completed")) < progress.index(("Two.", "in-progress"))


async def test_words_that_were_never_begun_are_not_spoken(autojump_clock: MockClock) -> None:
    """After an interruption in the first second only the first text was told as spoken."""
    async with client() as here:
        for text in ("One.", "Two.", "Three."):
            await here.session.output.send(TextFrame(text=text))
            await here.session.output.send(speech(1))
        await trio.sleep(0.5)
        await here.session.output.interrupt()
        await trio.sleep(1)
        assert [d["data"]["text"] for d in here.documents("bot-llm-text")] == ["One.", "Two.", "Three."]
        assert [d["data"]["text"] for d in here.documents("bot-tts-text")] == ["One."]
        statuses = [d["data"]["spoken_status"] for d in here.documents("bot-output")]
        assert sorted(statuses) == ["in-progress", "new", "new", "new"]
        assert len(here.documents("bot-interrupted")) == 1
        # What was cut off is not completed by what comes after it either.
        await here.session.output.send(TextFrame(text="Four."))
        await here.session.output.send(speech(0.2))
        await here.session.output.send(BotStoppedSpeakingFrame())
        await trio.sleep(1)
        done = [d["data"]["text"] for d in here.documents("bot-output") if d["data"]["spoken_status"] == "completed"]
        assert done == ["Four."]


async def test_what_the_user_said_does_not_wait_for_the_bot(autojump_clock: MockClock) -> None:
    """Transcriptions, answers, calls and errors leave at once while five seconds of audio are queued."""
    async with client() as here:
        await here.session.output.send(speech(5))
        await here.says("client-message", {"t": "weather", "d": "Brno"}, "q-1")
        request = await here.session.input.receive()
        while not isinstance(request, RequestFrame):
            request = await here.session.input.receive()
        began_s = trio.current_time()
        await here.session.output.send(TranscriptionFrame(text="What is", final=False))
        await here.session.output.send(TranscriptionFrame(text="What is it?"))
        await here.session.output.send(request.answer({"c": 21}))
        await here.session.output.send(request.refuse("enough"))
        await here.session.output.send(FunctionCallFrame(name="book", call_id="t-1"))
        await here.session.output.send(FunctionResultFrame(name="book", call_id="t-1", result=1))
        await wait_all_tasks_blocked()
        assert trio.current_time() == pytest.approx(began_s, abs=0.2)
        kinds = here.kinds()
        for kind in ("user-transcription", "server-response", "error-response", "llm-function-call-stopped"):
            assert kind in kinds
        assert here.documents("server-response")[0]["id"] == "q-1"
        assert here.documents("error-response")[0]["data"] == {"error": "enough"}
        assert [d["data"]["final"] for d in here.documents("user-transcription")] == [False, True]
        assert here.session.statistics().unsupported_frames == 0


async def test_disconnect_bot_and_typed_text(autojump_clock: MockClock) -> None:
    """Typed text comes after an interruption; disconnect-bot is the end of the stream."""
    async with client() as here:
        await here.says("send-text", {"content": "stop it"})
        await here.says("disconnect-bot")
        got = [await here.session.input.receive() for _ in range(3)]
        assert got == [InterruptionFrame(), TextFrame(text="stop it"), EndFrame(reason="disconnect-bot")]
        # A handler that only reads is done: the client has sent it away, though it keeps the line.
        with trio.fail_after(1):
            assert [frame async for frame in here.session.input] == []


async def test_the_python_client_is_answered_in_text(autojump_clock: MockClock) -> None:
    """A client that writes bare JSON hears JSON: bot-ready, and audio in base64."""
    async with client(ready=False) as here:
        ready = {"label": "rtvi-ai", "type": "client-ready", "id": "client-ready", "data": {"version": "2.2.0"}}
        await here.peer.send_raw(json.dumps(ready))
        await here.session.output.send(speech(0.1))
        await here.session.output.drain()
        kinds = [json.loads(message)["type"] for _, message in here.peer.messages]
    assert kinds[0] == "bot-ready"
    assert kinds.count("bot-tts-audio") >= 2


async def test_how_long_the_answer_took_is_told_once_a_turn(autojump_clock: MockClock) -> None:
    """From the last word, not from when its end was noticed, to the first audio; twice, and not for an unasked word."""
    plan: list[tuple[float, SpeechEvent]] = [
        (0.1, SpeechStarted(at_s=0.05)),
        (0.6, SpeechStopped(at_s=0.3)),
        (1.2, SpeechStarted(at_s=1.1)),
        (1.6, SpeechStopped(at_s=1.4)),
        (1.8, SpeechStarted(at_s=1.7)),  # goes on before the bot has answered: one turn, from the later word
        (2.2, SpeechStopped(at_s=2.0)),
    ]
    async with client(vad_enabled=True, vad_analyzer=Planned(plan), allow_interruptions=True) as here:

        async def listen(count: int) -> None:
            for _ in range(count):
                await here.peer.send(AudioFrame(audio=bytes(640), sample_rate=16000))
                await trio.sleep(0.02)

        await listen(30)  # 0.6 s
        await trio.sleep(0.4)
        await here.session.output.send(speech(0.2))
        await trio.sleep(1)
        await here.session.output.send(speech(0.2))  # nobody asked
        await trio.sleep(1)
        await listen(80)  # up to 2.2 s
        await trio.sleep(0.1)
        await here.session.output.send(speech(0.2))
        await trio.sleep(1)
        (first, second) = [found["data"]["turn"] for found in here.documents("metrics")]
    assert [each["processor"] for each in (*first, *second)] == ["session", "session"]
    assert first[0]["value"] == pytest.approx(0.3 + 0.4, abs=0.03)
    assert second[0]["value"] == pytest.approx(0.2 + 0.1, abs=0.03)
