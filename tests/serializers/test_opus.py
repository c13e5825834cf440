"""Opus in the packed dialect and on a line: its bitrate, its packets, and what is made of those that were lost."""

from collections.abc import Callable, Sequence

import msgpack
import numpy as np
import pytest

from tests.serializers.test_lines import payload_of, telnyx_start, tone
from trio_transports import AudioFrame, ImageFrame, InterruptionFrame, TextFrame, TransportParams
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import Frame
from trio_transports.serializers import JSONFrameSerializer, Message
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.opus import MAX_CONCEALED, MAX_DESTINATIONS
from trio_transports.serializers.packed import VERSION, PackedFrameSerializer
from trio_transports.serializers.protocol import TakesBitrate, use_bitrate
from trio_transports.serializers.telnyx import TelnyxFrameSerializer

pytest.importorskip("av")

RATE = 24000


def noise(duration_s: float, channels: int = 1) -> bytes:
    """What no coder can make small: the bitrate alone says how many bytes it takes."""
    samples = np.random.default_rng(5).normal(0, 6000, round(duration_s * RATE) * channels)
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def frame(audio: bytes, **more: object) -> AudioFrame:
    return AudioFrame(audio=audio, sample_rate=RATE, **more)  # type: ignore[arg-type]


def members(message: Message) -> dict[str, object]:
    assert isinstance(message, bytes)
    version, value = msgpack.unpackb(message)
    assert version == VERSION
    return dict(value)


def opus(bitrate: int | None = None, **settings: object) -> PackedFrameSerializer:
    serializer = PackedFrameSerializer(encoding="OPUS", **settings)  # type: ignore[arg-type]
    if bitrate is not None:
        serializer.use_bitrate(bitrate)
    return serializer


def heard(frames: Sequence[Frame]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    audio = b"".join(one.audio for one in frames if isinstance(one, AudioFrame))
    return np.frombuffer(audio, "<i2").astype(float)


def test_a_message_is_20_ms_and_these_members() -> None:
    """Numbered by destination from 0; ``pts`` is that of the first packet; what is not full is filled up."""
    serializer = opus()
    sent = serializer.encode(frame(noise(0.05), pts=7, destination="left"))
    told = [members(message) for message in sent]
    assert [one.get("number", 0) for one in told] == [0, 1, 2]
    assert [one.get("pts") for one in told] == [7, None, None]
    assert {(one["type"], one["destination"]) for one in told} == {("opus", "left")}
    (other,) = map(members, serializer.encode(frame(noise(0.02))))
    assert sorted(other) == ["packet", "type"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_a_tone_comes_out_as_that_tone(rate: int, channels: int) -> None:
    """At every rate, in one channel or two: 48 kHz at the other end, as long as it was."""
    sender, receiver = opus(opus_rate=rate, opus_channels=channels), PackedFrameSerializer()
    assert sender.audio_format == AudioFormat(rate, channels)
    one = np.frombuffer(tone(rate, 1), "<i2")
    pcm = np.repeat(one, channels).tobytes()
    got: list[Frame] = []
    for message in sender.encode(AudioFrame(audio=pcm, sample_rate=rate, num_channels=channels)):
        got += receiver.decode(message)
    assert {one.format for one in got if isinstance(one, AudioFrame)} == {AudioFormat(48000, channels)}
    samples = heard(got).reshape(-1, channels)
    assert len(samples) == 48000
    spectrum = np.abs(np.fft.rfft(samples[:, -1]))
    assert int(spectrum.argmax()) == 440


@pytest.mark.parametrize("make", [opus, lambda: TelnyxFrameSerializer(send_encoding="OPUS", send_rate=24000)])
def test_the_bitrate_is_what_is_asked_for(make: Callable[[], PackedFrameSerializer | TelnyxFrameSerializer]) -> None:
    """Two seconds of noise take twice the bitrate, give or take a fifth, in the packed dialect and on a line."""
    for asked in (16_000, 48_000, 96_000):
        serializer = make()
        serializer.use_bitrate(asked)
        if isinstance(serializer, TelnyxFrameSerializer):
            serializer.decode(telnyx_start(encoding="OPUS", sample_rate=48000))
            packets = [payload_of(message) for message in serializer.encode(frame(noise(2)))]
        else:
            packets = [members(message)["packet"] for message in serializer.encode(frame(noise(2)))]  # type: ignore[misc]
        assert len(packets) == 100
        assert 8 * sum(map(len, packets)) / 2 == pytest.approx(asked, rel=0.2)


def test_a_caller_that_is_told_apart_gets_the_bitrate_too() -> None:
    """The bitrate reaches the dialect that the caller turns out to speak."""
    sizes = []
    for asked in (16_000, 64_000):
        serializer = DetectingFrameSerializer(
            providers={"telnyx": lambda: TelnyxFrameSerializer(send_encoding="OPUS", send_rate=24000)}
        )
        serializer.use_bitrate(asked)
        serializer.decode(telnyx_start(encoding="OPUS", sample_rate=48000))
        sizes.append(sum(len(payload_of(message)) for message in serializer.encode(frame(noise(1)))))
    assert sizes[1] / sizes[0] == pytest.approx(4, rel=0.3)


@pytest.mark.parametrize("serializer", [opus(), TelnyxFrameSerializer(send_encoding="OPUS")])
@pytest.mark.parametrize("asked", [499, 256_001])
def test_a_bitrate_that_opus_has_not_is_refused_where_it_is_set(serializer: TakesBitrate, asked: int) -> None:
    with pytest.raises(ValueError, match=f"TransportParams.audio_out_bitrate: Opus takes 500 to 256000 .*{asked}"):
        TransportParams(serializer=serializer, audio_out_bitrate=asked)  # type: ignore[arg-type]


def test_what_does_not_compress_takes_any_bitrate() -> None:
    for serializer in (JSONFrameSerializer(), PackedFrameSerializer(), TelnyxFrameSerializer()):
        use_bitrate(serializer, "here", 1)


def test_sessions_do_not_share_a_coder() -> None:
    """What ``fresh`` gives numbers its own packets and has the same settings."""
    first = opus(opus_rate=16000, opus_channels=2)
    pcm = AudioFrame(audio=bytes(1280 * 2), sample_rate=16000, num_channels=2)
    first.encode(pcm)
    second = first.fresh()
    assert second.audio_format == first.audio_format
    assert "number" not in members(second.encode(pcm)[0])


def packets_of_a_tone(count: int = 30) -> list[bytes]:
    return [bytes(message) for message in opus(64_000).encode(frame(tone(RATE, count / 50)))]  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", [1, 2, MAX_CONCEALED])
def test_what_was_lost_is_made_up_by_the_decoder(lost: int) -> None:
    """As long as it was, and a tone still: a gap of silence would be heard. Lost twice."""
    receiver, got = PackedFrameSerializer(), list[Frame]()
    packets = packets_of_a_tone(50)
    for number, message in enumerate(packets):
        if 10 <= number < 10 + lost or 30 <= number < 30 + lost:
            continue
        got += receiver.decode(message)
    samples = heard(got)
    assert len(samples) == 50 * 960
    for first in (10, 30):
        made_up = samples[first * 960 : (first + 1) * 960]
        around = samples[(first - 5) * 960 : first * 960]
        assert np.sqrt((made_up**2).mean()) > 0.5 * np.sqrt((around**2).mean())


def test_a_long_loss_is_made_up_for_its_first_100_ms() -> None:
    """A peer that jumps a thousand million numbers, again and again, costs five packets' work each time."""
    receiver, got = PackedFrameSerializer(), list[Frame]()
    packet = members(packets_of_a_tone(1)[0])
    for jump in range(5):
        got += receiver.decode(msgpack.packb([VERSION, {**packet, "number": jump * 10**9}]))
    assert len(heard(got)) == (5 + 4 * MAX_CONCEALED) * 960


def test_what_comes_twice_or_late_is_not_heard() -> None:
    receiver = PackedFrameSerializer()
    packets = packets_of_a_tone(4)
    for number, expected in ((0, 1), (1, 1), (3, 2), (2, 0), (3, 0), (1, 0)):
        assert len(receiver.decode(packets[number])) == expected


def test_after_an_interruption_nothing_is_made_up() -> None:
    """The numbers begin anew, so what was dropped by it is not concealed. Done twice, on two destinations."""
    sender, receiver = opus(), PackedFrameSerializer()
    for _ in range(2):
        for name in (None, "left"):
            sent = sender.encode(frame(noise(0.2), destination=name))
            got = [one for message in sent[:4] for one in receiver.decode(message)]
            assert len(got) == 4
        sender.encode(InterruptionFrame())


def test_other_frames_are_as_ever() -> None:
    sender = opus()
    for other in (TextFrame(text="a"), ImageFrame(image=b"abc", size=(1, 1))):
        (message,) = sender.encode(other)
        assert PackedFrameSerializer().decode(message) == (other,)


def test_audio_of_another_format_is_the_callers_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="Opus is made of"):
        opus().encode(AudioFrame(audio=bytes(640), sample_rate=16000))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"packet": b"\xff" * 3}, "packet"),
        ({"packet": "text"}, "packet"),
        ({}, "packet"),
        ({"packet": b"\xf8\xff\xfe", "num_channels": 3}, "num_channels"),
        ({"packet": b"\xf8\xff\xfe", "number": -1}, None),
        ({"packet": b"\xf8\xff\xfe", "number": "1"}, "number"),
        ({"packet": b"\xf8\xff\xfe", "destination": 5}, "destination"),
    ],
)
def test_what_is_no_packet_is_malformed(value: dict[str, object], path: str | None) -> None:
    """It costs itself: the next packet is heard. Done twice."""
    receiver = PackedFrameSerializer()
    for message in packets_of_a_tone(2):
        with pytest.raises(RemoteProtocolError) as caught:
            receiver.decode(msgpack.packb([VERSION, {"type": "opus", **value}]))
        if path is not None:
            assert caught.value.path == path
        assert receiver.decode(message)


def test_destinations_are_bounded() -> None:
    """Each has a decoder of its own, of which a peer may have so many; those that it has go on."""
    receiver = PackedFrameSerializer()
    packet = members(packets_of_a_tone(1)[0])
    for number in range(MAX_DESTINATIONS):
        assert receiver.decode(msgpack.packb([VERSION, {**packet, "destination": str(number)}]))
    with pytest.raises(RemoteProtocolError, match=f"more than {MAX_DESTINATIONS} destinations"):
        receiver.decode(msgpack.packb([VERSION, {**packet, "destination": "one more"}]))
    assert receiver.decode(msgpack.packb([VERSION, {**packet, "destination": "5", "number": 1}]))


def test_silence_costs_no_decoder_to_a_peer_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra a packet is malformed, and the reason names what to install."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(RemoteProtocolError, match="codecs"):
        PackedFrameSerializer().decode(msgpack.packb([VERSION, {"type": "opus", "packet": b"\xf8\xff\xfe"}]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"encoding": "MP3"}, "'encoding' must be in"),
        ({"opus_rate": 16000}, "need encoding='OPUS'"),
        ({"opus_channels": 1}, "need encoding='OPUS'"),
        ({"encoding": "OPUS", "opus_rate": 44100}, "opus_rate must be one of 8000"),
        ({"encoding": "OPUS", "opus_channels": 3}, "opus_channels must be 1 or 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PackedFrameSerializer(**settings)  # type: ignore[arg-type]
