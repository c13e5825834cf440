"""What every serializer is held to, whatever its dialect."""

from collections.abc import Sequence
from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.dialects import DIALECTS, Dialect
from tests.serializers.strategies import any_frames, mutated_bytes, mutated_json
from trio_transports.audio.format import AudioFormat
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame, FilterControlFrame, Frame, MixerControlFrame
from trio_transports.serializers import FrameSerializer, Message

quick = settings(max_examples=60, deadline=None)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def check_decode(serializer: FrameSerializer, message: Message) -> None:
    """Frames, or the one error there may be, with a place and of a bearable length; never anything else."""
    frames: Sequence[Frame] = ()
    error: RemoteProtocolError | None = None
    try:
        frames = serializer.decode(message)
    except RemoteProtocolError as exc:
        error = exc
    assert all(isinstance(frame, get_args(Frame)) for frame in frames)
    if error is not None:
        assert error.path
        assert len(str(error)) < 600


def check_encode(serializer: FrameSerializer, frame: Frame) -> None:
    messages: Sequence[Message] = ()
    with suppress(LocalProtocolError):
        messages = serializer.encode(frame)
    for message in messages:
        assert type(message) in (str, bytes)
        if isinstance(message, str):
            message.encode()


@each_dialect
class TestEverySerializer:
    def test_samples_are_read(self, dialect: Dialect) -> None:
        """Every sample message is understood."""
        serializer = dialect.make()
        assert dialect.samples
        for sample in dialect.samples:
            serializer.decode(sample)

    @quick
    @given(data=st.data())
    def test_round_trip(self, dialect: Dialect, data: st.DataObject) -> None:
        """A frame that the dialect has a message for comes back as it was."""
        frame = data.draw(dialect.frames)
        messages = dialect.make().encode(frame)
        reader = dialect.make()
        assert [got for message in messages for got in reader.decode(dialect.returned(message))] == [frame]

    @quick
    @given(data=st.data())
    def test_writing_is_deterministic(self, dialect: Dialect, data: st.DataObject) -> None:
        """The same frame gives the same bytes again."""
        frame = data.draw(dialect.frames)
        assert dialect.make().encode(frame) == dialect.make().encode(frame)

    @quick
    @given(frame=any_frames)
    def test_any_frame(self, dialect: Dialect, frame: Frame) -> None:
        """Any frame is written as text or bytes, or is a LocalProtocolError; what has no message gives none."""
        check_encode(dialect.make(), frame)

    @quick
    @given(message=st.one_of(st.binary(max_size=60), st.text(max_size=60)))
    def test_any_message(self, dialect: Dialect, message: Message) -> None:
        """Any bytes or text either decode or raise RemoteProtocolError, nothing else."""
        check_decode(dialect.make(), message)

    @quick
    @given(data=st.data())
    def test_nearly_right_bytes(self, dialect: Dialect, data: st.DataObject) -> None:
        """A valid message with a few bytes changed decodes or raises RemoteProtocolError, nothing else."""
        check_decode(dialect.make(), data.draw(mutated_bytes(dialect.samples)))

    @quick
    @given(data=st.data())
    def test_nearly_right_json(self, dialect: Dialect, data: st.DataObject) -> None:
        """A valid JSON message with one value changed, removed, renamed or nested deeply decodes or is refused."""
        if dialect.json_samples:
            check_decode(dialect.make(), data.draw(mutated_json(dialect.json_samples)))

    @quick
    @given(data=st.data())
    def test_bad_messages_leave_no_trace(self, dialect: Dialect, data: st.DataObject) -> None:
        """After any number of refused messages, a good one reads as it would have before."""
        serializer, sample = dialect.make(), data.draw(st.sampled_from(dialect.samples))
        expected = dialect.make().decode(sample)
        for message in data.draw(st.lists(mutated_bytes(dialect.samples), max_size=3)):
            try:
                serializer.decode(message)
            except RemoteProtocolError:
                continue
            return  # it was not refused, and may have changed what the serializer knows of its stream
        assert serializer.decode(sample) == expected

    @pytest.mark.parametrize("message", ["[" * 200_000, '{"a":' * 200_000, b"[" * 200_000, "\ud800", "", b""])
    def test_no_message_exhausts_the_stack(self, dialect: Dialect, message: Message) -> None:
        """Deep nesting is refused, not a RecursionError."""
        check_decode(dialect.make(), message)

    @pytest.mark.parametrize("frame", [MixerControlFrame(enabled=True), FilterControlFrame(enabled=False)])
    def test_controls_stay_here(self, dialect: Dialect, frame: Frame) -> None:
        """Frames that set this side's own mixer and filter have no message."""
        assert dialect.make().encode(frame) == ()

    def test_audio_format(self, dialect: Dialect) -> None:
        """The format is stated, or None; audio of that format is written, if the dialect has any."""
        serializer = dialect.make()
        if not dialect.carries_audio:
            return
        audio_format = serializer.audio_format
        assert audio_format is None or isinstance(audio_format, AudioFormat)
        stated = audio_format or AudioFormat(16000)
        frame = AudioFrame(audio=stated.silence(160), sample_rate=stated.sample_rate, num_channels=stated.num_channels)
        assert len(serializer.encode(frame)) == 1
