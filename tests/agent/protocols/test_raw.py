"""Raw PCM: cut anywhere, with headers or without, with text in between."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.agent import AgentMessage, AudioChunk
from trio_transports.agent.protocols import RawPCMProtocol
from trio_transports.audio.format import AudioFormat
from trio_transports.audio.wav import add_wav_header

PCM = np.arange(1, 2001, dtype="<i2").tobytes()


def heard(protocol: RawPCMProtocol, messages: list[str | bytes]) -> list[AudioChunk]:
    return [item for message in messages for item in protocol.decode(message) if isinstance(item, AudioChunk)]


@given(st.lists(st.integers(0, 700), max_size=12))
def test_samples_may_be_cut_anywhere(cuts: list[int]) -> None:
    """Every sample comes out whole and in order."""
    messages: list[str | bytes] = []
    start = 0
    for cut in [*cuts, len(PCM)]:
        messages += [PCM[start : start + cut], "a text in between"]
        start += cut
    assert b"".join(chunk.data for chunk in heard(RawPCMProtocol(), messages)) == PCM


def test_text_is_the_applications_own() -> None:
    """It becomes an event, and no audio."""
    assert list(RawPCMProtocol().decode("hello")) == [AgentMessage("hello")]


def test_wav_headers_are_taken_off() -> None:
    """From every message or only the first; their format is believed until another comes."""
    protocol = RawPCMProtocol()
    wide, stereo = AudioFormat(16000), AudioFormat(8000, 2)
    chunks = heard(protocol, [PCM, add_wav_header(PCM, wide), PCM, add_wav_header(PCM, stereo), PCM[:6], PCM[6:]])
    assert [chunk.data for chunk in chunks] == [PCM, PCM, PCM, PCM, PCM[:4], PCM[4:]]
    assert [chunk.format for chunk in chunks] == [AudioFormat(24000), wide, wide, stereo, stereo, stereo]
    assert heard(protocol.fresh(), [PCM])[0].format == AudioFormat(24000)


def test_formats_are_as_told() -> None:
    """Stereo of another rate is cut at whole samples of its own."""
    protocol = RawPCMProtocol(output_format=AudioFormat(8000, 2))
    (first,) = heard(protocol, [PCM[:7]])
    assert (first.data, first.format) == (PCM[:4], AudioFormat(8000, 2))


def test_messages_to_send() -> None:
    """Audio goes as it is; an end and an interruption where the agent has such."""
    plain, told = RawPCMProtocol(), RawPCMProtocol(interrupt="stop", end=b"\0")
    assert plain.encode_audio(PCM) == PCM
    assert (plain.encode_end(), plain.encode_interrupt()) == ((), ())
    assert (told.encode_end(), told.encode_interrupt()) == (b"\0", "stop")


def test_fresh_forgets_the_stream() -> None:
    """A copy for another connection does not begin with half a sample of this one."""
    used = RawPCMProtocol(end="end")
    heard(used, [b"\x01"])
    copy = used.fresh()
    assert copy.end == "end"
    assert heard(copy, [b"\x02\x03"])[0].data == b"\x02\x03"


def test_settings_are_checked() -> None:
    """A mistake is told when the protocol is made."""
    with pytest.raises(TypeError, match="input_format"):
        RawPCMProtocol(input_format=24000)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="interrupt"):
        RawPCMProtocol(interrupt=7)  # type: ignore[arg-type]


@given(st.one_of(st.text(max_size=50), st.binary(max_size=50), st.binary(max_size=60).map(lambda b: b"RIFF" + b)))
def test_any_message_is_read_or_refused(message: str | bytes) -> None:
    """A malformed header is a ValueError, and nothing else ever comes of it."""
    with suppress(ValueError):
        RawPCMProtocol().decode(message)
