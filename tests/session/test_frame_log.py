"""A line for each frame at DEBUG: kinds and times, never contents; and nothing at all without it."""

import logging

import pytest
import trio
from trio.testing import MockClock

from tests.session.helpers import params, seconds
from trio_transports import AudioFrame, MessageFrame, TextFrame
from trio_transports.testing import memory_session


async def test_each_frame_has_a_line(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Both ways, audio and others; what is said and tokens are not in it."""
    caplog.set_level(logging.DEBUG, "trio_transports.frames")
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer):
        await trio.sleep(1.5)
        await peer.send(seconds(0.02))
        await peer.send(TextFrame(text="my password"))
        await session.output.send(MessageFrame(message={"token": "my token"}))
        await session.output.send(AudioFrame(audio=bytes(640), sample_rate=16000))
        await session.output.drain()
        await session.output.interrupt()
        await trio.sleep(1)
    lines = [record.getMessage() for record in caplog.records if record.name == "trio_transports.frames"]
    assert all(line.startswith(f"{session.id}     +1.5") for line in lines[:3])
    told = sorted(line.split("s  ", 1)[1] for line in lines)
    assert "in   AudioFrame 20 ms of 16000 Hz mono" in told
    assert "in   TextFrame" in told
    assert "out  MessageFrame" in told
    assert "out  AudioFrame 20 ms of 16000 Hz mono" in told
    assert "out  interrupted" in told
    assert "my " not in caplog.text


async def test_without_it_nothing_listens_in(autojump_clock: MockClock) -> None:
    """At the usual level a session has no taps: no frame costs anything."""
    async with memory_session(params()) as (session, _):
        assert not session._parts.outbound.taps.each
