"""What was heard: which utterances were sent, and how far each has been played.

Rules
1. Audio and text belong to the utterance that their frame names. What names none belongs to one for each run of
   speech, called ``speech-1`` and so on, each name once in a session, whatever the destination; a run ends with the end
   of an utterance, a pause, or an interruption.
2. Places are bytes of the track's PCM. A piece that was sent joins its place to the line's timeline (``player``), so
   silence that fills gaps plays without counting as anybody's words.
3. A text was heard when the audio has been played past the place where it was sent: its first audio, where text goes
   before its audio, and all of it, where text comes behind.
4. An interruption fixes what was heard. Nothing is ever reported past what was written to the wire.
5. What was lost with a connection nobody heard: neither the audio nor the texts that belong to it.
6. The last ``REMEMBERED`` utterances are remembered, and of their texts ``MAX_TEXT_BYTES``: past it the oldest are
   forgotten. A text that was not heard, and cannot be any more, is let go of at once. When nobody has the session any
   more but for an event that is kept, ``session.sizes.LAST_TEXT_BYTES`` stay.
"""

from collections.abc import Callable, Iterator
from math import inf
from sys import getsizeof
from typing import Final, final

from attrs import define, evolve, field

from ..frames import Played, TextFrame
from .player import Player

REMEMBERED: Final = 32
MAX_TEXTS: Final = 1024
"""Of one utterance: of more, the oldest are forgotten."""
MAX_TEXT_BYTES: Final = 1024 * 1024
"""The memory that the texts of all utterances of a track may take."""
_TEXT_BYTES: Final = 200
"""What a text takes besides its words."""
MAX_PIECES: Final = 64


@final
@define(eq=False)
class Utterance:
    """One utterance: its pieces of audio and its texts, by place."""

    name: str
    spans: list[tuple[int, int]] = field(factory=list)
    lost_bytes: int = 0
    """Of its audio, what was lost with a connection: it is in no span any more."""
    texts: list[tuple[int, TextFrame, int]] = field(factory=list)
    """Each with its place, and the memory that it takes; once ``played`` is there, those that were heard."""
    is_over: bool = False
    """Nothing is added to it any more."""
    played: Played | None = None
    """What was heard of it, once that cannot change."""

    def add(self, start: int, end: int) -> None:
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1] = (self.spans[-1][0], end)
        else:
            self.spans.append((start, end))

    @property
    def text_bytes(self) -> int:
        """The memory that its texts take."""
        return sum(size_bytes for _, _, size_bytes in self.texts)

    def lose(self, begin: int, end: int) -> None:
        """Nobody hears what is between these places, nor the texts that go with nothing else."""
        if not any(start < end and stop > begin for start, stop in self.spans):
            return
        places = sorted({at for at, _, _ in self.texts})
        until = dict(zip(places, [*places[1:], self.spans[-1][1] if self.is_over else inf], strict=False))
        self.texts = [each for each in self.texts if each[0] < begin or until[each[0]] > end]
        spans = [
            part for start, stop in self.spans for part in ((start, min(stop, begin)), (max(start, end), stop))
        ]  # fmt: skip
        left = [(start, stop) for start, stop in spans if start < stop]
        self.lost_bytes += sum(stop - start for start, stop in self.spans) - sum(stop - start for start, stop in left)
        self.spans = left

    def fix(self, played: Played) -> None:
        """This was heard of it, and that cannot change any more."""
        heard = set(map(id, played.texts))
        self.played = played
        self.texts = [each for each in self.texts if id(each[1]) in heard]

    def forget_text(self) -> int:
        """Let go of its oldest text; returned is the memory that it took, 0 if there is none."""
        if not self.texts:
            return 0
        _, oldest, size_bytes = self.texts.pop(0)
        if self.played is not None:
            self.played = evolve(self.played, texts=tuple(text for text in self.played.texts if text is not oldest))
        return size_bytes

    def heard(self, place: int, bytes_per_second: int) -> Played:
        """What was heard of it when all before ``place`` has been played."""
        total = sum(end - start for start, end in self.spans) + self.lost_bytes
        heard = sum(min(end, place) - start for start, end in self.spans if start < place)
        is_complete = self.is_over and heard >= total
        texts = [text for at, text, _ in self.texts if at < place or (is_complete and total and at <= place)]
        return Played(
            utterance=self.name,
            seconds=heard / bytes_per_second,
            sent_seconds=total / bytes_per_second,
            texts=tuple(texts),
            is_complete=is_complete,
            is_over=self.is_over and heard >= total - self.lost_bytes,
        )


@final
@define(eq=False)
class Playback:
    """One track's record. ``written`` is the place up to which audio is on the wire."""

    _runs: Iterator[int]
    """Numbers for what names none: all tracks of a session take theirs from the same."""
    bytes_per_second: int = field(default=1, init=False)
    player: Player = field(factory=Player, init=False)
    text_bytes: int = field(default=0, init=False)
    """The memory that the texts take that are remembered; rule 6."""
    _utterances: list[Utterance] = field(factory=list, init=False)
    _pieces: list[tuple[float, float, int, int]] = field(factory=list, init=False)
    """Where on the timeline which places are, as (start_s, end_s, place, end place)."""

    # What is sent

    def audio(self, name: str | None, start: int, end: int) -> None:
        """Audio of an utterance was queued at these places."""
        if end <= start:
            return
        last = self._utterances[-1] if self._utterances else None
        if last is None or last.is_over or (name is not None and name != last.name):
            last = self._current(name)
        last.add(start, end)

    def passed(self, name: str | None, start: int, end: int, duration_s: float, now: float) -> None:
        """Audio of an utterance left as it came: ``audio`` and ``sent`` in one."""
        self.audio(name, start, end)
        self.sent(end, end - start, duration_s, now)

    def text(self, frame: TextFrame, place: int) -> None:
        utterance = self._current(frame.utterance)
        size_bytes = _TEXT_BYTES + getsizeof(frame.text) + getsizeof(frame.name)
        utterance.texts.append((place, frame, size_bytes))
        self.text_bytes += size_bytes
        if len(utterance.texts) > MAX_TEXTS:
            self.text_bytes -= utterance.forget_text()
        self.forget_texts(MAX_TEXT_BYTES)

    def forget_texts(self, most_bytes: int) -> None:
        """Remember the newest texts, as far as they take no more memory than that."""
        for oldest in self._utterances:
            while self.text_bytes > most_bytes and (taken_bytes := oldest.forget_text()):
                self.text_bytes -= taken_bytes

    def lost(self, begin: int, end: int) -> None:
        """What is between these places was lost with a connection; rule 5."""
        for each in self._utterances:
            if each.played is None and begin < end:
                self.text_bytes -= each.text_bytes
                each.lose(begin, end)
                self.text_bytes += each.text_bytes

    def ended(self) -> None:
        """The utterance, or the run of speech, is over: unless more comes under its name."""
        if self._utterances:
            self._utterances[-1].is_over = True

    def ended_at(self, place: int) -> None:
        """So is the one that was being said at this place."""
        each = self._at(place)
        if each is not None:
            each.is_over = True

    def sent(self, place: int, size: int, duration_s: float, now: float) -> None:
        """A piece left: the ``size`` bytes before ``place``, or silence where that is 0."""
        start_s = self.player.sent_s
        self.player.sent(duration_s, now)
        if not size:
            return
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last[1] == start_s and last[3] == place - size:
            self._pieces[-1] = (last[0], self.player.sent_s, last[2], place)
            return
        self._pieces.append((start_s, self.player.sent_s, place - size, place))
        if len(self._pieces) > MAX_PIECES:
            self._forget_played(now)

    # What was heard

    def place(self, now: float, written: int) -> int:
        """Up to where the audio has been played."""
        played_s = self._forget_played(now)
        if not self._pieces:
            return 0
        start_s, end_s, start, end = self._pieces[0]
        part = 1.0 if played_s >= end_s else max(0.0, played_s - start_s) / (end_s - start_s)
        return min(written, start + int((end - start) * part))

    def unheard_s(self, now: float, written: int) -> float:
        """How much of the timeline the peer has still to play, or to get."""
        return self.player.sent_s - min(self.player.played_s(now), self._written_s(written))

    def _written_s(self, written: int) -> float:
        """Where on the timeline the first byte is that is not on the wire."""
        for start_s, end_s, start, end in self._pieces:
            if written < end:
                return start_s + (end_s - start_s) * max(0, written - start) / (end - start)
        return self.player.sent_s

    def _forget_played(self, now: float) -> float:
        """Keep the piece that is playing and those after it."""
        played_s = self.player.played_s(now)
        while len(self._pieces) > 1 and self._pieces[1][0] <= played_s:
            del self._pieces[0]
        return played_s

    def heard(self, now: float, written: int) -> tuple[Played, ...]:
        """What was heard of each utterance, the oldest first."""
        place = self.place(now, written)
        return tuple(each.played or each.heard(place, self.bytes_per_second) for each in self._utterances)

    def at(self, place: int, now: float, written: int) -> Played | None:
        """What was heard of the utterance that was being said at this place; of the latest, where none was."""
        each = self._at(place)
        return each and (each.played or each.heard(self.place(now, written), self.bytes_per_second))

    def _at(self, place: int) -> Utterance | None:
        began = [(start, n) for n, each in enumerate(self._utterances) for start, _ in each.spans if start <= place]
        if began:
            return self._utterances[max(began)[1]]
        return self._utterances[-1] if self._utterances else None

    def interrupted(
        self, now: float, written: int, is_kept: Callable[[int, int], bool], *, plays_on: bool
    ) -> tuple[Played, ...]:
        """Fix what was heard; return it for the utterances that were cut off.

        What is said to its end all the same is not; ``plays_on``: it is playing now.
        """
        place = self.place(now, written)
        cut = []
        for each in self._utterances:
            if each.played is None:
                each.is_over = True
                if any(is_kept(start, end) for start, end in each.spans):
                    continue
                self.text_bytes -= each.text_bytes
                played = each.heard(place, self.bytes_per_second)
                was_over, played = played.is_over, evolve(played, is_over=True)
                each.fix(played)
                self.text_bytes += each.text_bytes
                if not was_over:
                    cut.append(played)
        if not plays_on:
            self.player.cleared(now)
            self._pieces.clear()
        return tuple(cut)

    def _current(self, name: str | None) -> Utterance:
        last = self._utterances[-1] if self._utterances else None
        if last is not None and not last.is_over and (name is None or name == last.name):
            return last
        if name is not None:
            known = next((each for each in self._utterances if each.name == name and each.played is None), None)
            if known is not None:  # it paused, or another came in between
                known.is_over = False
                return known
        else:
            name = f"speech-{next(self._runs)}"
        if last is not None:
            last.is_over = True
        new = Utterance(name)
        self._utterances.append(new)
        if len(self._utterances) > REMEMBERED:
            self.text_bytes -= self._utterances.pop(0).text_bytes
        return new
