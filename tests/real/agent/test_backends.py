"""Full turns with a fake backend of each kind, over real sockets."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator

import numpy as np
import pytest
import trio

from tests.real.agent.backend import Backend, backend
from trio_transports.agent import (
    AgentHungUp,
    AgentMessage,
    AudioChunk,
    CallerSpeechStarted,
    PlaybackCleared,
    TurnEnded,
    TurnRules,
    WebSocketAgentAdapter,
    silent_chunk,
)
from trio_transports.agent.protocols import (
    JSONAudioProtocol,
    OpenAIRealtimeProtocol,
    RawPCMProtocol,
    TwilioMediaStreamProtocol,
)
from trio_transports.agent.protocols.pipecat import PipecatProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import pcm_to_ulaw, ulaw_to_pcm
from trio_transports.serializers import frames_pb2 as pb

pytestmark = pytest.mark.filterwarnings("error")

DEADLINE_S = 60
RULES = TurnRules(first_audio_timeout_s=30.0, tail_silence_s=3.0, in_real_time=False)


def tone(seconds: float, sample_rate: int = 24000, hz: float = 300.0) -> bytes:
    time = np.arange(round(sample_rate * seconds)) / sample_rate
    return (np.sin(2 * np.pi * hz * time) * 9000).astype("<i2").tobytes()


def odd_pieces(pcm: bytes) -> Iterator[bytes]:
    """Cut at 1, 7, 1001, 333 bytes and so on: hardly ever at the end of a sample."""
    start, sizes = 0, [1, 7, 1001, 333, 2049, 0, 5]
    for turn in range(len(pcm)):
        if start >= len(pcm):
            return
        size = sizes[turn % len(sizes)]
        yield pcm[start : start + size]
        start += size


SPOKEN, ANSWER = AudioChunk(tone(0.2)), tone(0.5, hz=500.0)


async def test_raw_pcm() -> None:
    """Odd pieces with text among them are one answer, sample for sample; the caller's turn came whole."""
    heard = b""

    async def behave(caller: Backend) -> None:
        nonlocal heard
        while (message := await caller.receive()) != "end":
            assert isinstance(message, bytes)
            heard += message
        for number, piece in enumerate(odd_pieces(ANSWER)):
            await caller.send(piece)
            if number % 3 == 0:
                await caller.send(f"text {number}")
        await caller.listen_until_closed()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, RawPCMProtocol(end="end")) as adapter:
            began_at = trio.current_time()
            answer = await adapter.call(SPOKEN, rules=RULES)
            took_s = trio.current_time() - began_at
    assert answer.audio.data == ANSWER
    assert heard == SPOKEN.data
    assert answer.ended_by == "tail_silence"
    assert answer.first_byte_s is not None
    assert 0 <= answer.first_byte_s <= took_s - RULES.tail_silence_s
    assert answer.events[0] == AgentMessage("text 0")


async def test_json() -> None:
    """Keys of one's own, transcripts with the audio, a turn end, and a hang-up."""
    protocol = JSONAudioProtocol(
        audio_key="media.payload",
        template={"event": "media"},
        agent_audio_key="speech",
        turn_end={"event": "done"},
        hang_up={"event": "bye"},
        end={"event": "over"},
        opening=[{"event": "hello", "token": "secret"}],
        closing=[{"event": "stop"}],
    )
    seen: list[object] = []

    async def behave(caller: Backend) -> None:
        seen.append(await caller.receive_json())
        for turn in range(2):
            while (document := await caller.receive_json())["event"] == "media":
                seen.append(len(b64decode(document["media"]["payload"])))
            assert document == {"event": "over"}
            for piece in odd_pieces(ANSWER):
                await caller.send_json(speech=b64encode(piece).decode(), transcript="la")
            await caller.send_json(event="done" if turn == 0 else "bye")
        seen.append(await caller.receive_json())
        await caller.listen_until_closed()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, protocol) as adapter:
            first = await adapter.call(SPOKEN, paced=False, rules=RULES)
            second = await adapter.call(SPOKEN, rules=RULES)
    assert [answer.audio.data for answer in (first, second)] == [ANSWER] * 2
    assert (first.ended_by, second.ended_by) == ("turn_end", "agent_hung_up")
    assert first.transcript.startswith("la la la")
    assert second.events == (AgentHungUp(),)
    assert seen[0] == {"event": "hello", "token": "secret"}
    assert seen[1:-1] == [9600, *[960] * 10]
    assert seen[-1] == {"event": "stop"}


async def test_pipecat() -> None:
    """Protobuf frames at 16 kHz to the agent and 24 kHz back, words and events by the client protocol."""
    heard = bytearray()

    def frame(**parts: object) -> bytes:
        return pb.Frame(**parts).SerializeToString()  # type: ignore[arg-type]

    async def behave(caller: Backend) -> None:
        ready = pb.Frame.FromString(bytes(await caller.receive()))  # type: ignore[arg-type]
        assert json.loads(ready.message.data)["type"] == "client-ready"
        while True:
            message = await caller.receive()
            assert isinstance(message, bytes)
            audio = pb.Frame.FromString(message).audio
            assert (audio.sample_rate, audio.num_channels, len(audio.audio)) == (16000, 1, 640)
            heard.extend(audio.audio)
            if len(heard) > 16000 and not any(audio.audio):
                break
        await caller.send(frame(transcription=pb.TranscriptionFrame(text="hello", user_id="u", timestamp="")))
        for start in range(0, len(ANSWER), 1920):
            piece = ANSWER[start : start + 1920]
            await caller.send(frame(audio=pb.AudioRawFrame(audio=piece, sample_rate=24000, num_channels=1)))
        for kind, data in (("bot-transcription", {"text": "good day"}), ("bot-stopped-speaking", {})):
            rtvi = json.dumps({"label": "rtvi-ai", "type": kind, "id": "1", "data": data})
            await caller.send(frame(message=pb.MessageFrame(data=rtvi)))
        await caller.listen_until_closed()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, PipecatProtocol(rtvi=True)) as adapter:
            answer = await adapter.call(AudioChunk(tone(0.6)), rules=RULES)
    assert answer.audio.data == ANSWER
    assert (answer.ended_by, answer.transcript, answer.caller_transcript) == ("turn_end", "good day", "hello")
    spoken = np.frombuffer(bytes(heard), "<i2")
    assert np.abs(spoken.astype(float)).max() == pytest.approx(9000, rel=0.02)


async def test_twilio() -> None:
    """The adapter plays the provider: start, media without a gap, marks when played, clear, keys, stop."""
    seen: list[str] = []
    chunks: list[dict[str, str]] = []
    answer_ulaw = pcm_to_ulaw(tone(0.4, 8000))

    async def behave(caller: Backend) -> None:
        assert (await caller.receive_json())["event"] == "connected"
        start = await caller.receive_json()
        sid = start["streamSid"]
        loud = 0
        while loud < 5:
            document = await caller.receive_json()
            chunks.append(document["media"])
            loud += np.abs(np.frombuffer(ulaw_to_pcm(b64decode(document["media"]["payload"])), "<i2")).max() > 1000
        began_at = trio.current_time()
        for begin in range(0, len(answer_ulaw), 160):
            payload = b64encode(answer_ulaw[begin : begin + 160]).decode()
            await caller.send_json(event="media", streamSid=sid, media={"payload": payload})
        await caller.send_json(event="mark", streamSid=sid, mark={"name": "said"})
        while (document := await caller.receive_json())["event"] != "mark":
            chunks.append(document["media"])
        assert document["mark"] == {"name": "said"}
        assert 0.39 <= trio.current_time() - began_at < 5
        for event in (*["media"] * 10, "mark", "clear"):  # 20 s
            payload = b64encode(bytes([0x90]) * 16000).decode()
            await caller.send_json(event=event, streamSid=sid, media={"payload": payload}, mark={"name": "cut"})
        cleared_at = trio.current_time()
        while (document := await caller.receive_json())["event"] in ("media", "dtmf", "mark"):
            seen.append(document["event"])
            if document["event"] == "mark":
                assert trio.current_time() - cleared_at < 10
        seen.append(document["event"])
        await caller.listen_until_closed()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, TwilioMediaStreamProtocol()) as adapter:
            events = adapter.events()
            answer = await adapter.call(AudioChunk(tone(0.3)), rules=TurnRules(tail_silence_s=3))
            await adapter.send_dtmf("5")
            assert await events.receive() == PlaybackCleared()
            await trio.sleep(0.1)
    spoken = answer.audio
    assert spoken.duration_seconds >= 0.4
    assert [int(chunk["chunk"]) for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert [int(chunk["timestamp"]) for chunk in chunks] == list(range(0, 20 * len(chunks), 20))
    assert {len(b64decode(chunk["payload"])) for chunk in chunks} == {160}
    assert {"dtmf", "mark"} <= set(seen)
    assert seen[-1] == "stop"


class Realtime:
    """A small speech-to-speech service: answers when it hears silence after speech, or when asked to."""

    def __init__(self, caller: Backend, *, prefix: str, pause_s: float = 0.02) -> None:
        self.caller = caller
        self.prefix = prefix
        self.pause_s = pause_s
        self.update: dict[str, object] = {}
        self.appended = 0
        self.cancelled = trio.Event()

    async def serve(self) -> None:
        await self.caller.send_json(type="session.created", session={})
        self.update = (await self.caller.receive_json())["session"]
        await self.caller.send_json(type="session.updated", session=self.update)
        speaking, quiet = False, 0
        async with trio.open_nursery() as nursery:
            while True:
                event = await self.caller.receive_json()
                match event["type"]:
                    case "input_audio_buffer.append":
                        pcm = np.frombuffer(b64decode(event["audio"]), "<i2")
                        self.appended += len(pcm)
                        is_loud = len(pcm) > 0 and np.abs(pcm).max() > 1000
                        quiet = 0 if is_loud else quiet + 1
                        if self.has_vad and is_loud and not speaking:
                            speaking = True
                            await self.caller.send_json(type="input_audio_buffer.speech_started")
                        elif speaking and quiet >= 5:
                            speaking = False
                            await self.caller.send_json(type="input_audio_buffer.speech_stopped")
                            nursery.start_soon(self.answer)
                    case "response.create":
                        nursery.start_soon(self.answer)
                    case "response.cancel":
                        self.cancelled.set()

    @property
    def has_vad(self) -> bool:
        audio = self.update["audio"]
        assert isinstance(audio, dict)
        return audio["input"]["turn_detection"] is not None

    async def answer(self) -> None:
        send = self.caller.send_json
        await send(type="conversation.item.input_audio_transcription.completed", transcript="hello")
        await send(type="response.created", response={})
        for number, piece in enumerate(odd_pieces(ANSWER)):
            await send(type=f"response.{self.prefix}.delta", delta=b64encode(piece).decode())
            if number % 10 == 9:
                await send(type=f"response.{self.prefix}_transcript.delta", delta=f"w{number} ")
                with trio.move_on_after(self.pause_s):
                    await self.cancelled.wait()
            if self.cancelled.is_set():
                await send(type="response.done", response={"status": "cancelled", "output": []})
                return
        await send(type=f"response.{self.prefix}_transcript.done", transcript="good day")
        await send(type="response.done", response={"status": "completed", "output": [{"type": "message"}]})


@pytest.mark.parametrize("prefix", ["output_audio", "audio"])
@pytest.mark.parametrize("server_vad", [True, False])
async def test_openai_realtime(prefix: str, server_vad: bool) -> None:
    """Two turns, by the service's own turn detection or by asking, by the events' present and older names."""

    async def behave(caller: Backend) -> None:
        await Realtime(caller, prefix=prefix).serve()

    protocol = OpenAIRealtimeProtocol(server_vad=server_vad, session={"instructions": "Be brief."})
    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, protocol) as adapter:
            for _ in range(2):
                answer = await adapter.call(SPOKEN, rules=RULES)
                assert answer.audio.data == ANSWER
                assert (answer.ended_by, answer.transcript, answer.caller_transcript) == (
                    "turn_end",
                    "good day",
                    "hello",
                )
                assert (CallerSpeechStarted() in answer.events) is server_vad


async def test_openai_realtime_interrupted() -> None:
    """The service stops, says that its turn was cut short, and the next turn is whole."""

    async def behave(caller: Backend) -> None:
        await Realtime(caller, prefix="output_audio", pause_s=30).serve()

    with trio.fail_after(DEADLINE_S):
        async with backend(behave) as url, WebSocketAgentAdapter(url, OpenAIRealtimeProtocol()) as adapter:
            events = adapter.events()
            await adapter.send_audio(SPOKEN)
            first = await adapter.recv_audio(timeout=30)
            await adapter.interrupt()
            async for event in events:
                if isinstance(event, TurnEnded):
                    assert event == TurnEnded(completed=False, reason="cancelled")
                    break
            rest = b""
            with trio.move_on_after(0.2):
                async for chunk in adapter.chunks():
                    rest += chunk.data
            assert 0 < len(first.data + rest) < len(ANSWER)


async def test_rates_on_both_sides() -> None:
    """A caller at 48 kHz and an agent at 8 kHz hear each other at the right speed."""
    received = 0

    async def behave(caller: Backend) -> None:
        nonlocal received
        while (message := await caller.receive()) != "end":
            received += len(message)
        await caller.send(tone(1.0, 8000, hz=400.0))
        await caller.listen_until_closed()

    narrow = AudioFormat(8000)
    protocol = RawPCMProtocol(input_format=narrow, output_format=narrow, end="end")
    with trio.fail_after(DEADLINE_S):
        async with (
            backend(behave) as url,
            WebSocketAgentAdapter(url, protocol, audio_format=AudioFormat(48000)) as adapter,
        ):
            answer = await adapter.call(silent_chunk(0.5, AudioFormat(48000)), paced=False, rules=RULES)
    assert received == pytest.approx(8000, abs=200)
    assert answer.audio.format == AudioFormat(48000)
    assert answer.duration_s == pytest.approx(1.0, abs=0.01)
    samples = np.frombuffer(answer.audio.data, "<i2")[4800:43200].astype(float)
    peak = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 48000 / len(samples)
    assert peak == pytest.approx(400.0, abs=2.0)
