"""The dialects that are unlike Twilio's: whole calls byte for byte, and everything that can be wrong with a message."""

import json
from collections.abc import Sequence

import pytest

from tests.serializers.conversations import PCM, ULAW, ULAW_AUDIO, In, Out
from tests.serializers.genesys_conversation import (
    EXTERNAL,
    GENESYS_ID,
    GENESYS_OPEN,
    STEREO,
    client,
    medium,
    offered,
    server,
)
from tests.serializers.other_conversations import JAMBONZ_START, SCRIPTS
from tests.serializers.scripts import Owed, Script, audio
from trio_transports._offers import offers
from trio_transports.audio.g711 import ulaw_to_pcm
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import (
    AudioFrame,
    EndFrame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
)
from trio_transports.serializers import FrameSerializer, Message
from trio_transports.serializers.asterisk import AsteriskFrameSerializer
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.genesys import GenesysFrameSerializer
from trio_transports.serializers.jambonz import JambonzFrameSerializer
from trio_transports.serializers.lines.asterisk import MAX_MESSAGE_BYTES
from trio_transports.serializers.protocol import Numbers, Pausable, StartRefused, per_session, replies_of
from trio_transports.serializers.relay import RelayFrameSerializer
from trio_transports.serializers.sinch import SinchFrameSerializer

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


def written(serializer: FrameSerializer, messages: Sequence[Message]) -> tuple[Message, ...]:
    """As they are on the wire."""
    if isinstance(serializer, Numbers) and serializer.numbers:
        return tuple(map(serializer.numbered, messages))
    return tuple(messages)


def play(serializer: FrameSerializer, script: Script) -> None:
    for line in script.lines:
        match line:
            case In(message=message, frames=frames):
                assert tuple(serializer.decode(message)) == frames, message
            case Out(frame=frame, messages=messages):
                assert written(serializer, serializer.encode(frame)) == messages, frame
            case Owed(messages=messages):
                assert written(serializer, replies_of(serializer)) == messages
    assert replies_of(serializer) == ()


@each_script
class TestScripts:
    def test_start_to_stop(self, script: Script) -> None:
        """Each message gives the frames and answers it should, and each frame the messages, byte for byte."""
        play(script.make(), script)

    def test_a_second_call(self, script: Script) -> None:
        """A copy for the next session knows nothing of the call before."""
        used = script.make()
        play(used, script)
        copy = per_session(used)
        assert type(copy) is type(used)
        assert (copy.is_ready, copy.start) == (False, None)
        play(copy, script)

    def test_by_detection(self, script: Script) -> None:
        """The first message says which dialect it is; from then on a call is what it is without detection."""
        template = DetectingFrameSerializer()
        template.providers = {**template.providers, "asterisk": AsteriskFrameSerializer(answers=True)}
        for _ in range(2):
            serializer = per_session(template)
            play(serializer, script)
            assert serializer.provider == script.provider
            assert serializer.has_marks is script.has_marks
            assert serializer.chunk_ms == script.packet_ms

    def test_bad_messages_between(self, script: Script) -> None:
        """Every malformed message is refused, and between them the call goes on as if they had not come."""
        serializer = script.make()
        for line in script.lines:
            for message, _ in script.early if serializer.start is None else script.malformed:
                with pytest.raises(RemoteProtocolError):
                    serializer.decode(message)
            if serializer.start is None:
                replies_of(serializer)
            match line:
                case In(message=message, frames=frames):
                    assert tuple(serializer.decode(message)) == frames
                case Out(frame=frame, messages=messages):
                    assert written(serializer, serializer.encode(frame)) == messages
                case Owed(messages=messages):
                    assert written(serializer, replies_of(serializer)) == messages

    def test_malformed(self, script: Script) -> None:
        """A message with one thing wrong is an error that names the place."""
        for message, path in script.early:
            with pytest.raises(RemoteProtocolError) as raised:
                script.make().decode(message)
            assert raised.value.path == path, message
        for message, path in script.malformed:
            serializer = script.make()
            for line in script.lines[:3]:
                if isinstance(line, In):
                    serializer.decode(line.message)
            with pytest.raises(RemoteProtocolError) as raised:
                serializer.decode(message)
            assert raised.value.path == path, message

    def test_before_the_start(self, script: Script) -> None:
        """Nothing can be said before the start message: audio is an error, an interruption and an end are nothing."""
        serializer = script.make()
        assert not serializer.is_ready
        assert serializer.encode(InterruptionFrame()) == ()
        assert serializer.encode(EndFrame()) == ()
        if serializer.audio_format is not None:
            with pytest.raises(LocalProtocolError, match="before the start"):
                serializer.encode(audio(bytes(320), serializer.audio_format.sample_rate))
        else:
            with pytest.raises(LocalProtocolError, match="before the start"):
                serializer.encode(TextFrame(text="hello"))

    def test_the_line_has_one_format(self, script: Script) -> None:
        """Audio of another rate or channel count is the caller's mistake, said with both formats."""
        serializer = script.make()
        for message in script.received[:2]:
            serializer.decode(message)
        if serializer.audio_format is None:
            return
        rate = serializer.audio_format.sample_rate
        for frame in (audio(bytes(4), rate + 1), AudioFrame(audio=bytes(4), sample_rate=rate, num_channels=2)):
            with pytest.raises(LocalProtocolError, match=f"the line carries {rate} Hz mono, not {frame.format}"):
                serializer.encode(frame)


def opened(**settings: object) -> GenesysFrameSerializer:
    serializer = GenesysFrameSerializer(**settings)  # type: ignore[arg-type]
    serializer.decode(client("open", 1, 0, offered(STEREO, EXTERNAL, medium("L16", "external"))))
    written(serializer, serializer.replies())
    return serializer


class TestGenesys:
    def test_both_sides(self) -> None:
        """With the agent's side asked for, both channels are taken, and each has its own frames."""
        serializer = GenesysFrameSerializer(tracks=("inbound", "internal"))
        serializer.decode(GENESYS_OPEN)
        (answer,) = serializer.replies()
        assert json.loads(answer)["parameters"]["media"] == [json.loads(STEREO)]
        both = bytes(code for pair in zip(ULAW, reversed(ULAW), strict=True) for code in pair)
        caller, agent = serializer.decode(both)
        assert isinstance(caller, AudioFrame)
        assert isinstance(agent, AudioFrame)
        assert (caller.audio, caller.destination) == (ULAW_AUDIO.audio, None)
        assert (agent.audio, agent.destination) == (ulaw_to_pcm(ULAW[::-1]), "internal")
        with pytest.raises(RemoteProtocolError, match="2 channels"):
            serializer.decode(b"odd")

    @pytest.mark.parametrize(
        "media", [STEREO, EXTERNAL, medium("L16", "external"), medium("L16", "external", "internal")]
    )
    def test_the_place_of_audio_is_counted_in_samples(self, media: str) -> None:
        """Of however many bytes and channels a sample is; what could not be read does not count. Three packets."""
        linear, channels = "L16" in media, media.count("ternal")
        tracks = ("inbound", "internal") if channels == 2 else ("inbound",)
        serializer = GenesysFrameSerializer(tracks=tracks, encodings=("L16", "PCMU"))
        serializer.decode(client("open", 1, 0, offered(media)))
        for number in range(3):
            frames = serializer.decode(bytes(160 * channels * (2 if linear else 1)))
            assert [frame.pts for frame in frames if isinstance(frame, AudioFrame)] == [number * 20_000_000] * channels
            if channels * (1 + linear) > 1:
                with pytest.raises(RemoteProtocolError):
                    serializer.decode(b"odd")

    def test_linear(self) -> None:
        """L16 is taken where it is preferred, each way."""
        serializer = opened(encodings=("L16",))
        (heard,) = serializer.decode(PCM)
        assert isinstance(heard, AudioFrame)
        assert heard.audio == PCM
        assert serializer.encode(audio(PCM, 8000)) == (PCM,)

    @pytest.mark.parametrize("zeros", ["conversation", "participant"])
    def test_a_probe(self, zeros: str) -> None:
        """A connection probe is answered and closed, and no call begins."""
        nobody = "00000000-0000-0000-0000-000000000000"
        parameters = json.loads(offered(EXTERNAL))
        if zeros == "conversation":
            parameters["conversationId"] = nobody
        else:
            parameters["participant"]["id"] = nobody
        serializer = GenesysFrameSerializer()
        assert serializer.decode(client("open", 1, 0, json.dumps(parameters))) == ()
        assert serializer.start is None
        assert written(serializer, serializer.replies()) == (
            server("opened", 1, 1, f'{{"startPaused":false,"media":[{EXTERNAL}]}}'),
        )
        assert serializer.decode(client("close", 2, 1, '{"reason":"end"}')) == (EndFrame(reason="end"),)
        assert written(serializer, serializer.replies()) == (server("closed", 2, 2),)

    def test_nothing_that_can_be_taken(self) -> None:
        """A session whose media is not known is refused, and the client is told why."""
        serializer = GenesysFrameSerializer()
        with pytest.raises(StartRefused, match="'OPUS' at 8000 is offered"):
            serializer.decode(client("open", 1, 0, offered(medium("OPUS", "external"))))
        (told,) = written(serializer, serializer.replies())
        assert json.loads(told)["type"] == "disconnect"
        assert json.loads(told)["parameters"]["reason"] == "error"

    @pytest.mark.parametrize(
        ("message", "path"),
        [
            (client("ping", 3, 1), "seq"),
            (client("ping", 1, 1), "seq"),
            (client("ping", 2, 2), "serverseq"),
            (client("ping", 2, -1), "serverseq"),
            (client("ping", 2, 1).replace(GENESYS_ID, "another"), "id"),
            (client("open", 2, 1, offered(EXTERNAL)), "id"),
        ],
    )
    def test_broken_rules(self, message: str, path: str) -> None:
        """A gap, a claim to have seen what was not sent, another id: an error that Genesys is told once."""
        serializer = opened()
        for expected in (1, 0):
            with pytest.raises(RemoteProtocolError) as raised:
                serializer.decode(message)
            assert raised.value.path == path
            owed = serializer.replies()
            assert len(owed) == expected
            assert all(json.loads(each)["parameters"]["reason"] == "error" for each in owed)

    def test_what_could_not_be_read_had_a_number(self) -> None:
        """A message that cannot be read costs itself: the next one's number is no gap."""
        serializer = opened()
        with pytest.raises(RemoteProtocolError):
            serializer.decode(client("dtmf", 2, 1, '{"digit":"long"}'))
        with pytest.raises(RemoteProtocolError):
            serializer.decode("{")
        assert serializer.decode(client("ping", 4, 1)) == ()
        assert written(serializer, serializer.replies()) == (server("pong", 2, 4),)

    def test_numbers_follow_the_wire(self) -> None:
        """An answer that overtakes a message in the queue has the lower number: numbers are given when written."""
        serializer = opened()
        (queued,) = serializer.encode(InterruptionFrame())
        serializer.decode(client("ping", 2, 1))
        (pong,) = serializer.replies()
        first, second = written(serializer, [pong, queued])
        assert [json.loads(each)["seq"] for each in (first, second)] == [2, 3]
        assert serializer.numbered(first) == first

    def test_a_pause_is_one_of_the_clients_audio(self) -> None:
        """This side's own goes on; what was left out meanwhile is counted, each time, where it is told."""
        serializer = opened()
        assert not offers(serializer, Pausable)
        places = []
        for number in range(2, 10, 2):
            serializer.decode(client("paused", number, 1))
            parameters = '{"start":"PT0.2S","discarded":"PT10.5S"}' if number % 4 == 0 else "{}"
            serializer.decode(client("resumed", number + 1, 1, parameters))
            (frame,) = serializer.decode(bytes(800))
            assert isinstance(frame, AudioFrame)
            places.append((frame.pts or 0) // 1_000_000)
        assert places == [0, 10_600, 10_700, 21_300]

    @pytest.mark.parametrize("message", [{"type": "opened"}, {"type": 5}, {"a": 1}, [], "x", None])
    def test_odd_messages(self, message: object) -> None:
        """What Genesys does not take is an error where it is sent, not on the wire."""
        with pytest.raises(LocalProtocolError, match="disconnect, pause, resume, reconnect, event"):
            opened().encode(MessageFrame(message=message))  # type: ignore[arg-type]

    def test_too_long_a_message(self) -> None:
        """More text than Genesys takes is an error where it is sent."""
        with pytest.raises(LocalProtocolError, match="at most 65536 bytes"):
            opened().encode(MessageFrame(message={"type": "event", "parameters": {"x": "y" * 65_536}}))


class TestAsterisk:
    def started(self, form: str = "ulaw", frame_size: int = 160) -> AsteriskFrameSerializer:
        serializer = AsteriskFrameSerializer()
        serializer.decode(json.dumps({"event": "MEDIA_START", "format": form, "optimal_frame_size": frame_size}))
        return serializer

    @pytest.mark.parametrize(
        ("form", "rate"), [("slin", 8000), ("slin12", 12000), ("slin16", 16000), ("slin48", 48000)]
    )
    def test_linear(self, form: str, rate: int) -> None:
        """Each format is at its own rate, both ways."""
        serializer = self.started(form, rate // 50 * 2)
        (heard,) = serializer.decode(PCM)
        assert heard == audio(PCM, rate)
        pcm = bytes(rate // 50 * 2)
        assert serializer.encode(audio(pcm, rate)) == (pcm,)

    @pytest.mark.parametrize("seconds", [1, 10, 20])
    def test_long_audio_is_cut_into_whole_frames(self, seconds: int) -> None:
        """No message is longer than Asterisk takes, and each holds whole frames."""
        messages = self.started().encode(audio(bytes(16000 * seconds - 20), 8000))
        assert sum(map(len, messages)) == 8000 * seconds
        assert all(len(message) <= MAX_MESSAGE_BYTES and len(message) % 160 == 0 for message in messages)

    @pytest.mark.parametrize("frame_size", [0, -1, 3, 65_500, 10**9, "many", 160.5, [160], True])
    def test_odd_frame_sizes(self, frame_size: object) -> None:
        """Frames that are no whole milliseconds, or longer than any, are refused and leave nothing behind."""
        serializer = AsteriskFrameSerializer(answers=True)
        start = {"event": "MEDIA_START", "format": "slin", "optimal_frame_size": frame_size}
        for _ in range(2):
            with pytest.raises(StartRefused, match="optimal_frame_size"):
                serializer.decode(json.dumps(start))
        assert serializer.replies() == ()
        serializer.decode(json.dumps({**start, "optimal_frame_size": "320"}))
        assert serializer.replies() == ('{"command":"ANSWER"}',)

    @pytest.mark.parametrize(("frame_size", "chunk_ms"), [(160, 20), (320, 40), (240, 30), (80, 20), (400, 50)])
    def test_chunks_are_whole_frames(self, frame_size: int, chunk_ms: int) -> None:
        """A channel of longer frames gets chunks of them: silence at the end of every chunk would be heard."""
        serializer = self.started(frame_size=frame_size)
        assert serializer.chunk_ms == chunk_ms
        assert serializer.fresh().chunk_ms == 20
        pcm = bytes(chunk_ms * 16)
        assert [len(message) for message in serializer.encode(audio(pcm, 8000))] == [chunk_ms * 8]

    def test_a_command_comes_first(self) -> None:
        """In plain text the command is the first word, wherever it stands in the message."""
        serializer = AsteriskFrameSerializer()
        serializer.decode("MEDIA_START channel:x format:ulaw optimal_frame_size:160")
        message = MessageFrame(message={"correlation_id": "7", "command": "STOP_MEDIA_BUFFERING"})
        assert serializer.encode(message) == ("STOP_MEDIA_BUFFERING 7",)

    def test_xoff(self) -> None:
        """The queue's warnings stop the session's clock and start it again, as often as they come."""
        serializer = self.started()
        states = [serializer.is_paused]
        for event in ("MEDIA_XOFF", "MEDIA_XON", "MEDIA_XOFF", "MEDIA_XON"):
            serializer.decode(json.dumps({"event": event}))
            states.append(serializer.is_paused)
        assert states == [False, True, False, True, False]

    def test_plain_text_has_no_blanks(self) -> None:
        """A mark that plain control cannot carry is an error where it is sent."""
        serializer = AsteriskFrameSerializer()
        serializer.decode("MEDIA_START channel:x format:ulaw optimal_frame_size:160")
        with pytest.raises(LocalProtocolError, match="plain text cannot carry"):
            serializer.encode(MarkFrame(mark="two words"))
        with pytest.raises(LocalProtocolError, match="takes commands only"):
            serializer.encode(MessageFrame(message={"a": 1}))


class TestJambonz:
    def test_stereo(self) -> None:
        """Both sides interleaved come as frames of their own; by default only the caller is heard."""
        start = JAMBONZ_START.replace('"mono"', '"stereo"')
        both = bytes([1, 0, 9, 9, 2, 0, 8, 8])
        for tracks, expected in (
            (("inbound",), [(None, b"\1\0\2\0")]),
            (("inbound", "outbound"), [(None, b"\1\0\2\0"), ("outbound", b"\t\t\b\b")]),
        ):
            serializer = JambonzFrameSerializer(tracks=tracks)
            serializer.decode(start)
            heard = [frame for frame in serializer.decode(both) if isinstance(frame, AudioFrame)]
            assert [(frame.destination, frame.audio) for frame in heard] == expected
            with pytest.raises(RemoteProtocolError, match="two channels"):
                serializer.decode(bytes(6))

    def test_freeswitch(self) -> None:
        """Metadata of any kind begins the call; what it does not say is given, and audio can go as JSON."""
        for metadata in ('{"any":"thing"}', '"text"', "[]"):
            serializer = JambonzFrameSerializer(sample_rate=16000, as_json=True)
            (start,) = serializer.decode(metadata)
            assert isinstance(start, StartFrame)
            (sent,) = serializer.encode(audio(PCM, 16000))
            assert json.loads(sent)["data"]["sampleRate"] == 16000
            assert json.loads(sent)["type"] == "streamAudio"

    def test_rates_differ(self) -> None:
        """What is sent can be at another rate than what is received."""
        serializer = JambonzFrameSerializer(send_rate=24000)
        (start,) = serializer.decode(JAMBONZ_START)
        assert isinstance(start, StartFrame)
        assert (start.audio_in_sample_rate, start.audio_out_sample_rate) == (8000, 24000)
        assert serializer.encode(audio(PCM, 24000)) == (PCM,)


def test_sinch_rejects() -> None:
    """A stream that cannot be carried is rejected in Sinch's own words, whenever it asks."""
    serializer = SinchFrameSerializer()
    for _ in range(2):
        with pytest.raises(StartRefused, match="OPUS"):
            serializer.decode('{"command":"connect","codec":"OPUS"}')
        assert serializer.replies() == ('{"command":"reject"}',)


def test_the_relay_of_telnyx() -> None:
    """Telnyx names the call by its control id."""
    serializer = RelayFrameSerializer()
    (start,) = serializer.decode('{"type":"setup","sessionId":"s","callControlId":"v3:x"}')
    assert isinstance(start, StartFrame)
    assert start.call_id == "v3:x"


@pytest.mark.parametrize("message", [{"type": "setup"}, {"type": None}, {}, "text", 5])
def test_the_relay_takes_its_own_messages(message: object) -> None:
    """What the relay does not take is an error where it is sent."""
    serializer = RelayFrameSerializer()
    serializer.decode('{"type":"setup"}')
    with pytest.raises(LocalProtocolError, match="text, play, sendDigits, language, end"):
        serializer.encode(MessageFrame(message=message))  # type: ignore[arg-type]


def test_the_relay_tells_that_it_carries_no_audio(caplog: pytest.LogCaptureFixture) -> None:
    """Audio on a text-only call is told in the log, once."""
    serializer = RelayFrameSerializer()
    serializer.decode('{"type":"setup"}')
    for _ in range(3):
        assert serializer.encode(audio(PCM, 8000)) == ()
    assert len([record for record in caplog.records if "text only" in record.getMessage()]) == 1


@pytest.mark.parametrize(
    "early",
    ['{"type":"prompt","voicePrompt":"hi"}', '{"type":"dtmf","digit":"1"}', '{"type":"interrupt"}'],
)
def test_the_relay_begins_with_setup(early: str) -> None:
    """What is said before the setup message is refused, however often."""
    serializer = RelayFrameSerializer()
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="setup message is wanted first"):
            serializer.decode(early)
    serializer.decode('{"type":"setup"}')
    assert serializer.decode(early)
