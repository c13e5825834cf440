"""What the handler sends: ``session.output``.

Rules
1. Frames leave in the order in which they were sent: see ``session.outbound``, which also says when sending waits.
2. A frame that the dialect cannot say is counted; one that is wrong raises here, in the caller, and costs nothing else.
   So does what is no frame at all. Keys that the dialect has no message for leave as tones in the audio.
3. After the connection has ended, sending raises ``ConnectionClosed``; after ``end`` or ``aclose`` here, or after an
   ``EndFrame`` until it has ended the call, ``trio.ClosedResourceError``. But a ``CancelFrame`` can follow one.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

import trio
from attrs import define, field

from .._moved import moved
from ..audio.dtmf import dtmf_tones
from ..errors import LocalProtocolError
from ..frames import (
    OVERTAKING,
    AudioFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    FilterControlFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    MixerControlFrame,
    Played,
    SpriteFrame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VolumeFrame,
    check_frame,
)
from .closing import SessionClosing
from .outbound import Outbound
from .state import Life

_CONTENT: Final = frozenset({TextFrame, MessageFrame, TranscriptionFrame})
"""What is often sent, and has its place among the audio."""


@final
@moved("channel")
@define(eq=False)
class Output(trio.abc.SendChannel[Frame]):
    """The session's send channel, with more. Several tasks may use it."""

    _life: Life
    _outbound: Outbound
    _closing: SessionClosing
    _control_filter: Callable[[FilterControlFrame], Awaitable[None]]
    _ended: bool = field(default=False, init=False)

    async def send(self, frame: Frame) -> None:
        """Queue a frame. Cancelled while waiting for room, it has queued nothing.

        Audio that is due and leaves at once is a point of cancellation; every other send is one of scheduling too. In
        its own duration there is one such chunk, so a task that only sends cannot hold up the others.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if type(frame) is AudioFrame:
            self._check_audio()
            if self._outbound.pass_on(frame):
                return
            track = await self._outbound.queue_audio(frame, self._check_open)
            if track is None or track.queue.chunker.pending_bytes:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return
        check_frame(frame)
        if type(frame) in _CONTENT and self._send_now(frame):
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        for tap in self._outbound.taps.each:
            tap.sent(frame, trio.current_time())
        if isinstance(frame, EndFrame | CancelFrame):
            await self._end_call(frame)
        else:
            self._check_open()
            await self._send_other(frame)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_message(self, message: JSONValue, urgent: bool = False) -> None:
        """Send a JSON document of the application's own; an urgent one overtakes queued audio."""
        await self.send(MessageFrame(message=message, urgent=urgent))

    async def send_raw(self, message: str | bytes, *, interruptible: bool = True) -> None:
        """Send a WebSocket message as it is, text or binary, in order with the rest; the dialect does not see it.

        An interruption drops one that is queued, unless ``interruptible`` is False.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not isinstance(message, str | bytes):
            raise TypeError(f"send_raw takes str for a text message or bytes for a binary one, not {message!r}")
        self._check_open()
        await self._outbound.queue_raw(message, self._check_open, is_kept=not interruptible)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def write_audio(self, frame: AudioFrame) -> bool:
        """Send audio and wait for it: True once every byte was written, False if any was dropped or the peer has gone.

        Less than a chunk waits for the rest of it, which is silence ``partial_flush_ms`` later if nothing else comes: a
        stream of small pieces goes out without gaps by ``send``.

        Cancelling it does not take the audio back.
        """
        await trio.lowlevel.checkpoint()
        if self._life.state.is_ending:
            return False
        self._check_open()
        self._check_audio()
        outcome: list[bool] = []
        settled = trio.Event()

        def settle(delivered: bool) -> None:
            outcome.append(delivered)
            settled.set()

        track = await self._outbound.queue_audio(frame, self._check_open, tick=False)
        if track is None:
            return False
        track.queue.promise(settle)
        self._outbound.clock.tick()
        await settled.wait()
        return outcome[0]

    async def interrupt(self) -> None:
        """Drop what is queued and have the peer drop what it has; nothing queued before is sent after."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        self._outbound.interrupt()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def drain(self) -> None:
        """Wait until nothing is queued any more, and all was played where the dialect can tell.

        What other tasks go on sending is waited for as well. An interruption empties the queue and so ends the wait.
        Cancelling it loses nothing.
        """
        await self._outbound.drain()

    async def end(self) -> None:
        """Flush, play ``audio_out_end_silence_secs`` of silence, and take no more frames. The call itself goes on."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._ended:
            self._ended = True
            self._outbound.end_audio()
        await self._outbound.drain()

    async def aclose(self) -> None:
        """Take no more frames; what is queued still goes out."""
        self._ended = True
        await trio.lowlevel.checkpoint()

    @property
    def queued_s(self) -> float:
        """How much audio is queued, on the destination that has most of it."""
        return self._outbound.queued_s

    @property
    def playback(self) -> Mapping[str, Played]:
        """What was heard of each of the latest utterances, by name: by the peer's word where it tells, else by time.

        Frames name theirs (``utterance=``; one name goes to one destination); what names none is ``speech-1`` and so
        on, one for each run of speech. It is exact to a chunk where the line has marks, and never more than was written
        to the wire. Of the texts the latest are kept: 1 MiB while the session's block runs, 8 KiB afterwards.
        """
        return self._outbound.heard()

    def _count_dropped(self, frame: Frame) -> None:
        """Count a frame that was dropped on its way here, as a pipeline does at an interruption."""
        self._outbound.counters.count_dropped(type(frame).__name__)

    def _send_now(self, frame: Frame) -> bool:
        """Send a frame where that waits for nothing; False: nothing was done. It raises what ``send`` does."""
        outbound = self._outbound
        if type(frame) is AudioFrame:
            self._check_audio()
            return outbound.pass_on(frame) or outbound.queue_audio_now(frame)
        if type(frame) not in _CONTENT or getattr(frame, "urgent", False) or not getattr(frame, "aloud", True):
            return False
        self._check_open()
        if not outbound.has_room_now():
            return False
        for tap in outbound.taps.each:
            tap.sent(frame, trio.current_time())
        outbound.put_messages(outbound.tracks[None], frame)
        return True

    # Inside

    def _check_open(self) -> None:
        self._life.check_connected()
        if self._closing.ends_call:
            raise trio.ClosedResourceError("this side ends the call: no frame can follow an EndFrame or CancelFrame")
        if self._ended:
            raise trio.ClosedResourceError("session.output was ended by this side: no frame can follow")

    def _check_audio(self) -> None:
        if not self._outbound.params.audio_out_enabled:
            raise LocalProtocolError("audio was sent but audio_out_enabled is False: set it in the parameters")
        if self._life.state.is_ending or self._ended:
            self._check_open()

    async def _end_call(self, frame: EndFrame | CancelFrame) -> None:
        if isinstance(frame, CancelFrame) and self._closing.ends_call and not self._life.state.is_over:
            await self._closing.cut_off(frame)
            return
        self._life.check_connected()
        if self._closing.ends_call:
            self._check_open()
        # After ``end`` the silence has been played.
        was_ended, self._ended = self._ended, True
        try:
            await self._closing.end_call(frame, plays_silence=not was_ended)
        finally:
            self._ended = was_ended or self._closing.ends_call  # what the dialect cannot say has ended nothing

    async def _send_other(self, frame: Frame) -> None:
        outbound = self._outbound
        match frame:
            case (
                UserStartedSpeakingFrame(notice=True)
                | UserStoppedSpeakingFrame(notice=True)
                | BotStartedSpeakingFrame(notice=True)
                | BotStoppedSpeakingFrame(notice=True)
            ):
                pass  # what was noticed here is not for the peer
            case MessageFrame(urgent=True) | TextFrame(aloud=False):  # what is only read has no place in the audio
                await outbound.put_urgent(frame)
            case _ if isinstance(frame, OVERTAKING):
                await outbound.put_urgent(frame)
            case InterruptionFrame():
                outbound.interrupt()
            case MixerControlFrame():
                self._control_mixer(frame)
            case FilterControlFrame(output=True):
                for track in outbound.tracks.values():
                    track.intake.control_filter(frame.settings, frame.enabled)
            case FilterControlFrame():
                await self._control_filter(frame)
            case VolumeFrame():
                track = outbound.track(frame.destination)
                track.departure.blend.volume.go(frame.volume, track.format.sample_rate)
            case DTMFFrame():
                await self._press(frame)
            case ImageFrame() | SpriteFrame():
                await outbound.queue_pictures(frame, self._check_open)
            case _:
                await outbound.queue_messages(frame, self._check_open)

    async def _press(self, frame: DTMFFrame) -> None:
        outbound = self._outbound
        await outbound.opened()  # what the line has for keys, and its format of sound, are known from its start
        if outbound.serializer.encode(frame) or not outbound.params.audio_out_enabled:
            await outbound.queue_messages(frame, self._check_open)
            return
        line = outbound.tracks[None].format
        tones = AudioFrame(
            audio=dtmf_tones(frame.digit, line),
            sample_rate=line.sample_rate,
            num_channels=line.num_channels,
            interruptible=False,
        )
        await outbound.queue_audio(tones, self._check_open)

    def _control_mixer(self, frame: MixerControlFrame) -> None:
        mixer = self._outbound.track(frame.destination).departure.blend.mixer
        if mixer is None:
            raise LocalProtocolError(f"destination {frame.destination!r} has no mixer: set audio_out_mixer")
        mixer.control(frame.settings, frame.enabled)
