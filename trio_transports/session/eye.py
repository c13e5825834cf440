"""Pictures of the peer on their way to the handler: checked, decoded where that is asked for, the newest kept.

Rules
1. Without ``video_in_enabled`` nothing is delivered: such a message counts as one that held nothing for the handler.
2. With ``video_in_color_format`` every picture becomes raw pixels of that format. Where there is something to do for
   that, ``run`` does it, in a worker thread, one picture after another: the wire never waits for it. Meanwhile frames
   that came after a picture may overtake it, but not the peer's ``EndFrame``, nor another picture.
3. A frame may have ``video_in_max_pixels``, the images of a sprite together. A file's own header is asked before any of
   its pixels is made, so a small file cannot become a large picture. What has more is malformed, as a broken one is.
4. ``video_in_max_queue_pictures`` frames wait to be decoded at most, and as many to be read. Past that the oldest is
   dropped and counted: who looks rarely sees what is there now.
"""

from typing import final

from attrs import define, evolve, field
from trio.lowlevel import ParkingLot

from .._sleeper import Sleeper
from ..errors import RemoteProtocolError
from ..frames import ImageFrame, SpriteFrame
from ..params import TransportParams
from ..video.pixels import is_pixel_format
from ..video.shaping import as_pixels, check_image
from .malformed import Malformed
from .pictures import images_of
from .statistics import Counters
from .unread import Unread
from .workers import in_thread


@final
@define(eq=False)
class Eye:
    """Owned by one session. ``malformed`` is told of what turned out to be no picture, and whether text brought it."""

    _params: TransportParams
    _unread: Unread
    _counters: Counters
    _malformed: Malformed
    _waiting: list[tuple[ImageFrame | SpriteFrame, bool]] = field(factory=list, init=False)
    _is_working: bool = field(default=False, init=False)
    _work: Sleeper = field(factory=Sleeper, init=False)
    _settled: ParkingLot = field(factory=ParkingLot, init=False)

    @property
    def decodes(self) -> bool:
        """Whether there is ever something for ``run`` to do."""
        return self._params.video_in_enabled and self._params.video_in_color_format is not None

    @property
    def is_busy(self) -> bool:
        """Whether a picture was taken that the handler cannot read yet."""
        return self._is_working or bool(self._waiting)

    def take(self, frame: ImageFrame | SpriteFrame, is_text: bool) -> None:
        """Take a picture from the peer; RemoteProtocolError when it can be seen to be none."""
        if not self._params.video_in_enabled:
            self._counters.ignored_messages += 1
            return
        self._check(frame)
        self._counters.pictures_received += len(images_of(frame))
        # One that needs no work waits all the same behind one that does: pictures stay in order.
        if not self.is_busy and not self._needs_work(frame):
            self._unread.put_picture(frame)
            return
        self._waiting.append((frame, is_text))
        if len(self._waiting) > self._params.video_in_max_queue_pictures:
            self._counters.pictures_in_dropped += len(images_of(self._waiting.pop(0)[0]))
        self._work.wake()

    def _check(self, frame: ImageFrame | SpriteFrame) -> None:
        most, decodes = self._params.video_in_max_pixels, self.decodes
        pixels = 0
        for image in images_of(frame):
            try:
                if decodes or is_pixel_format(image.format):
                    check_image(image.image, image.size, image.format)
            except ValueError as exc:
                raise RemoteProtocolError(str(exc)) from None
            pixels += image.size[0] * image.size[1]
        if pixels > most:
            raise RemoteProtocolError(f"a picture of {pixels} pixels is over video_in_max_pixels ({most})")

    def _needs_work(self, frame: ImageFrame | SpriteFrame) -> bool:
        wanted = self._params.video_in_color_format
        return wanted is not None and any(image.format != wanted for image in images_of(frame))

    async def run(self) -> None:
        """Decode what was taken, one after another; rule 2."""
        while True:
            if not self._waiting:
                self._settled.unpark_all()
                await self._work.sleep()
                continue
            frame, is_text = self._waiting.pop(0)
            self._is_working = True
            try:
                seen = await in_thread(self._decoded, frame)
            except Exception as exc:  # the boundary to a decoder of files: what it cannot read is malformed
                self._malformed.found(RemoteProtocolError(str(exc)) if isinstance(exc, ValueError) else exc, is_text)
            else:
                self._malformed.well_formed()
                self._unread.put_picture(seen)
            finally:
                self._is_working = False

    async def settle(self) -> None:
        """Wait until the handler can read all that was taken: a few pictures' time at most."""
        while self.is_busy:
            await self._settled.park()

    def _decoded(self, frame: ImageFrame | SpriteFrame) -> ImageFrame | SpriteFrame:
        left = self._params.video_in_max_pixels
        images = []
        for image in images_of(frame):
            images.append(self._as_pixels(image, left))
            left -= images[-1].size[0] * images[-1].size[1]
        return evolve(frame, images=images) if isinstance(frame, SpriteFrame) else images[0]

    def _as_pixels(self, image: ImageFrame, max_pixels: int) -> ImageFrame:
        wanted = self._params.video_in_color_format
        assert wanted is not None
        pixels, size = as_pixels(image.image, image.size, image.format, wanted, max_pixels=max_pixels)
        return evolve(image, image=pixels, size=size, format=wanted)
