"""Pictures through a whole session, in virtual time: their clock beside the audio's, and what each parameter does."""

from collections import Counter
from contextlib import suppress
from itertools import pairwise
from math import inf

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.session.helpers import CHUNK_BYTES, CHUNK_S, audio, gaps, params, seconds
from tests.session.test_failures import Line, on_a_line, reconnecting
from trio_transports import AudioFrame, ConnectionClosed, ImageFrame, LocalProtocolError, SpriteFrame, TransportParams
from trio_transports.session.session import Session
from trio_transports.testing import FrameRecorder, memory_session
from trio_transports.wire.memory import MemoryWire
from trio_transports.wire.protocol import BytesLike

RATE = 30


def shown(**changes: object) -> TransportParams:
    """Pictures of two by two pixels, shown live: small enough to need no thread."""
    settings: dict[str, object] = {
        "video_out_enabled": True,
        "video_out_is_live": True,
        "video_out_width": 2,
        "video_out_height": 2,
        "video_out_framerate": RATE,
        "audio_out_auto_silence": False,
        **changes,
    }
    return params(**settings)


def image(number: int, **more: object) -> ImageFrame:
    return ImageFrame(image=bytes((number % 256,)) * 12, size=(2, 2), **more)  # type: ignore[arg-type]


def numbers(recorder: FrameRecorder) -> list[int]:
    return [frame.image[0] for frame in recorder.of(ImageFrame)]


def times(recorder: FrameRecorder) -> list[float]:
    return [heard.at_s for heard in recorder.heard if isinstance(heard.frame, ImageFrame)]


async def say(session: Session, duration_s: float) -> None:
    """A live source of audio, chunk by chunk."""
    for number in range(round(duration_s / CHUNK_S)):
        await session.output.send(audio(CHUNK_BYTES, start=number))
        await trio.sleep(CHUNK_S)


async def test_a_minute_of_pictures_beside_a_minute_of_audio(autojump_clock: MockClock) -> None:
    """1,800 pictures and 3,000 chunks: each at its time to a microsecond, nothing dropped, none moved by another."""
    async with memory_session(shown(audio_out_max_queue_secs=100)) as (session, peer):
        begun_s = trio.current_time()
        await session.output.send(seconds(60))
        for number in range(60 * RATE):
            await session.output.send(image(number))
        await session.output.drain()
        assert session.statistics().pictures_dropped == 0
        assert session.statistics().pictures_sent == 60 * RATE
    at_s = times(peer.recorder)
    assert len(at_s) == 60 * RATE
    assert all(when == pytest.approx(begun_s + n / RATE, abs=1e-6) for n, when in enumerate(at_s))
    chunks = peer.recorder.audio_times_s
    assert len(chunks) == 3000
    assert all(when == pytest.approx(begun_s + n * CHUNK_S, abs=1e-6) for n, when in enumerate(chunks))
    assert numbers(peer.recorder) == [number % 256 for number in range(60 * RATE)]


async def test_a_still_picture_is_sent_once(autojump_clock: MockClock) -> None:
    """Done three times: each takes the place of the one before, and none is sent again and again."""
    async with memory_session(shown(video_out_is_live=False)) as (session, peer):
        for number in range(3):
            await session.output.send(image(number))
            await trio.sleep(1)
        assert session.statistics().pictures_sent == 3
    assert numbers(peer.recorder) == [0, 1, 2]
    assert gaps(times(peer.recorder)) == pytest.approx([1, 1], abs=0.01)


@pytest.mark.parametrize("framerate", [10, 25])
async def test_the_framerate_is_what_it_says(framerate: int, autojump_clock: MockClock) -> None:
    """In two seconds a sprite's pictures take twice the framerate of turns."""
    sprite = SpriteFrame(images=tuple(image(n) for n in range(3)))
    async with memory_session(shown(video_out_is_live=False, video_out_framerate=framerate)) as (session, peer):
        await session.output.send(sprite)
        await trio.sleep(2 - 0.01)
    assert len(peer.recorder.of(ImageFrame)) == 2 * framerate


@pytest.mark.parametrize("framerate", [10, 50])
async def test_live_pictures_keep_the_framerate_that_is_set(framerate: int, autojump_clock: MockClock) -> None:
    """Two seconds sent at once, and again after a pause: each picture is shown at its own time to a microsecond."""
    async with memory_session(shown(video_out_framerate=framerate)) as (session, peer):
        wanted_s: list[float] = []
        for _ in range(2):
            begun_s = trio.current_time()
            wanted_s += [begun_s + number / framerate for number in range(2 * framerate)]
            for number in range(2 * framerate):
                await session.output.send(image(number))
            await session.output.drain()
            await trio.sleep(1.5)
        assert session.statistics().pictures_dropped == 0
    assert times(peer.recorder) == pytest.approx(wanted_s, abs=1e-6)


@pytest.mark.parametrize("framerate", [10, 50])
async def test_a_live_producer_that_is_too_fast_is_held_to_the_framerate(
    framerate: int, autojump_clock: MockClock
) -> None:
    """Nothing is shown sooner than the framerate says, whatever the pace at which it is sent."""
    async with memory_session(shown(video_out_framerate=framerate)) as (session, peer):
        for number in range(40):
            await session.output.send(image(number))
            await trio.sleep(0.001)
        await session.output.drain()
    assert gaps(times(peer.recorder)) == pytest.approx([1 / framerate] * 39, abs=1e-5)


@pytest.mark.parametrize(("fit", "rows"), [("letterbox", [0, 200, 200, 0]), ("stretch", [200] * 4)])
async def test_a_picture_of_other_proportions_fits_as_is_said(fit: str, rows: list[int]) -> None:
    """A wide one in a square: black above and below, or all of it filled. Twice."""
    settings = shown(video_out_fit=fit, video_out_is_live=False, video_out_width=4, video_out_height=4)
    wide = ImageFrame(image=bytes((200,)) * (8 * 4 * 3), size=(8, 4))
    with trio.fail_after(10):
        async with memory_session(settings) as (session, peer):
            for _ in range(2):
                await session.output.send(wide)
                await session.output.drain()
    got = peer.recorder.of(ImageFrame)
    assert [frame.size for frame in got] == [(4, 4)] * 2
    for frame in got:
        assert [set(frame.image[at : at + 12]) for at in range(0, 48, 12)] == [{row} for row in rows]


async def test_a_sprite_goes_round_where_it_is_still_and_once_where_it_is_live(autojump_clock: MockClock) -> None:
    sprite = SpriteFrame(images=tuple(image(n) for n in range(3)))
    for live, expected in ((False, [0, 1, 2] * 10), (True, [0, 1, 2])):
        async with memory_session(shown(video_out_is_live=live)) as (session, peer):
            await session.output.send(sprite)
            await trio.sleep(1 - 0.01)
        assert numbers(peer.recorder)[:30] == expected


async def test_a_picture_can_wait_for_the_audio_before_it(autojump_clock: MockClock) -> None:
    """With ``sync_with_audio`` it is shown when that has left, one without is shown at once; done twice."""
    async with memory_session(shown()) as (session, peer):
        for _ in range(2):
            begun_s = trio.current_time()
            await session.output.send(seconds(1))
            await session.output.send(image(1, sync_with_audio=True))
            await session.output.send(image(2))
            await session.output.drain()
            await trio.sleep(0.001)
            assert numbers(peer.recorder)[-2:] == [2, 1]
            soon_s, late_s = times(peer.recorder)[-2:]
            assert begun_s <= soon_s <= begun_s + 1 / RATE  # a picture after another keeps the framerate
            assert late_s == pytest.approx(begun_s + 1, abs=CHUNK_S + 0.006)


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_picture_that_waits_for_audio_is_dropped_with_it(is_live: bool, autojump_clock: MockClock) -> None:
    """It is never shown and counts as a picture, a sprite as its pictures; the next one is shown. Done twice."""
    async with memory_session(shown(video_out_is_live=is_live)) as (session, peer):
        for round_ in (1, 2):
            await session.output.send(seconds(1))
            await session.output.send(image(1, sync_with_audio=True))
            await session.output.send(SpriteFrame(images=[image(2, sync_with_audio=True)] * 2))
            await trio.sleep(0.5)
            await session.output.interrupt()
            await trio.sleep(1)
            assert session.statistics().pictures_dropped == 3 * round_
            assert session.statistics().frames_dropped == 0
            await session.output.send(image(9, sync_with_audio=True))
            await session.output.drain()
            await trio.sleep(0.001)
            assert numbers(peer.recorder) == [9] * round_


async def test_an_interruption_drops_what_waits(autojump_clock: MockClock) -> None:
    """Queued live pictures and those that wait for audio are not shown after it; the next is. Done three times."""
    async with memory_session(shown()) as (session, peer):
        for round_ in range(3):
            await session.output.send(seconds(1))
            for number in range(30):
                await session.output.send(image(number))
            await session.output.send(image(100, sync_with_audio=True))
            await trio.sleep(0.5)
            await session.output.interrupt()
            count = len(peer.recorder.of(ImageFrame))
            await session.output.send(image(200 + round_))
            await trio.sleep(1)
            assert numbers(peer.recorder)[count:] == [200 + round_]
        assert session.statistics().pictures_dropped == pytest.approx(3 * 15, abs=3)
    assert 100 not in numbers(peer.recorder)


async def test_an_interruption_leaves_a_still_picture(autojump_clock: MockClock) -> None:
    """Also while it waits to be written, which a peer that reads slowly makes it do; done twice."""
    async with memory_session(shown(video_out_is_live=False), buffer_messages=1) as (session, peer):
        for round_ in range(2):
            peer.stall()
            await session.output.send(seconds(0.5))
            await trio.sleep(0.2)
            await session.output.interrupt()
            await session.output.send(image(round_))
            await trio.sleep(0.2)
            await session.output.interrupt()
            peer.resume()
            await session.output.drain()
    assert numbers(peer.recorder) == [0, 1]


async def test_two_audio_and_two_picture_destinations_at_once(autojump_clock: MockClock) -> None:
    """Each track gets its own, bit for bit, whatever the others carry."""
    tracks = shown(
        audio_out_destinations=["left"],
        video_out_destinations=["wall"],
        audio_out_10ms_chunks=2,
    )
    voices = {None: seconds(1, rate=16000), "left": audio(32000, start=99)}
    async with memory_session(tracks) as (session, peer):
        for name, voice in voices.items():
            await session.output.send(AudioFrame(audio=voice.audio, sample_rate=16000, destination=name))
        for number in range(30):
            await session.output.send(image(number))
            await session.output.send(image(100 + number, destination="wall"))
        await session.output.drain()
    for name, voice in voices.items():
        heard = b"".join(frame.audio for frame in peer.recorder.of(AudioFrame) if frame.destination == name)
        assert heard == voice.audio
    for name, first in ((None, 0), ("wall", 100)):
        got = [frame.image[0] for frame in peer.recorder.of(ImageFrame) if frame.destination == name]
        assert got == list(range(first, first + 30))


async def test_a_sender_waits_for_room(autojump_clock: MockClock) -> None:
    """What waits is bounded in bytes: the thirty-first picture of a queue of thirty waits until one has left."""
    large = shown(video_out_max_queue_bytes=30 * 1200, video_out_width=20, video_out_height=20)
    async with memory_session(large) as (session, peer):
        begun_s = trio.current_time()
        for number in range(60):
            await session.output.send(ImageFrame(image=bytes((number,)) * 1200, size=(20, 20)))
        assert trio.current_time() - begun_s == pytest.approx(1.05, abs=0.2)
        await session.output.drain()
    assert numbers(peer.recorder) == list(range(60))


async def test_what_is_queued_is_shown_before_the_session_ends(autojump_clock: MockClock) -> None:
    """A clip of two seconds is shown to its end, as audio is."""
    async with memory_session(shown()) as (session, peer):
        for number in range(60):
            await session.output.send(image(number))
    assert numbers(peer.recorder) == list(range(60))


async def test_a_stalled_wire_makes_pictures_late_and_late_ones_are_dropped(autojump_clock: MockClock) -> None:
    """After a stall of a second, the pictures of that second are not shown in a burst."""
    async with memory_session(shown(), buffer_messages=1) as (session, peer):
        async with trio.open_nursery() as nursery:

            async def film() -> None:
                for number in range(90):
                    await session.output.send(image(number))
                    await trio.sleep(1 / RATE)

            nursery.start_soon(film)
            await trio.sleep(1)
            peer.stall()
            await trio.sleep(1)
            peer.resume()
        await session.output.drain()
        assert 20 <= session.statistics().pictures_dropped <= 32
    got = numbers(peer.recorder)
    assert got == sorted(set(got))
    assert max(later - earlier for earlier, later in pairwise(got)) > 20


async def test_audio_goes_first(autojump_clock: MockClock) -> None:
    """A picture that is due waits while anything else does: after a stall the audio that is owed leaves first."""
    async with memory_session(shown(), buffer_messages=1) as (session, peer):
        peer.stall()
        await session.output.send(seconds(0.5))
        for number in range(12):
            await session.output.send(image(number))
        await trio.sleep(0.3)
        peer.resume()
        await session.output.drain()
    kinds = [type(heard.frame) for heard in peer.recorder.heard]
    assert kinds.index(ImageFrame, 3) >= 14  # the first one left before the stall was felt
    assert kinds.count(ImageFrame) >= 3


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (ImageFrame(image=b"abc", size=(2, 2)), "12 bytes, not 3"),
        (ImageFrame(image=b"", size=(0, 2)), "no pixels"),
        (ImageFrame(image=b"abc", size=(1, 1), format="CMYK"), "'CMYK': use one of RGB"),
        (SpriteFrame(images=()), "without images"),
        (SpriteFrame(images=(image(1), image(1, destination="wall"))), "different destinations"),
    ],
)
async def test_what_is_no_picture_is_refused_at_the_door(
    frame: ImageFrame | SpriteFrame, said: str, autojump_clock: MockClock
) -> None:
    async with memory_session(shown(video_out_destinations=["wall"])) as (session, peer):
        with pytest.raises(LocalProtocolError, match=said):
            await session.output.send(frame)
        await session.output.send(image(7))
        await session.output.drain()
    assert numbers(peer.recorder) == [7]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"video_out_framerate": 1001}, "video_out_framerate must be a whole number of at least 1 and at most 1000"),
        ({"video_out_width": 10**8}, "video_out_width times video_out_height must be 16777216 at most, not"),
        ({"video_out_codec": "gif"}, "video_out_codec: 'gif' is not a picture codec"),
        ({"video_out_bitrate": 1000}, "video_out_bitrate needs video_out_codec"),
        ({"video_out_bitrate": 1000, "video_out_codec": "png"}, "video_out_bitrate needs video_out_codec"),
        ({"video_out_color_format": "CMYK"}, "must be one of RGB"),
        ({"video_out_fit": "crop"}, "must be one of letterbox, stretch"),
        ({"video_out_enabled": False, "video_out_destinations": ["wall"]}, "needs video_out_enabled=True"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shown(**changes)


async def test_a_peer_that_was_lost_is_shown_the_still_picture_again(autojump_clock: MockClock) -> None:
    """Lost twice: each connection that follows begins with the picture that is to be seen."""
    line = Line(redial_s=0.05)
    still = reconnecting(video_out_enabled=True, video_out_width=2, video_out_height=2)
    async with on_a_line(line, still) as (session, _, _):
        await session.output.send(image(9))
        await session.output.drain()
        for loss in range(2):
            await trio.sleep(0.1)  # what was written is read
            line.peers[loss].drop()
            await trio.sleep(1)
        await session.output.drain()
    assert [numbers(peer.recorder) for peer in line.peers] == [[9]] * 3


async def test_a_live_picture_that_found_no_connection_is_counted(autojump_clock: MockClock) -> None:
    """It was handed over, and is over when there is the next connection; each time."""
    line = Line(redial_s=1)
    live = reconnecting(video_out_enabled=True, video_out_is_live=True, video_out_width=2, video_out_height=2)
    async with on_a_line(line, live) as (session, _, _):
        for loss in range(2):
            line.peers[loss].drop()
            await trio.sleep(0.1)
            await session.output.send(image(loss))
            await trio.sleep(3)
            counted = session.statistics()
            assert (counted.reconnects, counted.pictures_sent, counted.pictures_dropped) == (loss + 1, 0, loss + 1)


async def test_a_live_picture_whose_connection_is_lost_while_it_is_written_is_counted(
    autojump_clock: MockClock,
) -> None:
    """A peer reads no more, and vanishes; twice. One picture was on the way, others waited: each is sent or dropped."""
    line = Line(redial_s=1)
    live = reconnecting(video_out_enabled=True, video_out_is_live=True, video_out_width=2, video_out_height=2)
    shown = 0
    async with on_a_line(line, live) as (session, _, _):
        for loss in range(2):
            line.peers[loss].stall()
            for _ in range(70):
                await session.output.send(image(shown))
                shown += 1
                await trio.sleep(0.05)
            line.peers[loss].drop()
            await trio.sleep(3)
            counted = session.statistics()
            assert counted.reconnects == loss + 1
            assert counted.pictures_sent + counted.pictures_dropped == shown
            assert counted.pictures_dropped > 0


@pytest.mark.parametrize("ending", ["lost", "aclose", "closed while away", "body", "cancel"])
async def test_however_a_call_ends_each_live_picture_was_sent_or_is_counted(
    ending: str, autojump_clock: MockClock
) -> None:
    """The peer reads no more: one picture is on the way, others are handed over, prepared, or wait for audio."""
    line = Line(redial_s=1 if ending == "closed while away" else inf)
    settings = {"video_out_enabled": True, "video_out_is_live": True, "video_out_width": 2, "video_out_height": 2}
    live = reconnecting(send_timeout=3, close_timeout=1, **settings)
    if ending == "lost":
        live = evolve(live, reconnect=None)
    sessions: list[Session] = []
    with trio.CancelScope() as scope, suppress(ConnectionClosed, BaseExceptionGroup, RuntimeError):
        async with on_a_line(line, live) as (session, _, _):
            sessions.append(session)
            line.peers[0].stall()
            for number in range(75):
                await session.output.send(image(number))
                if number < 70:
                    await trio.sleep(0.05)
            match ending:
                case "lost":
                    line.peers[0].drop()
                    await trio.sleep(1)
                case "closed while away":
                    line.peers[0].drop()
                    await trio.sleep(0.5)
                    await session.aclose()
                case "aclose":
                    await session.aclose()
                case "body":
                    raise RuntimeError("the body's own")
                case _:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
    counted = sessions[0].statistics()
    assert counted.pictures_sent + counted.pictures_dropped == 75
    assert counted.pictures_dropped > 0


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_slow_wire_is_shared_among_the_tracks(
    is_live: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four tracks want 120 pictures a second of a wire that takes 50: each has a quarter of it, and none starves."""
    at_once = MemoryWire.send

    async def slow(wire: MemoryWire, message: str | BytesLike) -> None:
        await trio.sleep(0.02)
        await at_once(wire, message)

    monkeypatch.setattr(MemoryWire, "send", slow)
    names = (None, "a", "b", "c")
    settings = shown(video_out_destinations=names[1:], video_out_is_live=is_live)
    async with memory_session(settings, sends_now=False) as (session, peer):
        for number in range(3 * RATE):
            for name in names:
                await session.output.send(image(number, destination=name))
            await trio.sleep(1 / RATE)
    shares = Counter(frame.destination for frame in peer.recorder.of(ImageFrame))
    assert sum(shares.values()) > 140
    assert max(shares.values()) - min(shares[name] for name in names) <= 2
