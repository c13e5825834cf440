"""What a line announces of its audio is honoured, or refused with its name; what its packets say of time is kept."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable

import numpy as np
import pytest

from trio_transports.audio.codecs import make_decoder, make_encoder
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.g711 import pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame, Frame, JSONValue, StartFrame
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.lines import LineSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protocol import StartRefused
from trio_transports.serializers.signalwire import SignalWireFrameSerializer
from trio_transports.serializers.sinch import SinchFrameSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer


def tone(rate: int, duration_s: float = 0.02, hz: float = 440) -> bytes:
    moments = np.arange(round(rate * duration_s)) / rate
    return bytes(np.rint(1000 * np.sin(2 * np.pi * hz * moments)).astype("<i2").tobytes())


def pitch(pcm: bytes, rate: int) -> float:
    samples = np.frombuffer(pcm, "<i2") * np.hanning(len(pcm) // 2)
    return float(np.abs(np.fft.rfft(samples)).argmax()) * rate / len(samples)


def twilio_start(**media: object) -> str:
    return json.dumps({"event": "start", "start": {"streamSid": "S", "callSid": "C", "mediaFormat": media}})


def plivo_start(**media: object) -> str:
    return json.dumps({"event": "start", "start": {"streamId": "S", "callId": "C", "mediaFormat": media}})


def exotel_start(**media: object) -> str:
    return json.dumps({"event": "start", "start": {"stream_sid": "S", "call_sid": "C", "media_format": media}})


def telnyx_start(**media: object) -> str:
    start = {"call_control_id": "C", "media_format": media}
    return json.dumps({"event": "start", "stream_id": "S", "start": start})


def vonage_start(content_type: str) -> str:
    return json.dumps({"event": "websocket:connected", "content-type": content_type})


def media(payload: bytes, **more: object) -> str:
    return json.dumps({"event": "media", "media": {"payload": b64encode(payload).decode(), **more}})


def payload_of(message: str | bytes) -> bytes:
    return b64decode(json.loads(message)["media"]["payload"], validate=True)


def as_it_is(pcm: bytes) -> bytes:
    return pcm


def audio_of(frames: object) -> AudioFrame:
    assert isinstance(frames, tuple)
    (frame,) = frames
    assert isinstance(frame, AudioFrame)
    return frame


HONOURED: list[tuple[Callable[[], LineSerializer], str, int, Callable[[bytes], bytes]]] = [
    (TwilioFrameSerializer, twilio_start(encoding="audio/x-mulaw", sampleRate=8000, channels=1), 8000, pcm_to_ulaw),
    (TwilioFrameSerializer, twilio_start(), 8000, pcm_to_ulaw),
    (SignalWireFrameSerializer, twilio_start(encoding="audio/x-mulaw", sampleRate=8000), 8000, pcm_to_ulaw),
    (SignalWireFrameSerializer, twilio_start(encoding="audio/x-l16", sampleRate=16000), 16000, as_it_is),
    (SignalWireFrameSerializer, twilio_start(encoding="audio/x-l16;rate=24000"), 24000, as_it_is),
    (PlivoFrameSerializer, plivo_start(encoding="audio/x-l16", sampleRate=8000), 8000, as_it_is),
    (PlivoFrameSerializer, plivo_start(encoding="audio/x-l16;rate=16000", sampleRate=16000), 16000, as_it_is),
    (PlivoFrameSerializer, plivo_start(encoding="audio/x-mulaw", sampleRate="8000"), 8000, pcm_to_ulaw),
    (ExotelFrameSerializer, exotel_start(encoding="audio/x-raw", sample_rate="16000"), 16000, as_it_is),
    (ExotelFrameSerializer, exotel_start(encoding="audio/x-mulaw;rate=8000"), 8000, pcm_to_ulaw),
    (
        lambda: TelnyxFrameSerializer(send_encoding="L16"),
        telnyx_start(encoding="L16", sample_rate=48000),
        48000,
        as_it_is,
    ),
    (
        lambda: TelnyxFrameSerializer(send_encoding="PCMA"),
        telnyx_start(encoding="PCMA", sample_rate=8000),
        8000,
        pcm_to_alaw,
    ),
]


@pytest.mark.parametrize(("make", "start", "rate", "coded"), HONOURED)
def test_what_is_announced_is_spoken(
    make: Callable[[], LineSerializer], start: str, rate: int, coded: Callable[[bytes], bytes]
) -> None:
    """Audio in the announced code and rate is heard as it was said, and what is sent is in that code."""
    serializer = make()
    serializer.decode(start)
    pcm = ulaw_to_pcm(bytes(range(256)))[:320] if coded is pcm_to_ulaw else tone(rate)
    heard = audio_of(serializer.decode(media(coded(pcm))))
    assert (heard.sample_rate, heard.num_channels) == (rate, 1)
    assert coded(heard.audio) == coded(pcm)
    assert serializer.audio_format == AudioFormat(rate)
    (sent,) = serializer.encode(AudioFrame(audio=pcm, sample_rate=rate))
    assert payload_of(sent) == coded(pcm)
    assert serializer.start is not None
    assert serializer.start.audio_in_sample_rate == serializer.start.audio_out_sample_rate == rate


def test_plivo_names_what_it_sends() -> None:
    """A packet for Plivo says its own code and rate."""
    serializer = PlivoFrameSerializer()
    serializer.decode(plivo_start(encoding="audio/x-l16", sampleRate=16000))
    (sent,) = serializer.encode(AudioFrame(audio=tone(16000), sample_rate=16000))
    described = json.loads(sent)["media"]
    assert (described["contentType"], described["sampleRate"]) == ("audio/x-l16", 16000)


@pytest.mark.parametrize(
    ("make", "start", "path"),
    [
        (TwilioFrameSerializer, twilio_start(encoding="audio/x-l16", sampleRate=16000), "start.mediaFormat.encoding"),
        (
            TwilioFrameSerializer,
            twilio_start(encoding="audio/x-mulaw", sampleRate=16000),
            "start.mediaFormat.sampleRate",
        ),
        (TwilioFrameSerializer, twilio_start(encoding="audio/x-mulaw", channels=2), "start.mediaFormat.channels"),
        (PlivoFrameSerializer, plivo_start(encoding="audio/x-l16", sampleRate=44100), "start.mediaFormat.sampleRate"),
        (ExotelFrameSerializer, exotel_start(encoding="audio/mp3"), "start.media_format.encoding"),
        (TelnyxFrameSerializer, telnyx_start(encoding="G729", sample_rate=8000), "start.media_format.encoding"),
        (TelnyxFrameSerializer, telnyx_start(encoding="L16", sample_rate=11025), "start.media_format.sample_rate"),
        (
            PlivoFrameSerializer,
            plivo_start(encoding="audio/x-l16;rate=16000", sampleRate=8000),
            "start.mediaFormat.sampleRate",
        ),
        *(
            (TelnyxFrameSerializer, telnyx_start(encoding="PCMU", channels=channels), "start.media_format.channels")
            for channels in (2.0, "2", "stereo", -1, True, [1], 0)
        ),
    ],
)
def test_what_cannot_be_carried_is_refused(make: Callable[[], LineSerializer], start: str, path: str) -> None:
    """A code, rate or channel count that is not known is refused at the start by its place, however often it comes."""
    serializer = make()
    for _ in range(2):
        with pytest.raises(StartRefused) as refused:
            serializer.decode(start)
        assert refused.value.path == path
        assert not serializer.is_ready


@pytest.mark.parametrize(
    ("serializer", "start", "is_overruled"),
    [
        (PlivoFrameSerializer(encoding="PCMU"), plivo_start(encoding="audio/x-l16", sampleRate=8000), True),
        (PlivoFrameSerializer(encoding="L16"), plivo_start(encoding="audio/x-l16", sampleRate=8000), False),
        (PlivoFrameSerializer(encoding="L16"), plivo_start(), False),
        (ExotelFrameSerializer(sample_rate=16000), exotel_start(encoding="raw", sample_rate=8000), True),
        (TelnyxFrameSerializer(receive_encoding="PCMU"), telnyx_start(encoding="PCMA", sample_rate=8000), True),
        (TelnyxFrameSerializer(receive_encoding="PCMA"), telnyx_start(encoding="PCMA", sample_rate=8000), False),
        (TelnyxFrameSerializer(send_encoding="L16"), telnyx_start(encoding="PCMA", sample_rate=8000), False),
        (VonageFrameSerializer(sample_rate=8000), vonage_start("audio/l16;rate=16000"), True),
        (VonageFrameSerializer(sample_rate=8000), vonage_start("audio/l16;rate=8000"), False),
    ],
)
def test_overruling_is_told(
    serializer: LineSerializer, start: str, is_overruled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Settings that differ from what is announced are used, and the log says so in every call that they differ in."""
    for calls in range(1, 3):
        serializer.fresh().decode(start)
        told = [record for record in caplog.records if "give neither" in record.getMessage()]
        assert len(told) == calls * is_overruled


def test_a_rate_that_the_code_has_not() -> None:
    """Settings that cannot be are refused where they are made; a start that they do not fit, where it comes."""
    with pytest.raises(ValueError, match="Plivo carries PCMU at 8000 Hz, not at 16000"):
        PlivoFrameSerializer(encoding="PCMU", sample_rate=16000)
    with pytest.raises(ValueError, match="Telnyx carries PCMU at 8000 Hz, not at 48000"):
        TelnyxFrameSerializer(send_rate=48000)
    serializer = ExotelFrameSerializer(sample_rate=16000)
    with pytest.raises(StartRefused, match="Exotel carries PCMU at 8000 Hz, not at 16000"):
        serializer.decode(exotel_start(encoding="audio/x-mulaw"))


def test_telnyx_in_network_byte_order() -> None:
    """L16 is little-endian unless the serializer is told otherwise, and then both ways."""
    serializer = TelnyxFrameSerializer(send_encoding="L16", byte_order="big")
    serializer.decode(telnyx_start(encoding="L16", sample_rate=16000))
    pcm = tone(16000)
    swapped = np.frombuffer(pcm, "<i2").astype(">i2").tobytes()
    assert audio_of(serializer.decode(media(swapped))).audio == pcm
    (sent,) = serializer.encode(AudioFrame(audio=pcm, sample_rate=16000))
    assert payload_of(sent) == swapped
    with pytest.raises(RemoteProtocolError, match="whole 16-bit samples"):
        serializer.decode(media(b"odd"))


@pytest.mark.parametrize(("encoding", "announced", "heard_rate"), [("G722", 8000, 16000), ("OPUS", 48000, 48000)])
def test_telnyx_in_a_code_with_a_memory(encoding: str, announced: int, heard_rate: int) -> None:
    """A tone through G.722 or Opus comes out as that tone, each way, and each track has its own memory."""
    pytest.importorskip("av")
    serializer = TelnyxFrameSerializer(send_encoding=encoding, send_rate=16000, tracks=("inbound", "outbound"))
    serializer.decode(telnyx_start(encoding=encoding, sample_rate=announced))
    assert serializer.audio_format == AudioFormat(16000)
    voices = {"inbound": 440, "outbound": 1000}
    coders = {track: make_encoder(encoding, 16000) for track in voices}
    heard = dict.fromkeys(voices, b"")
    played, line_in = b"", make_decoder(encoding, 16000)
    for at in range(0, 32000, 640):
        for track, hz in voices.items():
            pcm = tone(16000, 1, hz)[at : at + 640]
            frame = audio_of(serializer.decode(media(coders[track].encode(pcm), track=track)))
            assert (frame.sample_rate, frame.destination) == (heard_rate, None if track == "inbound" else track)
            heard[track] += frame.audio
        (sent,) = serializer.encode(AudioFrame(audio=tone(16000, 1)[at : at + 640], sample_rate=16000))
        played += line_in.decode(payload_of(sent))
    for track, hz in voices.items():
        assert pitch(heard[track], heard_rate) == pytest.approx(hz, abs=2)
    assert pitch(played, line_in.format.sample_rate) == pytest.approx(440, abs=2)
    assert all(payload_of(each) for each in serializer.encode(AudioFrame(audio=tone(16000, 0.03), sample_rate=16000)))


@pytest.mark.parametrize("encoding", ["G722", "OPUS", "AMR-WB"])
def test_a_packet_without_audio(encoding: str) -> None:
    """A packet of no bytes, as often as it comes, is no end: FFmpeg would decode nothing after it."""
    pytest.importorskip("av")
    serializer = TelnyxFrameSerializer()
    serializer.decode(telnyx_start(encoding=encoding, sample_rate=16000))
    packet = {"G722": bytes(160), "OPUS": b"\xf8\xff\xfe", "AMR-WB": b"\xf0\x7c"}[encoding]
    audio_of(serializer.decode(media(packet)))
    for _ in range(3):
        assert serializer.decode(media(b"")) == ()
        assert audio_of(serializer.decode(media(packet))).audio


def test_amr_wb_can_only_be_heard() -> None:
    """A line may send AMR-WB; one that wants it sent is refused where it is set, with the reason."""
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="AMR-WB can be read here, not written"):
        TelnyxFrameSerializer(send_encoding="AMR-WB")
    serializer = TelnyxFrameSerializer()
    serializer.decode(telnyx_start(encoding="AMR-WB", sample_rate=16000))
    frame = audio_of(serializer.decode(media(bytes([0xF0, 0x44]) + bytes(60))))
    assert (frame.sample_rate, frame.num_samples) == (16000, 320)
    for broken in (b"\xf0", b"\xf0\x44", bytes([0xF0, 0xC4, 0x44]) + bytes(60)):
        with pytest.raises(RemoteProtocolError, match="AMR-WB"):
            serializer.decode(media(broken))


class TestTime:
    """When a packet was spoken, and which one it is."""

    @pytest.mark.parametrize(
        ("timestamp", "pts"),
        [
            ("5", 5_000_000),
            (20, 20_000_000),
            ("0", 0),
            (None, None),
            ("", None),
            ("-5", None),
            (1.5, None),
            ("٣", None),
            ("1" * 13, 1_111_111_111_111_000_000),
            ("1" * 14, None),
            (True, None),
            ([], None),
        ],
    )
    @pytest.mark.parametrize("track", ["inbound", "outbound"])
    def test_timestamps(self, timestamp: object, pts: int | None, track: str) -> None:
        """The timestamp is the frame's pts in nanoseconds; one that is none costs nothing."""
        serializer = TwilioFrameSerializer(stream_id="S", tracks=("inbound", "outbound"))
        frame = audio_of(serializer.decode(media(b"\0", timestamp=timestamp, track=track)))
        assert frame.pts == pts

    def test_numbers(self) -> None:
        """The packet's number is the frame's id, so that what came out of order can be put in order."""
        serializer = TelnyxFrameSerializer(stream_id="S", receive_encoding="PCMU")
        frames: list[Frame] = []
        for chunk in ("3", "1", 2):
            frames += serializer.decode(media(b"\0", chunk=chunk, timestamp=str(20 * int(chunk))))
        assert [frame.id for frame in frames if isinstance(frame, AudioFrame)] == [3, 1, 2]


class TestTracks:
    """Both sides of a call."""

    def test_the_other_track_has_a_name(self) -> None:
        """Asked for, the other side's audio comes with its name as destination; else it does not come."""
        for tracks, expected in (
            (("inbound",), [None]),
            (("inbound", "outbound"), [None, "outbound"]),
            (("outbound",), ["outbound"]),
        ):
            serializer = TwilioFrameSerializer(stream_id="S", tracks=tracks)
            frames = [
                frame for track in ("inbound", "outbound") for frame in serializer.decode(media(b"\0", track=track))
            ]
            assert [frame.destination for frame in frames if isinstance(frame, AudioFrame)] == expected
            assert serializer.fresh().tracks == tracks

    def test_a_stream_of_which_nothing_is_heard(self) -> None:
        """A stream that carries only a track that was not asked for is refused, instead of being silent for ever."""
        start = json.dumps({"event": "start", "start": {"streamSid": "S", "tracks": ["outbound"]}})
        with pytest.raises(StartRefused, match="carries outbound and tracks= asks for inbound"):
            TwilioFrameSerializer().decode(start)
        TwilioFrameSerializer(tracks=("outbound",)).decode(start)

    @pytest.mark.parametrize("name", ["track", "tracks"])
    @pytest.mark.parametrize("announced", ["outbound", ["outbound"], "outbound_track"])
    def test_telnyx_says_which_tracks(self, name: str, announced: object) -> None:
        """Telnyx may say it by a word; a stream of the callee alone is refused unless it was asked for."""
        document = json.loads(telnyx_start(encoding="PCMU", sample_rate=8000))
        document["start"][name] = announced
        for _ in range(2):
            with pytest.raises(StartRefused, match=f"carries outbound.* asks for inbound.*start.{name}"):
                TelnyxFrameSerializer().decode(json.dumps(document))
        TelnyxFrameSerializer(tracks=("inbound", "outbound")).decode(json.dumps(document))
        document["start"][name] = "both"
        TelnyxFrameSerializer().decode(json.dumps(document))

    @pytest.mark.parametrize("tracks", [(), ("both",), ("inbound", "x"), (1,)])
    def test_odd_tracks(self, tracks: tuple[str, ...]) -> None:
        """A track that the line does not have is refused where it is set."""
        with pytest.raises((ValueError, TypeError), match="tracks"):
            TwilioFrameSerializer(tracks=tracks)


@pytest.mark.parametrize(
    ("told", "parameters"),
    [
        (None, {}),
        ("", {}),
        ("{}", {}),
        ({}, {}),
        ("customer=42", {"customer": "42"}),
        ("customer=42,name=Ada", {"customer": "42", "name": "Ada"}),
        ("customer=42; name=a=b;;x", {"customer": "42", "name": "a=b"}),
        ('{"customer":"42"}', {"customer": "42"}),
        ({"customer": "42"}, {"customer": "42"}),
        ("nothing", {}),
        ("{broken", {}),
        ("[1]", {}),
        (7, {}),
    ],
)
def test_plivos_parameters_have_their_names(told: JSONValue, parameters: dict[str, str]) -> None:
    """However they are told; and all of them as they were."""
    serializer = PlivoFrameSerializer()
    start = {"event": "start", "start": {"streamId": "PL1"}, "extra_headers": told}
    (frame,) = serializer.decode(json.dumps(start))
    assert isinstance(frame, StartFrame)
    whole = {"extra_headers": told} if told not in (None, "", "{}", {}) else {}
    assert frame.parameters == whole | parameters


def test_what_an_application_gave_its_call_at_telnyx_is_told() -> None:
    """The stream's own parameters are first where they have the same name."""
    details = {"client_state": "aGk=", "tags": ["a", "b"], "custom_parameters": {"user": "ada", "tags": "mine"}}
    (frame,) = TelnyxFrameSerializer().decode(json.dumps({"event": "start", "stream_id": "ST1", "start": details}))
    assert isinstance(frame, StartFrame)
    assert frame.parameters == {"client_state": "aGk=", "tags": "mine", "user": "ada"}


def test_sinch_streams_at_the_rate_of_a_cd() -> None:
    serializer = SinchFrameSerializer()
    (start,) = serializer.decode('{"command":"connect","callId":"c","codec":"PCM","sampleRate":44100}')
    assert isinstance(start, StartFrame)
    assert start.audio_in_sample_rate == start.audio_out_sample_rate == 44100
    assert serializer.replies() == ('{"command":"answer"}',)
