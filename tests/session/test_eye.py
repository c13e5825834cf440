"""Pictures of the peer: delivered or not, decoded where that is asked for, bounded, the newest kept."""

import zlib
from collections.abc import Awaitable, Callable
from io import BytesIO
from threading import Event as ThreadEvent

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.hearing import everything
from tests.session.helpers import CHUNK_BYTES, audio, params
from trio_transports import EndFrame, Frame, ImageFrame, SpriteFrame, TextFrame, TransportParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.session.session import Session
from trio_transports.testing import ScriptedPeer, memory_session
from trio_transports.video import PixelFormat
from trio_transports.video.shaping import as_pixels


def seeing(**changes: object) -> TransportParams:
    return params(**{"video_in_enabled": True, **changes})


def raw(number: int, destination: str | None = None) -> ImageFrame:
    return ImageFrame(image=bytes((number % 256,)) * 12, size=(2, 2), destination=destination)


def picture(size: tuple[int, int] = (4, 2), mode: str = "RGB") -> Image.Image:
    """A picture in which every pixel is another one."""
    samples = size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, bytes(range(7, 256))[: samples % 249] + bytes(samples - samples % 249))


def file(kind: str, size: tuple[int, int] = (4, 2), mode: str = "RGB") -> ImageFrame:
    written = BytesIO()
    picture(size, mode).save(written, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return ImageFrame(image=written.getvalue(), size=size, format=kind)


async def seen(session: Session) -> list[Frame]:
    """Everything that is there to read by now, threads included."""
    await session._parts.inbound.words.eye.settle()
    return await everything(session)


async def test_none_is_delivered_unless_asked_for(autojump_clock: MockClock) -> None:
    """Pictures and sprites are ignored and counted as such; what comes beside them is delivered. Done twice."""
    async with memory_session(params()) as (session, peer):
        for round_ in range(2):
            await peer.send(raw(1))
            await peer.send(SpriteFrame(images=(raw(1), raw(2))))
            await peer.send(TextFrame(text=str(round_)))
        await wait_all_tasks_blocked()
        assert await everything(session) == [TextFrame(text="0"), TextFrame(text="1")]
        statistics = session.statistics()
    assert (statistics.ignored_messages, statistics.pictures_received) == (4, 0)
    assert statistics.malformed_messages == 0


async def test_they_are_delivered_as_they_come(autojump_clock: MockClock) -> None:
    """Raw ones, files, sprites, with their destination, in order among the other frames."""
    sent: list[Frame] = [
        raw(1, destination="door"),
        TextFrame(text="a"),
        file("PNG"),
        SpriteFrame(images=(raw(2), raw(3))),
    ]
    async with memory_session(seeing()) as (session, peer):
        for frame in sent:
            await peer.send(frame)
        await wait_all_tasks_blocked()
        assert await everything(session) == sent
        assert session.statistics().pictures_received == 4


@pytest.mark.parametrize("wanted", ["RGB", "RGBA", "BGR", "GRAY", "YUV420"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
async def test_files_are_decoded_where_that_is_asked_for(kind: str, wanted: PixelFormat) -> None:
    """Into every format, as Pillow reads the file; the size is the file's own, not what the message claims."""
    sent = file(kind)
    with Image.open(BytesIO(sent.image)) as opened:
        pixels = opened.convert("RGB").tobytes()
    lying = ImageFrame(image=sent.image, size=(1, 1), format=kind.lower())
    async with memory_session(seeing(video_in_color_format=wanted)) as (session, peer):
        for frame in (sent, lying):
            await peer.send(frame)
            with trio.fail_after(5):
                got = await session.input.receive()
            assert isinstance(got, ImageFrame)
            assert (got.size, got.format) == ((4, 2), wanted)
            if wanted == "RGB":
                assert got.image == pixels


async def test_alpha_is_kept_where_the_handler_has_a_place_for_it() -> None:
    async with memory_session(seeing(video_in_color_format="RGBA")) as (session, peer):
        await peer.send(file("PNG", mode="RGBA"))
        with trio.fail_after(5):
            got = await session.input.receive()
    assert isinstance(got, ImageFrame)
    assert got.image == picture(mode="RGBA").tobytes()


async def test_raw_ones_are_recoloured_and_stay_in_order_with_files() -> None:
    """Also those that need no work do not overtake those that do; a sprite comes as one. Done three times."""
    wanted = seeing(video_in_color_format="RGB", video_in_max_queue_pictures=10)
    gray = ImageFrame(image=b"\7\7", size=(2, 1), format="GRAY")
    async with memory_session(wanted) as (session, peer):
        for _ in range(3):
            for frame in (file("PNG"), raw(1), gray, SpriteFrame(images=(file("PNG"), raw(2)))):
                await peer.send(frame)
            got = []
            with trio.fail_after(5):
                for _ in range(4):
                    got.append(await session.input.receive())
            first = ImageFrame(image=picture().tobytes(), size=(4, 2))
            assert got[:3] == [first, raw(1), ImageFrame(image=b"\7" * 6, size=(2, 1))]
            assert got[3] == SpriteFrame(images=(first, raw(2)))


async def test_the_newest_are_kept_and_the_rest_is_counted(autojump_clock: MockClock) -> None:
    """A handler that looks rarely sees the latest three; frames between them stay. Done twice."""
    async with memory_session(seeing()) as (session, peer):
        for round_ in (1, 2):
            for number in range(50):
                await peer.send(raw(number))
                if number % 10 == 0:
                    await peer.send(TextFrame(text=str(number)))
            await wait_all_tasks_blocked()
            got = await everything(session)
            assert [frame.image[0] for frame in got if isinstance(frame, ImageFrame)] == [47, 48, 49]
            assert [frame.text for frame in got if isinstance(frame, TextFrame)] == ["0", "10", "20", "30", "40"]
            assert session.statistics().pictures_in_dropped == 47 * round_


async def test_pictures_do_not_take_the_room_of_other_frames(autojump_clock: MockClock) -> None:
    """A minute of pictures that nobody reads does not close the session, nor cost it audio."""
    async with memory_session(seeing(max_unread_bytes=100_000)) as (session, peer):
        large = ImageFrame(image=bytes(90_000), size=(300, 100))
        for _ in range(30):
            await peer.send(large)
            await peer.send(audio(CHUNK_BYTES))
        await wait_all_tasks_blocked()
        assert session.is_connected
        got = await everything(session)
    assert len([frame for frame in got if isinstance(frame, ImageFrame)]) == 3
    assert len(got) == 33


async def test_a_decoder_slower_than_the_peer_shows_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is being decoded, three wait; the others are dropped and counted, and audio is not held up."""
    going = ThreadEvent()

    def slow(
        image: bytes, size: tuple[int, int], source: str, wanted: PixelFormat, *, max_pixels: int
    ) -> tuple[bytes, tuple[int, int]]:
        going.wait(5)
        return as_pixels(image, size, source, wanted, max_pixels=max_pixels)

    monkeypatch.setattr("trio_transports.session.eye.as_pixels", slow)
    async with memory_session(seeing(video_in_color_format="GRAY", video_in_max_queue_pictures=3)) as (session, peer):
        for number in range(20):
            await peer.send(ImageFrame(image=bytes((number,)) * 3, size=(1, 1)))
        await peer.send(TextFrame(text="meanwhile"))
        with trio.fail_after(5):
            assert await session.input.receive() == TextFrame(text="meanwhile")
        going.set()
        got = [frame.image[0] for frame in await seen(session) if isinstance(frame, ImageFrame)]
        assert got[-3:] == [17, 18, 19]
        assert len(got) + session.statistics().pictures_in_dropped == 20


@pytest.mark.parametrize("bound", ["header", "claim", "raw", "sprite"])
async def test_a_small_file_cannot_become_a_large_picture(bound: str) -> None:
    """15 kB that would be 12 million pixels cost no more than their header; the next one is seen. Done twice."""
    file_ = file("PNG", (4000, 3000), "L")
    assert len(file_.image) < 20_000
    bombs: dict[str, Frame] = {
        "header": ImageFrame(image=file_.image, size=(4, 4), format="PNG"),
        "claim": file_,
        "raw": ImageFrame(image=bytes(101 * 100), size=(101, 100), format="GRAY"),
        "sprite": SpriteFrame(images=[file("PNG", (100, 60), "L")] * 2),
    }
    limited = seeing(video_in_color_format="RGB", video_in_max_pixels=10_000)
    async with memory_session(limited) as (session, peer):
        for round_ in (1, 2):
            await peer.send(bombs[bound])
            await peer.send(file("PNG"))
            with trio.fail_after(5):
                got = await session.input.receive()
            assert isinstance(got, ImageFrame)
            assert got.size == (4, 2)
            assert session.statistics().malformed_messages == round_


async def test_more_pixels_than_pillow_itself_allows() -> None:
    """A header that claims 50,000 by 50,000 is refused as one of many pixels, not told as a warning."""
    head = bytearray(file("PNG").image)
    head[16:24] = (50_000).to_bytes(4, "big") * 2
    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    async with memory_session(seeing(video_in_color_format="RGB")) as (session, peer):
        await peer.send(ImageFrame(image=bytes(head), size=(4, 4), format="PNG"))
        await peer.send(file("PNG"))
        with trio.fail_after(5):
            await session.input.receive()
        assert session.statistics().malformed_messages == 1


@pytest.mark.parametrize(
    "frame",
    [
        ImageFrame(image=b"no picture", size=(4, 2), format="PNG"),
        ImageFrame(image=b"", size=(4, 2), format="JPEG"),
        ImageFrame(image=file("PNG").image, size=(4, 2), format="JPEG"),
        ImageFrame(image=file("PNG", (40, 20)).image[:-30], size=(40, 20), format="PNG"),
        ImageFrame(image=bytes(11), size=(2, 2)),
        ImageFrame(image=bytes(12), size=(2, 2), format="CMYK"),
        ImageFrame(image=b"", size=(0, 0)),
    ],
    ids=["text", "empty", "another-kind", "cut-short", "too-few-bytes", "unknown-format", "no-pixels"],
)
async def test_what_is_no_picture_costs_itself_only(frame: ImageFrame) -> None:
    """It is counted as malformed; the session goes on. Done twice."""
    async with memory_session(seeing(video_in_color_format="RGB")) as (session, peer):
        for round_ in (1, 2):
            await peer.send(frame)
            await peer.send(file("PNG"))
            with trio.fail_after(5):
                got = await session.input.receive()
            assert isinstance(got, ImageFrame)
            assert got.size == (4, 2)
            assert session.statistics().malformed_messages == round_


@pytest.mark.parametrize(("binary", "code"), [(False, 1007), (True, 1008)])
@pytest.mark.parametrize("good", [0, 1, 2])
async def test_files_that_are_none_count_towards_the_most_malformed(good: int, binary: bool, code: int) -> None:
    """Each is found in the thread only: so many in a row end the session, and a good one in between begins anew.

    The code is that of what brought them, text or bytes, as it is for what can be seen to be wrong at once.
    """
    whole = file("PNG", (40, 20))
    bad = ImageFrame(image=whole.image[:-30], size=whole.size, format="PNG")
    dialect = JSONFrameSerializer(binary=binary)
    wanted = seeing(video_in_color_format="RGB", max_malformed=4, serializer=dialect)
    async with memory_session(wanted) as (session, peer):
        with trio.fail_after(10):
            found = 0
            for round_ in range(good + 1):
                for _ in range(3 if round_ < good else 4):
                    assert session.is_connected
                    await peer.send(bad)
                    found += 1
                    while session.statistics().malformed_messages < found:  # noqa: ASYNC110 - a thread finds it
                        await trio.sleep(0.001)
                if round_ < good:
                    await peer.send(whole)
                    await session.input.receive()
            closed = await peer.wait_closed()
    assert (closed.code, closed.reason) == (code, "4 malformed messages in a row")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(kind=st.sampled_from(["PNG", "JPEG", "WEBP"]), at=st.integers(0, 400), value=st.integers(0, 255))
def test_any_byte_of_a_file_may_be_wrong(kind: str, at: int, value: int) -> None:
    """Whatever a peer makes of a file, it is a picture or malformed; it never ends the call."""
    sent = file(kind, (24, 16))
    broken = bytearray(sent.image)
    broken[at % len(broken)] = value

    async def one() -> None:
        async with memory_session(seeing(video_in_color_format="RGB")) as (session, peer):
            await peer.send(ImageFrame(image=bytes(broken), size=sent.size, format=kind))
            await peer.send(file("PNG"))
            got: list[Frame] = []
            with trio.fail_after(5):
                while not (got and got[-1].size == (4, 2)):  # type: ignore[union-attr]  # only pictures come
                    got.append(await session.input.receive())
            assert len(got) + session.statistics().malformed_messages == 2

    trio.run(one)


async def _end_frame(peer: ScriptedPeer) -> None:
    await peer.send(EndFrame())


async def _close(peer: ScriptedPeer) -> None:
    await peer.close()


@pytest.mark.parametrize("end", [_end_frame, _close])
async def test_the_last_pictures_are_seen_before_the_end(end: Callable[[ScriptedPeer], Awaitable[None]]) -> None:
    """What is being decoded when the peer says that it ends, or closes, is read before the input ends."""
    async with memory_session(seeing(video_in_color_format="RGB")) as (session, peer):
        for _ in range(3):
            await peer.send(file("PNG", (400, 300)))
        await end(peer)
        with trio.fail_after(5):
            got = [frame async for frame in session.input]
    assert [type(frame) for frame in got if not isinstance(frame, EndFrame)] == [ImageFrame] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"video_in_color_format": "CMYK"},
            "must be one of RGB, RGBA, BGR, GRAY, YUV420 or None",
        ),
        ({"video_in_max_pixels": 0}, "video_in_max_pixels must be a whole number of at least 1"),
        ({"video_in_max_queue_pictures": 0}, "video_in_max_queue_pictures must be a whole number of at least 1"),
        ({"video_in_enabled": False, "video_in_color_format": "RGB"}, "needs video_in_enabled=True"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        seeing(**changes)
