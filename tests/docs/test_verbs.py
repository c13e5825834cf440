"""What a user is handed has the verbs that he may use, and no more: the library's own wiring stays private."""

import pytest

from trio_transports.docs.catalogue import MADE_HERE, Entry, Room

VERBS = {
    "Inbox": "aclose audio_is_on receive start_audio stop_audio",
    "Output": "aclose drain end interrupt playback queued_s send send_message send_raw write_audio",
    "Session": "aclose is_closing is_connected messages serializer start statistics tapped",
    "Subscription": "aclose close receive",
    "ChunkChannel": "aclose receive",
    "JobContext": "job_id missed request_update response",
    "JobGroupContext": "errors job_id missed request_update responses",
    "JobRequest": "job_id job_name payload requester send_response send_stream_data send_stream_end send_stream_start"
    " send_update update_wanted",
    "WorkerRegistry": "find forget_gone is_local local_workers on_gone remote_workers unwatch watch",
    "WebSocketProxyServer": "accepts events is_connected main on_bus_message on_end on_worker_ready shut_down"
    " statistics tap",
    "LineSerializer": "audio_format coded decode encode fresh has_marks held_ms is_ready keep_coded"
    " max_message_bytes reconnected use_bitrate",
}
"""What is made by the library, or is the base of what a user makes."""


@pytest.fixture(scope="module")
def entries(looked_at: list[Room]) -> dict[str, Entry]:
    return {entry.name: entry for room in looked_at for entry in room.entries}


@pytest.mark.parametrize("name", [name for name in VERBS if name != "LineSerializer"])
def test_a_class_shows_its_verbs_alone(entries: dict[str, Entry], name: str) -> None:
    """A method more is one that users will call: it is private, or listed here."""
    shown = {member.name for member in entries[name].members if member.kind != "field"}
    assert shown == set(VERBS[name].split())


@pytest.mark.parametrize("line", ["Twilio", "Vonage", "Azure"])
def test_a_line_shows_what_a_session_asks_of_it(entries: dict[str, Entry], line: str) -> None:
    shown = {member.name for member in entries[f"{line}FrameSerializer"].members if member.kind != "field"}
    assert shown == set(VERBS["LineSerializer"].split())


def test_what_a_session_hands_out_is_listed() -> None:
    assert {"Inbox", "Output", "Session", "Subscription", "JobRequest"} <= MADE_HERE & set(VERBS)
