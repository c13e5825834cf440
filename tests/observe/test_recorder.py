"""Both sides of a call in one file: each sound at its time, whatever its format, and no more memory than allowed."""

import base64
import errno
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import trio
import trio.testing
from attrs import evolve
from trio.testing import MockClock

from tests.observe.places import Place, asgi_caller, call, reached
from tests.serializers.conversations import TWILIO_START
from tests.session.helpers import params
from tests.session.test_failures import Line, on_a_line, reconnecting
from tests.session.test_losses import AnyWords
from tests.wire.asgi_server import put_away
from trio_transports import AudioFrame, Session, WebsocketClientTransport
from trio_transports.audio import AudioFormat
from trio_transports.audio.g711 import pcm_to_ulaw
from trio_transports.audio.wav import read_wav
from trio_transports.observe import recorder
from trio_transports.observe.recorder import LAST_WRITE_S, PIECE_BYTES, Recording
from trio_transports.observe.stereo_file import Piece, StereoFile
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serve import bot_app, bot_params
from trio_transports.testing import ScriptedPeer, memory_session

RATE = 16000
Samples = npt.NDArray[np.int16]


def block(value: int, duration_s: float, rate: int = RATE) -> AudioFrame:
    return AudioFrame(audio=np.full(round(duration_s * rate), value, "<i2").tobytes(), sample_rate=rate)


def sides(path: Path) -> tuple[Samples, Samples]:
    audio_format, pcm = read_wav(path)
    assert audio_format == AudioFormat(RATE, 2)
    both = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def spans(samples: Samples, level: int) -> list[tuple[float, float]]:
    """Where the sound is at about this level: from and to, in seconds; a gap under 20 ms is none."""
    loud = np.flatnonzero(np.abs(samples.astype(int) - level) < abs(level) // 4)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > RATE // 50)
    starts, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [len(loud) - 1]))
    return [(loud[a] / RATE, (loud[b] + 1) / RATE) for a, b in zip(starts, ends, strict=True)]


def assert_spans(
    found: Sequence[tuple[float, float]], expected: Sequence[tuple[float, float]], within_s: float
) -> None:
    assert len(found) == len(expected), found
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=within_s)


async def speak(peer: ScriptedPeer, frame: AudioFrame) -> None:
    """Say it in real time, each 20 ms when they have been said."""
    size = frame.format.size_bytes(frame.format.samples_in(0.02))
    for at in range(0, len(frame.audio), size):
        await trio.sleep(0.02)
        await peer.send(AudioFrame(audio=frame.audio[at : at + size], sample_rate=frame.sample_rate))


@pytest.mark.parametrize("rate", [16000, 8000, 24000])
async def test_each_sound_stands_at_its_time(rate: int, tmp_path: Path, autojump_clock: MockClock) -> None:
    """Caller left, bot right, twice; at any rate within 10 ms, though one of them is silent in between."""
    path = tmp_path / "call.wav"
    async with memory_session(params(audio_out_auto_silence=False)) as (session, peer), recorder(session, path):
        for turn in range(2):
            await trio.sleep_until(trio.current_time() + 1.0)
            await speak(peer, block(4000, 0.4, rate))
            await trio.sleep(0.6)
            await session.output.send(block(-6000, 0.5, rate))
            await trio.sleep(1.0)
            assert turn < 2
    left, right = sides(path)
    assert_spans(spans(left, 4000), [(1.0, 1.4), (4.0, 4.4)], 0.01)
    assert_spans(spans(right, -6000), [(2.0, 2.5), (5.0, 5.5)], 0.01)


async def test_what_an_interruption_cut_off_is_not_in_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Audio had left ahead of time; what was not heard of it is silence, and the next answer stands at its time."""
    path = tmp_path / "call.wav"
    settings = params(audio_out_auto_silence=False, audio_out_lead_ms=500)
    async with memory_session(settings) as (session, _), recorder(session, path):
        for _ in range(2):
            await trio.sleep(1.0)
            await session.output.send(block(6000, 3.0))
            await trio.sleep(1.0)
            await session.output.interrupt()
            await trio.sleep(1.0)
    _, right = sides(path)
    assert_spans(spans(right, 6000), [(1.0, 2.0), (4.0, 5.0)], 0.03)


async def test_a_caller_in_bursts_is_heard_as_it_spoke(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What comes at once goes on without a hole or an overlap, and what comes a little late makes no hole."""
    path = tmp_path / "call.wav"
    async with memory_session(params()) as (session, peer), recorder(session, path):
        await trio.sleep(1.0)
        for _ in range(10):
            for _ in range(5):
                await peer.send(block(4000, 0.02))
            await trio.sleep(0.1)
        await trio.sleep(1.0)
    left, _ = sides(path)
    (found,) = spans(left, 4000)
    assert found[1] - found[0] == pytest.approx(1.0, abs=0.001)


async def test_a_slow_disk_costs_audio_and_no_memory(tmp_path: Path) -> None:
    """Past the bound pieces are left out and counted; what comes after them stands at its own time."""
    recording = Recording(0.0, max_waiting_bytes=2 * (3200 + PIECE_BYTES))
    for number in range(20):
        recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 0.1 * number)
        assert recording._waiting_bytes <= recording.max_waiting_bytes
    assert recording.lost_s == pytest.approx(1.8)
    file = StereoFile.create(tmp_path / "call.wav", RATE)
    await recording.flush(file.write)
    recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 2.0)
    await recording.flush(file.finish)
    _, right = sides(tmp_path / "call.wav")
    assert_spans(spans(right, 6000), [(0.0, 0.2), (2.0, 2.1)], 0.001)


async def test_a_full_disk_ends_the_recording_and_not_the_call(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write(_file: StereoFile, _pieces: Sequence[Piece]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StereoFile, "write", write)
    async with memory_session(params()) as (session, peer), recorder(session, tmp_path / "call.wav") as recording:
        for _ in range(2):
            await speak(peer, block(4000, 0.4))
            await trio.sleep(1)
        for _ in range(1000):  # the disk's thread takes time of its own, of which the virtual clock knows nothing
            if recording.failure is not None:
                break
            await trio.to_thread.run_sync(time.sleep, 0.005)
        assert session.is_connected
        assert recording.failure is not None
        assert recording.failure.errno == errno.ENOSPC
    assert caplog.text.count("has ended, the call goes on") == 1


async def test_a_file_that_cannot_be_is_told_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with memory_session(params()) as (session, _):
        with pytest.raises(FileNotFoundError):
            async with recorder(session, tmp_path / "none" / "call.wav"):
                pytest.fail("it has begun")


async def test_a_full_disk_is_told_at_once_too(autojump_clock: MockClock) -> None:
    """Twice, and the file is not left open."""
    async with memory_session(params()) as (session, _):
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                async with recorder(session, "/dev/full"):
                    pytest.fail("it has begun")


async def test_two_calls_are_never_mixed_in_one_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The second is told, and the first goes on; once it has ended, its name is free for another. Twice."""
    path = tmp_path / "call.wav"
    async with memory_session(params()) as (session, peer), memory_session(params()) as (other, _):
        for _ in range(2):
            async with recorder(session, path):
                await speak(peer, block(4000, 0.5))
                with pytest.raises(FileExistsError, match="another call is being recorded") as told:
                    async with recorder(other, path):
                        pytest.fail("it has begun")
                assert told.value.filename == str(path)
                await speak(peer, block(4000, 0.5))
            left, _ = sides(path)
            assert sum(end_s - start_s for start_s, end_s in spans(left, 4000)) == pytest.approx(1.0, abs=0.05)


async def test_cancelled_it_holds_what_was_said(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The block is cancelled in the middle of a word: the file ends there, and is whole."""
    path = tmp_path / "call.wav"
    async with memory_session(params()) as (session, peer):
        with trio.CancelScope() as scope:
            async with recorder(session, path):
                scope.deadline = trio.current_time() + 0.5  # a thread has made the file: it takes time of its own
                await speak(peer, block(4000, 2.0))
        assert not session._parts.outbound.taps.each
    left, _ = sides(path)
    assert_spans(spans(left, 4000), [(0.0, 0.48)], 0.025)


async def test_threads_that_are_all_busy_lose_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """For longer than a write may take, and at the end of the call, too: what was said is in the file. Done twice."""
    limiter = trio.to_thread.current_default_thread_limiter()
    for name in ("first.wav", "second.wav"):
        free = threading.Event()
        async with trio.open_nursery() as nursery:
            async with memory_session(params()) as (session, peer), recorder(session, tmp_path / name) as recording:
                limiter.total_tokens = 1
                nursery.start_soon(trio.to_thread.run_sync, free.wait, 60)
                await trio.testing.wait_all_tasks_blocked()
                await speak(peer, block(4000, 0.5))
                await trio.sleep(LAST_WRITE_S + 1)
                assert recording._waiting_bytes
            limiter.total_tokens = 40
            free.set()
        left, _ = sides(tmp_path / name)
        assert_spans(spans(left, 4000), [(0.0, 0.5)], 0.025)
        assert recording.lost_s == 0


async def test_the_recorder_says_nothing_to_the_log(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that nobody speaks in leaves a file without sound."""
    with caplog.at_level(logging.WARNING):
        async with memory_session(params()) as (session, _), recorder(session, tmp_path / "call.wav") as recording:
            await trio.sleep(1)
    assert not caplog.records
    assert recording.lost_s == 0
    assert len(sides(tmp_path / "call.wav")[0]) == 0


def test_tiny_pieces_cost_no_more_memory_than_allowed() -> None:
    """Frames of one sample are bounded as they are kept, and so are interruptions; twice, at both sides."""
    recording = Recording(0.0, max_waiting_bytes=100 * (2 + PIECE_BYTES))
    for number in range(2000):
        now_s = 0.001 * number
        recording.received(AudioFrame(audio=b"\1\0", sample_rate=RATE), now_s)
        recording.left(b"\1\0" * 160, AudioFormat(RATE), None, now_s)
        recording.taken_back(0.005, None, now_s)
        assert len(recording._waiting) <= 101
        assert recording._waiting_bytes <= recording.max_waiting_bytes + PIECE_BYTES
    assert recording.lost_s > 10


async def test_an_interruption_while_the_disk_is_slow_moves_nothing(tmp_path: Path) -> None:
    """What was left out is cut off too: the next answer stands at its time, not behind what nobody wrote."""
    recording = Recording(0.0, max_waiting_bytes=2 * (3200 + PIECE_BYTES))
    file = StereoFile.create(tmp_path / "call.wav", RATE)
    for number in range(20):  # 2 s at once, of which 0.2 s fit
        recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 0.001 * number)
    await recording.flush(file.write)
    for at_s in (0.1, 0.15):
        recording.taken_back(1.9 if at_s == 0.1 else 0.0, None, at_s)
    recording.left(block(6000, 0.1).audio, AudioFormat(RATE), None, 0.5)
    await recording.flush(file.finish)
    _, right = sides(tmp_path / "call.wav")
    assert_spans(spans(right, 6000), [(0.0, 0.1), (0.5, 0.6)], 0.001)


def test_after_a_failure_nothing_is_kept() -> None:
    """Neither audio nor interruptions: nobody will ever write them."""
    recording = Recording(0.0)
    recording.left(block(6000, 1.0).audio, AudioFormat(RATE), None, 0.0)
    kept = list(recording._waiting)
    recording.failure = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(2):
        recording.taken_back(0.5, None, 0.5)
        recording.left(block(6000, 1.0).audio, AudioFormat(RATE), None, 0.5)
    assert recording._waiting == kept


async def test_the_disk_is_met_in_other_threads_only(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is made, written to more than once and finished, and the call's own thread waits for none of that."""
    threads: dict[str, list[int]] = {"create": [], "write": [], "finish": []}

    def noting(name: str, does: Callable[..., object]) -> Callable[..., object]:
        def noted(*given: object) -> object:
            threads[name].append(threading.get_ident())
            return does(*given)

        return noted

    monkeypatch.setattr(StereoFile, "create", staticmethod(noting("create", StereoFile.create)))
    for name in ("write", "finish"):
        monkeypatch.setattr(StereoFile, name, noting(name, getattr(StereoFile, name)))
    async with memory_session(params()) as (session, peer), recorder(session, tmp_path / "call.wav"):
        for turn in range(2):
            await speak(peer, block(4000, 0.4))
            await trio.sleep(1)
            for _ in range(1000):  # as above: time of its own
                if len(threads["write"]) > turn:
                    break
                await trio.to_thread.run_sync(time.sleep, 0.005)
    assert len(threads["create"]) == len(threads["finish"]) == 1
    assert len(threads["write"]) >= 2
    assert threading.get_ident() not in {each for some in threads.values() for each in some}


async def test_a_client_is_recorded_over_its_losses(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two losses: each of the three connections' sounds stand at their times, in one file."""
    path, place = tmp_path / "call.wav", Place()
    reached(monkeypatch, {"ws://bot/ws": place})
    client = WebsocketClientTransport("ws://bot/ws", reconnecting(audio_out_auto_silence=False))
    async with client.session() as session, recorder(session, path) as recording:
        for turn in range(3):
            await trio.sleep_until(recording.started_at_s + 4 * turn + 1)
            await speak(place.peer, block(4000, 0.4))
            await trio.sleep_until(recording.started_at_s + 4 * turn + 2)
            await session.output.send(block(-6000, 0.5))
            await trio.sleep(1)
            if turn < 2:
                place.peer.drop()
        assert session.statistics().reconnects == 2
    left, right = sides(path)
    assert_spans(spans(left, 4000), [(4 * turn + 1, 4 * turn + 1.4) for turn in range(3)], 0.01)
    assert_spans(spans(right, -6000), [(4 * turn + 2, 4 * turn + 2.5) for turn in range(3)], 0.01)


async def test_callers_of_an_app_are_recorded(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two under ``bot_app``, one after the other, each into a file of its own."""
    begins, begun = trio.open_memory_channel[tuple[Path, float]](2)

    async def bot(session: Session) -> None:
        path = tmp_path / f"{session.id}.wav"
        async with recorder(session, path) as recording:
            await begins.send((path, recording.started_at_s))
            await trio.sleep_until(recording.started_at_s + 2.5)
            await session.output.send(block(-6000, 0.5))
            await trio.sleep(1)

    # Without a timer: the virtual clock goes on to the next while a thread makes the file.
    app = bot_app(bot, evolve(bot_params(), idle_timeout=None))
    paths = set[Path]()
    for _ in range(2):
        caller = asgi_caller()
        caller.message('{"type": "text", "text": "hello"}')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, app, caller)
            path, started_at_s = await begun.receive()
            await trio.sleep_until(started_at_s + 1.0)
            for _ in range(20):
                await trio.sleep(0.02)
                (message,) = JSONFrameSerializer().encode(block(4000, 0.02))
                caller.message(message)
        await put_away(caller)
        left, right = sides(path)
        assert_spans(spans(left, 4000), [(1.0, 1.4)], 0.01)
        assert_spans(spans(right, -6000), [(2.5, 3.0)], 0.01)
        paths.add(path)
    assert len(paths) == 2


async def test_a_telephone_call_is_recorded(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Twilio's 8 kHz mu-law, both ways: a line's sounds in the file's own format, twice."""
    path = tmp_path / "call.wav"
    line = Line(redial_s=1, serializer=AnyWords())
    settings = reconnecting(serializer=TwilioFrameSerializer(), audio_out_auto_silence=False)
    async with on_a_line(line, settings) as (session, _, _), recorder(session, path) as recording:
        (peer,) = line.peers
        await peer.send_raw(TWILIO_START)
        for turn in range(2):
            await trio.sleep_until(recording.started_at_s + 3 * turn + 1)
            for _ in range(20):
                await trio.sleep(0.02)
                payload = base64.b64encode(pcm_to_ulaw(block(4000, 0.02, 8000).audio)).decode()
                await peer.send_raw(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}))
            await trio.sleep_until(recording.started_at_s + 3 * turn + 2)
            await session.output.send(block(-6000, 0.5))
            await trio.sleep(0.9)
    left, right = sides(path)
    assert_spans(spans(left, 4000), [(1.0, 1.4), (4.0, 4.4)], 0.01)
    assert_spans(spans(right, -6000), [(2.0, 2.5), (5.0, 5.5)], 0.01)
