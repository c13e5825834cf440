"""What a session has counted so far, as a frozen value."""

from typing import final

from attrs import frozen


@final
@frozen(kw_only=True)
class Statistics:
    """A snapshot. Durations are seconds; ``messages`` are WebSocket messages."""

    duration_s: float = 0.0
    messages_received: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    audio_received_s: float = 0.0
    audio_sent_s: float = 0.0
    audio_queued_s: float = 0.0
    audio_in_dropped_s: float = 0.0
    """Inbound audio that the handler did not read in time."""
    audio_out_dropped_s: float = 0.0
    """Outbound audio dropped by interruption, reconnection or an end without draining."""
    malformed_messages: int = 0
    ignored_messages: int = 0
    """Well-formed messages that held no frame for the handler (an unknown event, a protocol's own)."""
    unsupported_frames: int = 0
    """Frames sent for which the dialect has no message."""
    frames_dropped: int = 0
    """Queued frames other than audio that an interruption dropped."""
    silence_chunks: int = 0
    late_resets: int = 0
    late_chunks: int = 0
    interruptions: int = 0
    reconnects: int = 0
