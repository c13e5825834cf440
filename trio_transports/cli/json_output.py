"""What ``--json`` prints, command by command: names that stay, so that scripts can rely on them.

Rules
1. A command prints one JSON object on one line of standard output; ``serve`` and ``echo`` one for each event, and
   ``inspect`` one for each message.
2. Names here are kept; new ones may come beside them. A failure is ``{"ok": false, "error": ...}``, whatever the
   command, and what was found until then may stand beside that.
"""

from collections.abc import Mapping
from typing import Final

FAILURE: Final = ("ok", "error")

OBJECTS: Final[Mapping[str, Mapping[str, str]]] = {
    "serve": {
        "event": "ready or ended",
        "url": "of the page (ready)",
        "ws_url": "of the callers (ready)",
        "pid": "what signals go to (ready)",
        "workers": "how many, null without --workers (ready)",
    },
    "demo": {
        "event": "ready",
        "url": "of the page (ready)",
        "ok": "whether all is well (--self-test)",
        "duration_s": "of the test (--self-test)",
        "findings": "name to ok, text and figures (--self-test)",
    },
    "new": {"ok": "true", "files": "that were written"},
    "echo": {
        "event": "ready, connected or disconnected",
        "url": "where it listens (ready)",
        "port": "of it (ready)",
        "session": "its id (connected, disconnected)",
        "peer": "who called (connected)",
        "code": "of the close (disconnected)",
        "reason": "of the close (disconnected)",
        "initiator": "local, remote or error (disconnected)",
        "audio_received_s": "seconds (disconnected)",
        "audio_sent_s": "seconds (disconnected)",
    },
    "call": {
        "ok": "something was heard, and nothing went wrong",
        "url": "that was called",
        "format": "of the recording; of audio, as the next seven: null on a line of text",
        "said_s": "seconds",
        "heard_s": "seconds",
        "heard_frames": "of audio",
        "first_audio_ms": "after the call began, or null",
        "jitter_ms": "of what was heard",
        "interruptions": "the server was interrupted, and said so",
        "other_frames": "that are not audio",
        "close_code": "or null",
        "close_reason": "what was said with it",
        "ended_by": "local, remote, error, or null",
        "said_lines": "on a line of text, else null",
        "heard": "what the bot said in each of its turns, on a line of text, else null",
    },
    "probe": {
        "ok": "not cut short, and no ping lost",
        "url": "that was looked at",
        "peer": "its address",
        "server": "as it names itself, or null",
        "subprotocol": "agreed on, or null",
        "connect_ms": "until TCP and TLS stood",
        "handshake_ms": "for the upgrade",
        "pings": "sent",
        "lost": "not answered",
        "messages_received": "meanwhile",
        "close_answered_ms": "or null",
        "round_trip": "least_ms, median_ms, p95_ms, most_ms, jitter_ms",
        "audio": "sent_s, received_s, frames, first_ms, jitter_ms, malformed_messages (--audio)",
    },
    "inspect": {
        "message": "its number",
        "kind": "text or binary",
        "size": "in bytes, or characters",
        "frames": "that are in it",
        "error": "why it is malformed, or null",
    },
}


def in_words(command: str) -> str:
    """For the end of a command's help."""
    lines = [f"  {name:<18} {what}" for name, what in OBJECTS[command].items()]
    return "\n".join(("--json prints:", *lines, "", "or, when it fails, ok (false) and error, with exit code 1 or 2."))
