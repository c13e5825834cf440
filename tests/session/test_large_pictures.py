"""Large raw pictures as messages: written in a worker thread where the dialect can, in order, as they always were."""

import json
import threading
from base64 import b64encode
from collections.abc import Sequence
from functools import partial

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.session.helpers import params
from trio_transports import Frame, ImageFrame, TransportParams
from trio_transports.serializers import JSONFrameSerializer, Message
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.session.screens import LARGE_BYTES
from trio_transports.testing import memory_session

WIDE = LARGE_BYTES // 3 + 1
"""As RGB one pixel more than is written on the loop."""


class Telling:
    """JSON that writes down which thread has written which picture."""

    audio_format = None

    def __init__(self, anywhere: bool) -> None:
        self.writes_anywhere = anywhere
        self.wrote: list[tuple[int, bool]] = []

    def encode(self, frame: Frame) -> Sequence[Message]:
        if isinstance(frame, ImageFrame):
            self.wrote.append((frame.image[0], threading.current_thread() is threading.main_thread()))
        return JSONFrameSerializer().encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        return JSONFrameSerializer().decode(message)


def showing(serializer: object, width: int) -> TransportParams:
    return params(
        serializer=serializer,
        video_out_enabled=True,
        video_out_is_live=True,
        video_out_framerate=50,
        video_out_width=width,
        video_out_height=1,
    )


def picture(number: int, width: int) -> ImageFrame:
    return ImageFrame(image=bytes((number,)) * (3 * width), size=(width, 1))


@pytest.mark.parametrize("live", [False, True])
async def test_a_file_that_is_none_is_counted_once_and_holds_up_nobody(live: bool) -> None:
    """Twice: whoever waits for all to be shown goes on. One that an interruption dropped meanwhile counts once, too."""
    pytest.importorskip("PIL")
    broken = ImageFrame(image=b"no picture at all", size=(2, 2), format="PNG")
    settings = evolve(showing(Telling(anywhere=True), 2), video_out_is_live=live, audio_out_auto_silence=False)
    with trio.fail_after(60):
        async with memory_session(settings) as (session, peer):
            for round_ in (1, 2):
                await session.output.send(broken)
                await session.output.drain()
                assert session.statistics().pictures_dropped == round_
            for _ in range(2):
                await session.output.send(broken)
                await trio.testing.wait_all_tasks_blocked()  # it is in the thread, or was there
                await session.output.interrupt()
                await session.output.drain()
            await session.output.send(picture(7, 2))
            await session.output.drain()
            assert session.statistics().pictures_dropped == 4
    assert [frame.image[0] for frame in peer.recorder.of(ImageFrame)] == [7]


async def test_a_still_track_goes_on_showing_beside_an_encoder_that_is_slower_than_its_source() -> None:
    """The next one is sent while each is being prepared, ten times: what was begun is shown, then the newest."""
    begun, may_end = threading.Semaphore(0), threading.Semaphore(0)

    class Slow(Telling):
        def encode(self, frame: Frame) -> Sequence[Message]:
            begun.release()
            assert may_end.acquire(timeout=60)
            return super().encode(frame)

    dialect = Slow(anywhere=True)
    settings = evolve(showing(dialect, WIDE), video_out_is_live=False)
    with trio.fail_after(60):
        async with memory_session(settings) as (session, peer):
            await session.output.send(picture(0, WIDE))
            for number in range(10):
                await trio.to_thread.run_sync(partial(begun.acquire, timeout=60))
                await session.output.send(picture(number + 1, WIDE))
                may_end.release()
                await peer.recorder.wait_for(ImageFrame, number + 1)
            may_end.release()
            await session.output.drain()
    assert [frame.image[0] for frame in peer.recorder.of(ImageFrame)] == [*range(11)]
    assert [number for number, _ in dialect.wrote] == [*range(11)]
    assert session.statistics().pictures_dropped == 0


@pytest.mark.parametrize(("anywhere", "width"), [(True, WIDE), (True, WIDE - 1), (False, WIDE)])
async def test_a_large_one_is_written_in_a_worker_thread(anywhere: bool, width: int) -> None:
    """If the dialect keeps nothing between two frames; all that had their time are shown, in order, and the newest."""
    dialect = Telling(anywhere)
    with trio.fail_after(10):
        async with memory_session(showing(dialect, width)) as (session, peer):
            for number in range(5):
                await session.output.send(picture(number, width))
            await session.output.drain()
    on_the_loop = not (anywhere and width == WIDE)
    numbers = [frame.image[0] for frame in peer.recorder.of(ImageFrame)]
    assert dialect.wrote == [(number, on_the_loop) for number in range(5) if (number, on_the_loop) in dialect.wrote]
    assert numbers == sorted({*numbers, 0, 4})
    assert set(numbers) <= {number for number, _ in dialect.wrote}


async def test_nothing_else_waits_while_it_is_written() -> None:
    """The loop goes on: what would end the writing is done by it."""
    written, goes_on = threading.Event(), False

    class Slow(Telling):
        def encode(self, frame: Frame) -> Sequence[Message]:
            if isinstance(frame, ImageFrame):
                assert written.wait(10)
            return super().encode(frame)

    with trio.fail_after(20):
        async with memory_session(showing(Slow(anywhere=True), WIDE)) as (session, peer):
            await session.output.send(picture(1, WIDE))
            for _ in range(3):
                await trio.sleep(0.01)
                goes_on = not peer.recorder.of(ImageFrame)
            written.set()
            await session.output.drain()
    assert goes_on
    assert len(peer.recorder.of(ImageFrame)) == 1


def test_which_dialects_can() -> None:
    """JSON can; a caller that is told apart can when it speaks JSON."""
    assert JSONFrameSerializer().writes_anywhere
    detecting = DetectingFrameSerializer(providers={"json": JSONFrameSerializer})
    assert not detecting.writes_anywhere
    detecting.decode('{"type":"text","text":"a"}')
    assert detecting.writes_anywhere


@pytest.mark.parametrize("size_bytes", [0, 3, 196_605, 196_607, 196_608, 196_609, 393_216, 393_217, 393_218, 900_001])
@pytest.mark.parametrize("binary", [False, True])
def test_a_picture_of_any_size_is_the_same_document(size_bytes: int, binary: bool) -> None:
    """Written in pieces or at once, it is read back as it was, with its other members."""
    data = bytes(n * 7 % 251 for n in range(size_bytes))
    for frame in (
        ImageFrame(image=data, size=(3, 2)),
        ImageFrame(image=data, size=(3, 2), format='a"b', destination="wall"),
    ):
        (message,) = JSONFrameSerializer(binary=binary).encode(frame)
        assert isinstance(message, bytes if binary else str)
        document = json.loads(message)
        assert (document["type"], document["image"], document["size"]) == ("image", b64encode(data).decode(), [3, 2])
        assert JSONFrameSerializer().decode(message) == (frame,)
