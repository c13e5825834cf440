"""What of this side is in the recording: what the caller heard, and not what was dropped, or cleared, on its way."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.observe.places import Place, reached
from tests.observe.test_recorder import RATE, assert_spans, block, sides, spans
from tests.session.helpers import params
from tests.session.test_failures import reconnecting
from tests.session.test_heard import truths
from trio_transports import AudioFrame, ConnectionClosed, Session, WebsocketClientTransport
from trio_transports.audio import AudioFormat
from trio_transports.audio.mixer import SoundMixer
from trio_transports.audio.sound import Sound
from trio_transports.observe import recorder
from trio_transports.observe.recorder import Recording
from trio_transports.observe.stereo_file import StereoFile
from trio_transports.testing import memory_session, phone_call

LOUD = 4000
CHUNK_S = 0.02


def recorded_s(path: Path, from_s: float, to_s: float) -> float:
    """How long this side is loud in the file between these two moments of it."""
    _, right = sides(path)
    return float((np.abs(right[round(from_s * RATE) : round(to_s * RATE)].astype(int)) > LOUD).sum()) / RATE


@pytest.mark.parametrize("lead_ms", [0, 200])
async def test_what_a_stalled_wire_had_not_taken_is_not_in_it(
    lead_ms: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Interrupted twice, each time with audio that waits behind a peer that reads nothing: it heard what it got."""
    path, settings = tmp_path / "call.wav", params(audio_out_auto_silence=False, audio_out_lead_ms=lead_ms)
    turns: list[tuple[float, float]] = []
    async with (
        memory_session(settings, buffer_messages=1) as (session, peer),
        recorder(session, path) as recording,
    ):
        for _ in range(2):
            begins_s = trio.current_time()
            got = len(peer.recorder.of(AudioFrame))
            await session.output.send(block(6000, 3.0))
            await trio.sleep(1.0)
            peer.stall()
            await trio.sleep(1.0)
            await session.output.interrupt()
            peer.resume()
            await trio.sleep(1.0)
            got_s = CHUNK_S * (len(peer.recorder.of(AudioFrame)) - got)
            turns.append((begins_s - recording.started_at_s, got_s))
    for begins_s, got_s in turns:
        assert got_s < 1.1 + lead_ms / 1000, "the peer has stalled"
        assert recorded_s(path, begins_s, begins_s + 3.0) == pytest.approx(got_s, abs=1.1 * CHUNK_S)


async def test_what_was_said_before_a_pause_goes_too_when_it_was_not_taken(tmp_path: Path) -> None:
    """What is taken back is counted over what left, not over the silence between: three words, the last two of them."""
    recording, file = Recording(0.0), StereoFile.create(tmp_path / "call.wav", RATE)
    for _ in range(2):
        start_s = recording._ends_at_s["here"]
        for word in range(3):
            recording.left(block(6000, 0.5).audio, AudioFormat(RATE), None, start_s + 1.0 + word)
        recording.taken_back(0.75, None, start_s + 3.6)
        assert recording._ends_at_s["here"] == pytest.approx(start_s + 2.25)
    await recording.flush(file.finish)
    _, right = sides(tmp_path / "call.wav")
    assert_spans(spans(right, 6000), [(1.0, 1.5), (2.0, 2.25), (3.25, 3.75), (4.25, 4.5)], 0.001)


@pytest.mark.parametrize("phone", [{"buffer_s": 0.2}, {"buffer_s": 0.1, "lag_s": 0.15, "way_s": 0.08}, {}])
async def test_marks_say_what_was_played(phone: dict[str, float], tmp_path: Path, autojump_clock: MockClock) -> None:
    """A line that plays later than it is sent: at each of three interruptions the file ends where its player was."""
    path, turns = tmp_path / "call.wav", list[float]()

    async def bot(session: Session) -> None:
        async with recorder(session, path) as recording:
            for _ in range(3):
                await trio.sleep(1.0)
                turns.append(trio.current_time() - recording.started_at_s)
                await session.output.send(block(8000, 3.0))
                await trio.sleep(1.5)
                await session.output.interrupt()
                await trio.sleep(0.5)

    async with phone_call(bot, "twilio", **phone) as caller:  # type: ignore[arg-type]
        await caller.until(lambda _: len(turns) == 3)
        await trio.sleep(2.5)
    for begins_s, (played_s, came_s) in zip(turns, truths(caller), strict=True):
        assert came_s > played_s or not phone
        assert recorded_s(path, begins_s - 0.1, begins_s + 2.0) == pytest.approx(played_s, abs=2 * CHUNK_S)


async def test_a_bed_that_was_not_taken_is_not_in_it_twice(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Above a mixer's bed on a stalled wire: the bed is as long as what the peer got of it, over two interruptions."""
    path = tmp_path / "call.wav"
    bed = SoundMixer(Sound(AudioFormat(RATE), block(6000, 1.0).audio), volume=1.0)
    async with (
        memory_session(params(audio_out_mixer=bed), buffer_messages=1) as (session, peer),
        recorder(session, path) as recording,
    ):
        before = len(peer.recorder.of(AudioFrame))  # while a thread made the file
        for _ in range(2):
            await trio.sleep(1.0)
            peer.stall()
            await trio.sleep(0.5)
            await session.output.interrupt()
            peer.resume()
        await trio.sleep(1.0)
        # A thread that writes takes time of its own, in which the bed goes on: so it is compared up to here.
        ends_s, got = recording._ends_at_s["here"], len(peer.recorder.of(AudioFrame)) - before
    # Made up for at once after a stall, the bed lies ahead in the file, as it does at the peer.
    assert recorded_s(path, 0.0, ends_s) == pytest.approx(CHUNK_S * got, abs=2 * CHUNK_S)


async def test_what_a_lost_connection_had_not_taken_is_not_in_it(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's two losses, each amid a stall: what waited for the old wire and was dropped with it is cut off."""
    path, place, got = tmp_path / "call.wav", Place(buffer_messages=1), 0
    reached(monkeypatch, {"ws://bot/ws": place})
    client = WebsocketClientTransport("ws://bot/ws", reconnecting(audio_out_auto_silence=False))
    async with client.session() as session, recorder(session, path):
        for _ in range(2):
            peer = place.peer
            await session.output.send(block(6000, 0.5))
            await trio.sleep(0.2)
            peer.stall()
            await trio.sleep(1.0)
            peer.drop()
            peer.resume()
            await trio.sleep(6.0)
            got += len(peer.recorder.of(AudioFrame))
        got += len(place.peer.recorder.of(AudioFrame))
        assert session.statistics().reconnects == 2
    assert recorded_s(path, 0.0, 20.0) == pytest.approx(CHUNK_S * got, abs=4 * CHUNK_S)


@pytest.mark.parametrize("ending", ["lost", "closed"])
async def test_what_was_given_up_at_the_end_is_not_in_it(
    ending: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The peer stalls, and the call ends, by its side or by this one: what was handed over and not taken is cut off."""
    path, settings = tmp_path / "call.wav", params(audio_out_auto_silence=False, drain_timeout=0.1, close_timeout=0.5)
    with suppress(ConnectionClosed):
        async with (
            memory_session(settings, buffer_messages=1) as (session, peer),
            recorder(session, path),
        ):
            await session.output.send(block(6000, 3.0))
            await trio.sleep(1.0)
            peer.stall()
            await trio.sleep(1.0)
            if ending == "lost":
                peer.drop()
                await trio.sleep(1.0)
            else:
                await session.aclose()
            peer.resume()
            await trio.sleep(1.0)
    got_s = CHUNK_S * len(peer.recorder.of(AudioFrame))
    assert 0.9 < got_s < 1.2
    assert recorded_s(path, 0.0, 3.0) == pytest.approx(got_s, abs=2.1 * CHUNK_S)


async def test_what_was_heard_is_never_taken_back(autojump_clock: MockClock) -> None:
    """Interrupted two hundred times, at moments that no float has exactly, when all has been played."""
    recording = Recording(0.0)
    with_lead = params(audio_out_auto_silence=False, audio_out_lead_ms=40)
    async with memory_session(with_lead) as (session, _):
        with session.tapped(recording):
            for turn in range(200):
                await session.output.send(block(6000, 0.02))
                await trio.sleep(0.0601 + turn / 70001)
                await session.output.interrupt()
    assert all(piece.audio_format is not None for piece in recording._waiting)
    assert len(recording._waiting) == 200
