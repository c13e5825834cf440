"""A phone that a test plays: it calls, speaks, presses keys, plays what it hears in real time, and hangs up.

Rules
1. What comes is played in real time, one piece after the other, ``buffer_s`` after it came where nothing was playing.
2. A mark is told back when all before it has been played, or was cleared; ``lag_s`` later, as slow providers do.
3. What was played, and when, is written down; what was cleared was not played.
4. ``way_s`` is how long a message of the bot's is under way.
5. Where the bot hangs up by a message, the phone says what its provider says then, once.
"""

from collections.abc import Callable
from math import inf
from os import PathLike
from typing import final

import numpy as np
import trio
from attrs import define, field, frozen

from ..._documented import documented
from ...audio.convert import Converter
from ...audio.format import AudioFormat
from ...audio.sound import Sound
from ...errors import ConnectionClosed
from ...frames import AudioFrame
from ...serializers.protocol import Message
from ...wire.protocol import Wire
from .line import PhoneLine
from .orders import ClearOrder, EndOrder, MarkOrder, Order, OtherOrder, PlayOrder, TextOrder

PACKET_S = 0.02
ANSWER_S = 10.0
"""How long a caller waits for a provider to be told that the call is taken."""
OWN_MARKS = "trio-transports-at-"
"""How the marks begin by which a session follows a phone's player."""
LOUD = 300
"""The sample value above which something is heard."""


@final
@frozen
class PlayedPiece:
    """A piece of audio as it was played."""

    start_s: float
    pcm: bytes
    rate: int

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.pcm) / 2 / self.rate

    @property
    def is_loud(self) -> bool:
        return bool(len(self.pcm)) and int(np.abs(np.frombuffer(self.pcm, "<i2").astype(np.int32)).max()) > LOUD


@documented
@final
@define(eq=False)
class ScriptedPhone:
    """``run`` listens until the connection ends; the other methods are what the caller does."""

    line: PhoneLine
    """Whose messages it speaks."""
    wire: Wire
    """Its end of the connection."""
    tells_marks: bool = True
    """Whether it tells when a mark was played, as its provider does."""
    buffer_s: float = 0.0
    """Seconds of audio that it gathers before it plays."""
    lag_s: float = 0.0
    """Seconds by which its word about a mark is late."""
    way_s: float = 0.0
    """Seconds that each message from the bot is on its way."""
    pieces: list[PlayedPiece] = field(factory=list, init=False)
    """All that was played or is queued to be, in order."""
    orders: list[tuple[float, Order]] = field(factory=list, init=False)
    """All that was heard of the bot, with the time."""
    clears_s: list[float] = field(factory=list, init=False)
    """When it was told to drop its audio, in seconds of trio's clock."""
    closed: ConnectionClosed | None = field(default=None, init=False)
    """How the connection ended; None until it has."""
    has_ended: trio.Event = field(factory=trio.Event, init=False)
    """Set when the connection has ended."""
    _listened_until_s: float = field(default=-inf, init=False)
    _cleared: trio.Event = field(factory=trio.Event, init=False)
    _has_stopped: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Listen until the connection ends."""
        later, now_due = trio.open_memory_channel[tuple[float, Message]](inf)
        async with trio.open_nursery() as telling_marks:
            async with trio.open_nursery() as obeying:
                obeying.start_soon(self._obey, now_due, telling_marks)
                with later:  # what came before the end is obeyed before it
                    try:
                        while True:
                            message = await self.wire.receive()
                            later.send_nowait((trio.current_time() + self.way_s, message))
                    except ConnectionClosed as closed:
                        self.closed = closed
            telling_marks.cancel_scope.cancel()
        self.has_ended.set()

    async def _obey(self, due: trio.MemoryReceiveChannel[tuple[float, Message]], nursery: trio.Nursery) -> None:
        async for at_s, message in due:
            await trio.sleep_until(at_s)
            order = self.line.understand(message)
            now_s = trio.current_time()
            self.orders.append((now_s, order))
            match order:
                case PlayOrder(pcm=pcm, sample_rate=rate):
                    until_s = self.plays_until_s
                    starts_s = until_s if until_s > now_s else now_s + self.buffer_s
                    self.pieces.append(PlayedPiece(starts_s, pcm, rate))
                case MarkOrder(name=name) if self.tells_marks:
                    nursery.start_soon(self._tell_mark, name, self.plays_until_s, self._cleared)
                case ClearOrder():
                    self._clear(now_s)
                case EndOrder():
                    await self.stop()

    async def _tell_mark(self, name: str, at_s: float, cleared: trio.Event) -> None:
        with trio.move_on_at(max(at_s, trio.current_time())):
            await cleared.wait()
        await trio.sleep(self.lag_s)
        await self._say(self.line.played(name))

    def _clear(self, now_s: float) -> None:
        self.clears_s.append(now_s)
        self._cleared.set()
        self._cleared = trio.Event()
        kept = [piece for piece in self.pieces if piece.start_s < now_s]
        if kept and kept[-1].end_s > now_s:
            last = kept[-1]
            samples = round((now_s - last.start_s) * last.rate)
            kept[-1] = PlayedPiece(last.start_s, last.pcm[: 2 * samples], last.rate)
        self.pieces = kept

    # What the caller does

    async def call(self) -> None:
        """Say what the provider says first, and wait until the call is taken where it waits for that."""
        for message in self.line.opening():
            await self._say(message)
        with trio.move_on_after(ANSWER_S):
            await self.until(lambda phone: phone.line.is_answered or phone.has_ended.is_set())

    async def speak(self, sound: "AudioFrame | Sound | str | PathLike[str]", *, at_once: bool = False) -> None:
        """Say something, a WAV file by its path, in packets of 20 ms: in real time, or all of it ``at_once``."""
        if not isinstance(sound, AudioFrame | Sound):
            sound = Sound.from_wav(sound)
        pcm, source = (sound.audio, sound.format) if isinstance(sound, AudioFrame) else (sound.pcm, sound.audio_format)
        target = AudioFormat(self.line.rate)
        if source != target:
            converter = Converter(source, target)
            pcm = converter.process(pcm) + converter.flush()
        step = 2 * round(self.line.rate * PACKET_S)
        started_s = trio.current_time()
        for number, at in enumerate(range(0, len(pcm), step)):
            message = self.line.voice(pcm[at : at + step].ljust(step, b"\0"))
            await self._say(self._possible(message, "audio: say it with words"))
            if not at_once:
                await trio.sleep_until(started_s + (number + 1) * PACKET_S)

    async def say(self, text: str) -> None:
        """Say something on a line whose provider writes it down."""
        await self._say(self._possible(self.line.words(text), "words: speak audio"))

    async def be_silent(self, seconds: float) -> None:
        """Send silence, as a line does on which nobody speaks."""
        await self.speak(AudioFrame(audio=bytes(2 * round(self.line.rate * seconds)), sample_rate=self.line.rate))

    async def press(self, keys: str) -> None:
        """Press keys, one each tenth of a second."""
        for digit in keys:
            await self._say(self._possible(self.line.key(digit), "keys"))
            await trio.sleep(0.1)

    async def send(self, message: Message) -> None:
        """Say a message as it is."""
        await self._say(message)

    async def stop(self) -> None:
        """Say that the call has ended, where the provider has words for that; once."""
        if not self._has_stopped:
            self._has_stopped = True
            await self._say(self.line.stop())

    async def hang_up(self) -> None:
        """Say that the call has ended, where the provider has words for that, and close."""
        await self.stop()
        await self.wire.aclose(1000, "")

    def _possible(self, message: Message | None, what: str) -> Message:
        if message is None:
            raise ValueError(f"the line {self.line.name} has no {what}")
        return message

    async def _say(self, message: Message | None) -> None:
        if message is None:
            return
        try:
            await self.wire.send(message)
        except ConnectionClosed:
            await trio.lowlevel.checkpoint()  # it ended; ``closed`` tells how

    # What it heard

    @property
    def plays_until_s(self) -> float:
        """When what it has by now will have been played, in seconds of trio's clock."""
        return self.pieces[-1].end_s if self.pieces else -inf

    def played_s(self, at_s: float | None = None) -> float:
        """How much audio, in seconds, has been played by then.

        ``at_s`` is a time of trio's clock; None is now.
        """
        until_s = trio.current_time() if at_s is None else at_s
        return sum(max(0.0, min(piece.end_s, until_s) - piece.start_s) for piece in self.pieces)

    @property
    def heard(self) -> AudioFrame:
        """All that has been played so far."""
        return self._heard_between(-inf, trio.current_time())

    @property
    def packets(self) -> list[PlayOrder]:
        """All audio that came, played or not."""
        return [order for _, order in self.orders if isinstance(order, PlayOrder)]

    @property
    def marks(self) -> list[str]:
        """The marks that the bot asked for, without those by which its session follows this phone's player."""
        names = [order.name for _, order in self.orders if isinstance(order, MarkOrder)]
        return [name for name in names if not name.startswith(OWN_MARKS)]

    @property
    def texts(self) -> list[str]:
        """What the bot had the provider speak, turn by turn, on a line that carries text."""
        turns, words = [], ""
        for order in [order for _, order in self.orders if isinstance(order, TextOrder)]:
            words += order.text
            if order.is_last:
                turns.append(words)
                words = ""
        return [*turns, words] if words else turns

    @property
    def others(self) -> list[OtherOrder]:
        """What the bot said that is none of the other orders."""
        return [order for _, order in self.orders if isinstance(order, OtherOrder)]

    async def listen(self, quiet_s: float = 0.5, *, timeout_s: float = 30.0) -> AudioFrame:
        """Wait until the bot has spoken and then been quiet for a while; give what was heard since the last time.

        Silence in front of it and behind it is left out. trio.TooSlowError if it says nothing, or never stops.

        It has been quiet after ``quiet_s`` seconds without sound. ``timeout_s`` is for all of it.
        """
        began_s = self._listened_until_s
        with trio.fail_after(timeout_s):
            while True:
                now_s = trio.current_time()
                loud = [piece for piece in self.pieces if piece.start_s >= began_s and piece.is_loud]
                if loud and loud[-1].end_s + quiet_s <= now_s:
                    self._listened_until_s = now_s
                    return self._heard_between(loud[0].start_s, loud[-1].end_s)
                if self.has_ended.is_set():
                    self._listened_until_s = now_s
                    return self._heard_between(loud[0].start_s if loud else now_s, now_s)
                await trio.sleep(PACKET_S)

    def listen_from_now(self) -> None:
        """Let the next ``listen`` leave out what has been heard so far."""
        self._listened_until_s = trio.current_time()

    async def until(self, condition: Callable[["ScriptedPhone"], object]) -> None:
        """Wait until something holds of this phone; the caller sets the time limit."""
        while not condition(self):  # noqa: ASYNC110 - what it asks changes with time alone, too
            await trio.sleep(PACKET_S)

    def _heard_between(self, from_s: float, to_s: float) -> AudioFrame:
        parts = []
        for piece in self.pieces:
            first = max(0, round((from_s - piece.start_s) * piece.rate)) if from_s > piece.start_s else 0
            last = round((min(to_s, piece.end_s) - piece.start_s) * piece.rate)
            parts.append(piece.pcm[2 * first : 2 * max(first, last)])
        rate = self.pieces[0].rate if self.pieces else self.line.rate
        return AudioFrame(audio=b"".join(parts), sample_rate=rate)
