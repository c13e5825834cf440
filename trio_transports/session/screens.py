"""All picture tracks of one session: where pictures are queued, prepared, and handed over when they are due.

Rules
1. ``run`` is a task of its own, beside the three that every session has: it brings one picture after another into shape
   and encodes it, in a worker thread where there is something to do; a large one is written as a message there too.
   Audio never waits for it.
2. The clock hands a picture over at its time, and only while nothing else waits to be written: a large picture holds up
   the audio behind it for one write at most. The track that has shown last comes last: where the wire is too slow for
   all, each has its share.
3. Senders wait while ``video_out_max_queue_bytes`` wait on one track. A picture larger than that is let in alone. As
   many bytes of a sprite's pictures stay prepared for their next turn; the others are prepared anew for each.
4. Where the dialect has no message for pictures none is prepared, and that is told once, not for each.
5. A picture with ``sync_with_audio`` is offered to its track when the audio that was queued before it has left.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final, final

import trio
from attrs import define, evolve, field

from .._sleeper import Sleeper
from ..errors import LocalProtocolError
from ..frames import ImageFrame, SpriteFrame
from ..params import TransportParams
from ..serializers.protocol import FrameSerializer, Message, carries_pictures, dialect_of, writes_anywhere
from ..video.bitrate import BitrateControl
from ..video.codec import PictureEncoder, codec_named
from ..video.shaping import PictureShape, check_image
from .departure import NO_AUDIO
from .lanes import Paced
from .outbox import WireOutbox
from .pictures import LiveShowing, Showing, StillShowing, images_of
from .statistics import Counters
from .workers import in_thread

LARGE_BYTES: Final = 256 * 1024
"""A picture of more is written as a message in a worker thread too, where the dialect can."""

logger = logging.getLogger("trio_transports.session")


@final
@define(eq=False)
class Screen:
    """One picture track: how it shows, and how its pictures are prepared."""

    showing: Showing
    shape: PictureShape
    encoder: PictureEncoder | None
    control: BitrateControl | None

    def needs_work(self, image: ImageFrame) -> bool:
        """Whether preparing this picture takes long enough for a thread."""
        shape = self.shape
        is_right = image.size == (shape.width, shape.height) and image.format == shape.pixel_format
        return self.encoder is not None or not is_right

    def prepare(self, image: ImageFrame) -> ImageFrame:
        """The picture in the track's size, colours and code."""
        shape = self.shape
        data, kind = shape.apply(image.image, image.size, image.format), str(shape.pixel_format)
        if self.encoder is not None:
            data, kind = self.encoder.encode(data, shape.width, shape.height, shape.pixel_format), self.encoder.codec
            if self.control is not None:
                self.encoder.quality = self.control.encoded(len(data))
        return evolve(image, image=data, size=(shape.width, shape.height), format=kind)


@final
@define(eq=False)
class Screens:
    """Owned by one session."""

    _params: TransportParams
    _serializer: FrameSerializer
    _outbox: WireOutbox
    _counters: Counters
    _on_ready: Callable[[], None]
    _on_room: Callable[[], None]
    screens: Mapping[str | None, Screen] = field(init=False)
    _turns: list[Screen] = field(init=False)
    """The tracks in the order in which they may show; rule 2."""
    tell_not_carried: Callable[[str], None] | None = field(default=None, init=False)
    """Called once, with the dialect's name, at the first picture for which it has no message."""
    _has_told: bool = field(default=False, init=False)
    _taken_back: int = field(default=0, init=False)
    _work: Sleeper = field(factory=Sleeper, init=False)

    def __attrs_post_init__(self) -> None:
        names = (None, *self._params.video_out_destinations) if self._params.video_out_enabled else ()
        self.screens = {name: make_screen(self._params) for name in names}
        self._turns = list(self.screens.values())

    # Queueing

    def screen(self, frame: ImageFrame | SpriteFrame) -> Screen:
        """The track that a frame is for, or LocalProtocolError that says why there is none."""
        if not self.screens:
            raise LocalProtocolError("an image was sent but video_out_enabled is False: set it in the parameters")
        images = images_of(frame)
        if not images:
            raise LocalProtocolError("a SpriteFrame without images was sent: there is nothing to show")
        (destination, *others) = {image.destination for image in images}
        if others:
            raise LocalProtocolError("the images of a SpriteFrame are for different destinations: send one for each")
        if destination not in self.screens:
            raise LocalProtocolError(f"destination {destination!r} is not one of video_out_destinations")
        for image in images:
            try:
                check_image(image.image, image.size, image.format)
            except ValueError as exc:
                raise LocalProtocolError(f"not a picture that can be shown: {exc}") from exc
        return self.screens[destination]

    def can_be_carried(self) -> bool:
        """Whether the dialect has messages for pictures, as far as it says; if not, one more was sent in vain."""
        carried = carries_pictures(self._serializer)
        if not carried:
            self._not_carried()
        return carried

    def _not_carried(self) -> None:
        self._counters.unsupported_frames += 1
        if self._has_told:
            return
        self._has_told = True
        dialect = dialect_of(self._serializer)
        logger.warning("%s carries no pictures: what is sent is not shown", dialect)
        if self.tell_not_carried is not None:
            self.tell_not_carried(dialect)

    def has_room(self, screen: Screen, held_bytes: int) -> bool:
        """Whether more may be queued, beside what is held back for the audio's sake; rule 3."""
        return screen.showing.waiting_bytes + held_bytes < self._params.video_out_max_queue_bytes

    def offer(self, screen: Screen, frame: ImageFrame | SpriteFrame) -> None:
        """Queue it, as from now."""
        screen.showing.offer(images_of(frame), trio.current_time())
        self._note()
        self._work.wake()

    def drop(self, screen: Screen, frame: ImageFrame | SpriteFrame) -> None:
        """Count what was held back for the audio's sake, and dropped with it."""
        screen.showing.dropped += len(images_of(frame))
        self._note()

    def interrupt(self) -> None:
        """Drop what waits."""
        for screen in self.screens.values():
            screen.showing.interrupt()
        self._note()

    def give_up(self) -> None:
        """Drop what was not shown yet: the session is over."""
        for screen in self.screens.values():
            screen.showing.give_up()
        self._note()

    def took_back(self, unsent: Sequence[Paced]) -> None:
        """Count those that were handed over to the outbox, and dropped there; what stays is shown again."""
        self._taken_back += sum(paced.written == self._wrote and not paced.is_kept for paced in unsent)
        self._note()

    def reconnected(self) -> None:
        """Show a peer that was found again what it missed."""
        for screen in self.screens.values():
            screen.showing.again()

    # Preparing

    async def run(self) -> None:
        """Prepare what was queued, one after another; rule 1."""
        while True:
            worked = False
            for screen in self.screens.values():
                job = screen.showing.job(trio.current_time())
                if job is not None:
                    worked = True
                    messages = await self._prepared(screen, job.image)
                    screen.showing.prepared(job, messages)
                    self._note()
                    self._on_room()
                    self._on_ready()
                    if messages is None:  # it was none: whoever waits for all to be shown has no write to be told by
                        self._outbox.wrote_nothing()
            if not worked:
                await self._work.sleep()

    async def _prepared(self, screen: Screen, image: ImageFrame) -> Sequence[Message] | None:
        """The messages for a picture; None if it is none."""
        await trio.lowlevel.checkpoint()
        if screen.needs_work(image):
            try:
                image = await in_thread(screen.prepare, image)
            except ValueError as exc:  # a file is looked into only here
                logger.error("a picture cannot be shown: %s", exc)  # noqa: TRY400 - the reason says it all
                return None
        if len(image.image) > LARGE_BYTES and writes_anywhere(self._serializer):
            messages = await in_thread(self._serializer.encode, image)
        else:
            messages = self._serializer.encode(image)
        if not messages:
            self._not_carried()
        return messages

    # Showing

    def next_time(self, now_s: float) -> float:
        """Hand over what is due; return when there will be more, ``inf`` if only ``run`` or a write can tell."""
        next_s = inf
        if not self.screens:
            return next_s
        for screen in tuple(self._turns):
            while (due_s := screen.showing.next_time()) <= now_s:
                if not self._outbox.is_empty:
                    return inf  # rule 2: the outbox says when it is empty
                messages, stays = screen.showing.show(now_s), screen.showing.stays
                self._turns.remove(screen)
                self._turns.append(screen)
                if not messages:  # whoever waits for all to be shown has no write to be told by
                    self._outbox.wrote_nothing()
                for message in messages:
                    self._outbox.put(message, self._wrote, NO_AUDIO, stays, lost=None if stays else self._lost)
                self._work.wake()
            next_s = min(next_s, due_s)
        self._note()
        return next_s

    def _wrote(self, _covers: int) -> None:
        self._counters.pictures_sent += 1

    def _lost(self) -> None:
        self._taken_back += 1
        self._note()

    def _note(self) -> None:
        dropped = sum(screen.showing.dropped for screen in self.screens.values())
        self._counters.pictures_dropped = dropped + self._taken_back

    # How things stand

    @property
    def is_waiting(self) -> bool:
        """Whether a picture was sent that is still to be shown."""
        return any(screen.showing.is_waiting for screen in self.screens.values())

    @property
    def is_due(self) -> bool:
        """Whether a picture waits for nothing but an empty outbox."""
        now_s = trio.current_time()
        return any(screen.showing.next_time() <= now_s for screen in self.screens.values())

    @property
    def queued_s(self) -> float:
        """How long what waits will take to be shown."""
        now_s = trio.current_time()
        return max((screen.showing.ends_at_s - now_s for screen in self.screens.values()), default=0.0)


def make_screen(params: TransportParams) -> Screen:
    """A picture track as the parameters describe it."""
    shape = PictureShape(
        width=params.video_out_width,
        height=params.video_out_height,
        pixel_format=params.video_out_color_format,
        fit=params.video_out_fit,
    )
    framerate, bitrate = params.video_out_framerate, params.video_out_bitrate
    keeps_bytes = params.video_out_max_queue_bytes
    encoder = PictureEncoder(codec_named(params.video_out_codec)) if params.video_out_codec is not None else None
    return Screen(
        LiveShowing(framerate) if params.video_out_is_live else StillShowing(framerate, keeps_bytes),
        shape,
        encoder,
        BitrateControl(bitrate, framerate, encoder.quality) if bitrate is not None and encoder is not None else None,
    )
