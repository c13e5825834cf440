"""The benchmark's own protobuf messages."""

import pytest

from benchmarks.messages import (
    CHUNK_BYTES,
    audio_message,
    chunks_in,
    command_message,
    playback_chunk,
    playback_chunks,
    playback_index,
    playback_pieces,
    read_audio,
    read_command,
)
from trio_transports import AudioFrame, MessageFrame
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

PCM = bytes(1 + index % 255 for index in range(CHUNK_BYTES))


def test_audio_message_is_a_pipecat_frame() -> None:
    """What the load sends is what a real serializer reads."""
    [frame] = ProtobufFrameSerializer().decode(audio_message(PCM))
    assert frame == AudioFrame(audio=PCM, sample_rate=16000, num_channels=1)


def test_audio_of_a_real_serializer_is_read() -> None:
    """Fields that the load does not send (id, name, pts) are skipped, and the PCM is found where it lies."""
    [message] = ProtobufFrameSerializer().encode(
        AudioFrame(audio=PCM, sample_rate=16000, num_channels=1, id=300, name="OutputAudioRawFrame#300", pts=7)
    )
    assert isinstance(message, bytes)
    audio = read_audio(message)
    assert audio is not None
    assert (audio.pcm, audio.sample_rate, audio.num_channels) == (PCM, 16000, 1)
    assert message[audio.start : audio.start + CHUNK_BYTES] == PCM


def test_commands() -> None:
    """A command is a message frame that every peer's serializer reads."""
    message = command_message(play=2.5)
    assert read_command(message) == {"play": 2.5}
    assert ProtobufFrameSerializer().decode(message) == (MessageFrame(message={"play": 2.5}),)


@pytest.mark.parametrize("message", [b"", b"\x12", b"\x12\x05\x1a\x80\x05ab", b"\x12\x03\x1b\x01\x01"])
def test_what_is_no_audio_is_not_taken_for_it(message: bytes) -> None:
    """A cut-off message is an error or no audio, never shorter audio."""
    if not message:
        assert read_audio(message) is None
    else:
        with pytest.raises(ValueError, match=r"frame|field"):
            read_audio(message)


def test_what_is_no_command() -> None:
    """Audio is not a command."""
    with pytest.raises(ValueError, match="neither audio nor a command"):
        read_command(b"")


def test_playback_chunks_tell_their_number() -> None:
    """Each chunk of a playback is named by its bytes, and anything else is none."""
    assert [playback_index(chunk) for chunk in playback_chunks(0.06)] == [0, 1, 2]
    assert playback_index(playback_chunk(70_000)) == 70_000
    assert playback_index(playback_chunk(1)[:-2]) is None
    assert playback_index(playback_chunk(1)[:-1] + b"\0") is None
    assert playback_index(bytes(CHUNK_BYTES)) is None


def test_pieces_are_the_same_audio() -> None:
    """A transport that cuts its own chunks gets the same bytes in larger pieces."""
    assert b"".join(playback_pieces(1.3)) == b"".join(playback_chunks(1.3))
    assert chunks_in(1.3) == 65
