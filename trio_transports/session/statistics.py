"""What a session counts: mutable counters inside, a frozen snapshot outside."""

from collections.abc import Mapping
from typing import final

import attrs
from attrs import Factory, define, field, frozen

from .._documented import documented


@final
@define(eq=False)
class Counters:
    """Every counter starts at zero. Durations are seconds; ``messages`` are WebSocket messages.

    A record of counts, which is why it has so many fields: nothing works on them together.
    """

    messages_received: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    audio_received_s: float = 0.0
    audio_sent_s: float = 0.0
    audio_in_dropped_s: float = 0.0
    audio_in_concealed_s: float = 0.0
    audio_in_late: int = 0
    audio_in_reordered: int = 0
    audio_out_dropped_s: float = 0.0
    chunks_paced: int = 0
    pacing_error_s: float = 0.0
    pacing_error_max_s: float = 0.0
    malformed_messages: int = 0
    ignored_messages: int = 0
    unsupported_frames: int = 0
    frames_dropped: int = 0
    silence_chunks: int = 0
    interruptions: int = 0
    reconnects: int = 0
    pictures_sent: int = 0
    pictures_dropped: int = 0
    pictures_received: int = 0
    pictures_in_dropped: int = 0
    dropped_by_kind: dict[str, int] = field(factory=dict)

    def count_dropped(self, kind: str) -> None:
        self.dropped_by_kind[kind] = self.dropped_by_kind.get(kind, 0) + 1


@documented
@final
@frozen(kw_only=True)
class Statistics:
    """A snapshot, as ``session.statistics()`` gives it. ``bytes`` of text messages are their characters.

    A record of counts, and so one class however many there are.
    """

    duration_s: float = 0.0
    """Seconds since the session began; it stands still once the session has ended."""
    messages_received: int = 0
    """WebSocket messages from the peer."""
    bytes_received: int = 0
    """Their bytes; of text messages, their characters."""
    messages_sent: int = 0
    """WebSocket messages to the peer."""
    bytes_sent: int = 0
    """Their bytes; of text messages, their characters."""
    audio_received_s: float = 0.0
    """Seconds of audio that came, before anything was dropped."""
    audio_sent_s: float = 0.0
    """Audio written to the wire: silence that filled gaps included."""
    audio_queued_s: float = 0.0
    """Seconds of audio that wait to be sent at this moment."""
    audio_in_dropped_s: float = 0.0
    """Inbound audio that the handler did not read in time."""
    audio_in_concealed_s: float = 0.0
    """Inbound audio that did not come and was replaced; these three count only with ``audio_in_jitter_ms``."""
    audio_in_late: int = 0
    """Inbound frames that came after they had been replaced, or twice."""
    audio_in_reordered: int = 0
    """Inbound frames that came after one that belongs behind them, and were put in their place."""
    audio_out_dropped_s: float = 0.0
    """Outbound audio dropped by an interruption, a reconnection or an end without draining, or left out after a
    stall of a live source, whose place silence had taken."""
    chunks_paced: int = 0
    """Chunks of the handler's audio that left, each at a time of its own: those that filled gaps are not among them."""
    pacing_error_s: float = 0.0
    """By how much all of them together left later than they were due and there; by ``chunks_paced``, the mean."""
    pacing_error_max_s: float = 0.0
    """The largest of these; past ``catch_up_ms`` the schedule moves instead (``late_resets``)."""
    malformed_messages: int = 0
    """Messages that could not be read and were skipped; see ``max_malformed``."""
    ignored_messages: int = 0
    """Well-formed messages that held nothing for the handler."""
    unsupported_frames: int = 0
    """Frames sent for which the dialect has no message."""
    frames_dropped: int = 0
    """Queued frames other than audio that an interruption dropped."""
    silence_chunks: int = 0
    """Chunks of silence that filled gaps. Many of them: audio came too slowly."""
    late_resets: int = 0
    """How often the audio clock was so late that it had to give up its schedule."""
    interruptions: int = 0
    """How often what was playing was stopped."""
    reconnects: int = 0
    """How often a lost connection was made again."""
    pictures_sent: int = 0
    """Pictures written to the wire, each turn of a sprite's included."""
    pictures_dropped: int = 0
    """Pictures sent that were never shown: too late, replaced by a newer one, dropped by an interruption or with their
    connection, or given up at the end. Of live ones each is sent or dropped."""
    pictures_received: int = 0
    """Pictures that the peer sent, with ``video_in_enabled``."""
    pictures_in_dropped: int = 0
    """Inbound pictures that newer ones overtook before the handler had read them."""
    dropped_by_kind: Mapping[str, int] = Factory(dict)
    """Frames dropped by the name of their class: by a pipeline on their way to the output, and of what was queued there
    by an interruption, whose audio is counted in ``audio_out_dropped_s``."""

    @classmethod
    def _of(cls, counters: Counters, *, duration_s: float, audio_queued_s: float, late_resets: int) -> "Statistics":
        """Take a snapshot of the session's counters."""
        return cls(
            duration_s=duration_s,
            audio_queued_s=audio_queued_s,
            late_resets=late_resets,
            **attrs.asdict(counters),
        )
