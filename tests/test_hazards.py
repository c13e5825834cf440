"""Which test shows each hazard found in what was built, and with which fault put back it was seen to fail."""

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parent.parent
NUMBERS: Final = tuple(range(33, 55))

Shown: TypeAlias = Mapping[str, Sequence[str]]
"""Faults, each put back by hand, and the tests that failed: what the code did before, or would without its guard."""

SESSION, REAL, ASGI = "tests/session/", "tests/real/session/", "tests/real/asgi/"
BOUNDS = SESSION + "test_inbound_bounds.py::"

HAZARDS: Final[Mapping[int, Shown]] = {
    33: {
        "session/receiving.py: one scope for all losses": (
            SESSION + "test_losses.py::test_a_session_survives_every_loss",
            REAL + "test_client.py::test_any_number_of_losses",
        ),
    },
    34: {
        "wire/dialling/attempts.py: every connection is a success": (
            SESSION + "test_losses.py::test_only_a_connection_that_held_starts_the_attempts_anew",
            "tests/wire/test_dialling.py::test_failures_and_short_connections_count_alike",
            "tests/bus/test_proxy_reconnect.py::test_a_server_that_drops_at_once_is_not_hammered",
            "tests/bus/test_proxy_reconnect.py::test_a_server_that_accepts_and_drops_is_given_up",
        ),
    },
    35: {
        "wire/accepting/leaving.py: goodbye is left to the handlers": (
            REAL + "test_server_leaving.py::test_no_handler_keeps_a_caller_from_hearing_it",
        ),
        "hosting/server.py: so it is under serve_asgi": (
            ASGI + "test_asgi_exits.py::test_a_handler_in_a_shield_keeps_nobody_from_hearing_1001",
        ),
        "session/run.py: on_peer_gone cancels nobody": (
            SESSION + "test_edges.py::test_the_handler_ends_with_its_peer",
        ),
        "transports/server.py: max_sessions counts handlers": (
            REAL + "test_server.py::test_a_handler_that_never_returns_takes_no_place",
        ),
    },
    36: {
        "wire/accepting/signals.py: nobody is told of a signal": (
            "tests/real/leaving/test_signals.py::test_a_server_flushes_says_goodbye_and_exits_with_0",
            "tests/real/leaving/test_signals_asgi.py::test_the_fastapi_program_flushes_says_goodbye_and_exits_with_0",
        ),
    },
    37: {
        "hosting/boundary.py: SystemExit passes": (
            ASGI + "test_asgi_exits.py::test_what_leaves_a_handler_ends_that_call",
        ),
    },
    38: {
        "session/unread.py: no bound in bytes for what is not audio": (
            BOUNDS + "test_documents_of_many_small_values_end_the_session",
        ),
        "session/unread.py: nor for audio": (BOUNDS + "test_audio_alone_is_held_in_bytes",),
        "session/sizes.py: a document counts as one object": (
            BOUNDS + "test_documents_of_many_small_values_end_the_session",
            BOUNDS + "test_a_frames_size_is_about_what_it_takes",
        ),
    },
    39: {
        "session/inbound.py: what a header says is not checked": (
            BOUNDS + "test_a_rate_in_a_wav_header_meets_the_same_bounds",
        ),
    },
    40: {
        "serializers/codec.py: a document's parts are not counted": (
            "tests/serializers/test_codec.py::test_the_parts_of_a_document_are_bounded",
        ),
        "serializers/converters.py: nor the images of a sprite": (
            "tests/serializers/test_json.py::test_a_sprite_has_a_bounded_number_of_images",
        ),
        "session/inbound.py: nor the WAV headers of a message": (
            BOUNDS + "test_a_message_of_many_headers_is_malformed",
        ),
    },
    41: {
        "hosting/h2.py: neither runs nor resets are counted": (
            ASGI + "test_asgi_h2_floods.py::test_too_many_resets_are_sent_away",
            ASGI + "test_asgi_h2_floods.py::test_living_runs_are_bounded",
        ),
        "hosting/h2.py: a stream reset at once is begun": (
            ASGI + "test_asgi_h2_floods.py::test_a_stream_reset_at_once_starts_nothing",
        ),
    },
    42: {
        "hosting/h1.py: h2c is taken": (ASGI + "test_asgi_strict.py::test_an_upgrade_to_h2c_is_ignored",),
        "hosting/patience.py: a body may take for ever": (ASGI + "test_asgi_strict.py::test_a_slow_body_ends",),
        "wire/answering.py: HTTP/1.0, two keys, a body": (
            ASGI + "test_asgi_strict.py::test_a_request_with_a_fault_gets_a_status",
            "tests/real/wire/test_direct_handshake.py::test_what_is_refused",
        ),
    },
    43: {
        "session/track.py: silence that fills a gap is not missed": (
            SESSION + "test_stalls.py::test_after_a_hole_it_is_as_quick_as_before",
            SESSION + "test_stalls.py::test_after_twenty_random_holes",
            REAL + "test_holes.py::test_after_twenty_random_holes",
        ),
    },
    44: {
        "session/run.py: what is unread stays": (BOUNDS + "test_events_that_are_kept_keep_no_frames",),
        "session/outbound.py: so does the wire": (
            SESSION + "test_edges.py::test_an_event_that_is_kept_keeps_no_connection",
        ),
        "bus/proxy/link.py: so does the exception that ended it": (
            "tests/bus/test_proxy_reconnect.py::test_events_that_are_kept_keep_no_message",
        ),
    },
    45: {
        "bus/proxy/base.py: whatever a peer says of lifecycles comes in": (
            "tests/bus/test_proxy_trust.py::test_no_lifecycle_message_of_a_peer_reaches_the_shared_worker",
            "tests/real/bus/test_hostile_peer.py::test_no_lifecycle_message_of_a_peer_stops_the_worker_for_others",
        ),
    },
    46: {
        "bus/proxy/link.py: what is not known counts as malformed": (
            "tests/bus/test_proxy_strangers.py::test_frames_that_are_not_known_end_no_link",
            "tests/bus/test_proxy_strangers.py::test_messages_that_are_not_known_end_no_link_either",
        ),
    },
    47: {
        "wire/accepting/hosts.py: any Host is right": (
            "tests/real/demo/test_self_test.py::test_a_page_of_another_site_reads_nothing",
        ),
        "wire/accepting/admission.py: any origin is, where none is named": (
            "tests/wire/accepting/test_admission.py::test_origins_by_default",
        ),
        "wire/peer.py: headers are shown": ("tests/foundation/test_showing.py::test_no_secret_is_shown",),
    },
    48: {
        "../pyproject.toml: protobuf from 5.29.0": (
            "tests/foundation/test_advisories.py::test_no_lower_bound_lets_a_known_hole_in",
        ),
    },
    49: {
        "session/output.py: an EndFrame ends the output only": (
            SESSION + "test_farewell.py::test_an_end_frame_ends_the_call",
            SESSION + "test_farewell.py::test_a_cancel_frame_ends_the_call_at_once",
            SESSION + "test_farewell.py::test_the_call_is_hung_up_though_the_handler_goes_on",
        ),
    },
    50: {
        "pipeline/link.py: only audio is dropped, or nothing": (
            "tests/pipeline/test_turns.py::test_a_streaming_bot_forgets_its_old_answer",
        ),
    },
    51: {
        "session/output.py: what is no frame is taken": (SESSION + "test_doors.py::test_what_is_no_frame_is_refused",),
        "session/output.py: keys without a message vanish": (SESSION + "test_doors.py::test_keys_are_heard_as_tones",),
    },
    52: {
        "agent/conversation.py: the wait counts during one's own speech": (
            "tests/agent/test_receiving.py::test_the_time_counts_from_the_end_of_ones_own_speech",
        ),
    },
    53: {
        "wire/running.py: trio's own error": (
            "tests/foundation/test_other_loops.py::test_asyncio_is_told_of",
            ASGI + "test_asgi_loops.py::test_an_asyncio_server_is_told_of",
        ),
        "wire/asgi_sources.py: Litestar's state is not looked at, Quart is not known": (
            ASGI + "test_asgi_frameworks.py::test_a_frameworks_socket_holds_a_session",
        ),
    },
    54: {
        "wire/memory.py: no send_now, or one that overtakes what was begun": (
            "tests/wire/test_contract.py::test_the_memory_wire_that_sends_now",
        ),
    },
}


@cache
def functions_of(path: Path) -> Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {each.name: each for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def asserts(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it can fail by itself: it asserts, expects an exception, or fails by name."""
    words = {"raises", "fail", "fail_after", "check_wire", "check_secret"}
    called = {
        getattr(each.func, "attr", getattr(each.func, "id", ""))
        for each in ast.walk(test)
        if isinstance(each, ast.Call)
    }
    return any(isinstance(each, ast.Assert) for each in ast.walk(test)) or bool(words & called)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_hazard_is_shown(number: int) -> None:
    """The tests named for it are there, say what they show, can fail, and are neither skipped nor expected to."""
    for fault, tests in HAZARDS[number].items():
        assert (ROOT / "trio_transports" / fault.partition(":")[0]).is_file()
        assert tests
        for name in tests:
            path, _, function = name.partition("::")
            test = functions_of(ROOT / path)[function]
            marks = " ".join(map(ast.unparse, test.decorator_list))
            assert ast.get_docstring(test), name
            assert asserts(test), name
            assert "xfail" not in marks, name
            assert "skip" not in marks, name


def test_no_other_hazard_is_named() -> None:
    """The table is about those, and no test is named for the same fault twice."""
    assert tuple(HAZARDS) == NUMBERS
    for faults in HAZARDS.values():
        for tests in faults.values():
            assert len(set(tests)) == len(tests)
