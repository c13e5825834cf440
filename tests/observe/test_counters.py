"""A server's figures: what its sessions counted, those that have ended included, added up to the message."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from tests.session.hearing import Planned
from tests.session.helpers import params, seconds
from trio_transports import AudioFrame, MessageFrame, Reconnecting
from trio_transports.observe import (
    Histogram,
    ProcessFigures,
    ServerCounters,
    ServerFigures,
    TurnTaken,
    merged,
    process_figures,
)
from trio_transports.observe.figures import BOUNDS_S, Durations
from trio_transports.observe.prometheus import metrics_text
from trio_transports.session.broadcast import Broadcast, EventsLost
from trio_transports.session.events import Event
from trio_transports.session.statistics import Statistics
from trio_transports.testing import memory_session
from trio_transports.vad import SpeechEvent, SpeechStarted, SpeechStopped
from trio_transports.wire.accepting.callers import Callers


async def test_open_and_ended_sessions_add_up(autojump_clock: MockClock) -> None:
    """Three calls one after the other, and a fourth that is open: every message is counted once."""
    counters, hub = ServerCounters(), Broadcast[Event]()
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(counters.watch, hub.subscribe())
            for count in range(1, 5):
                async with memory_session(params(), events=hub) as (session, peer):
                    for _ in range(count):
                        await peer.send(MessageFrame(message={"a": 1}))
                        await session.input.receive()
                        await session.output.send_message({"b": 2})
                    await session.output.drain()
                    await trio.sleep(0.1)
                    figures = counters.figures()
                    assert figures.sessions == 1
                    assert figures.sessions_begun == count
                    assert figures.totals.messages_received == sum(range(count + 1))
                    assert figures.totals.messages_sent == sum(range(count + 1))
    after = counters.figures()
    assert (after.sessions, after.sessions_begun, after.sessions_ended) == (0, 4, {"local": 4})
    assert after.totals.messages_received == 10
    assert not counters._open


@pytest.mark.parametrize("buffer", [1, 5, 30])
async def test_ends_that_were_lost_are_counted(buffer: int, autojump_clock: MockClock) -> None:
    """Forty calls that end at once, twice over, and more than are told: none stays, each counts by how it ended."""
    counters, hub = ServerCounters(), Broadcast[Event]()
    beside = hub.subscribe(buffer)
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(counters.watch, hub.subscribe(buffer))
            for turn in (1, 2):
                over = trio.Event()
                async with trio.open_nursery() as calls:

                    async def call(*, is_lost: bool) -> None:
                        async with memory_session(params(), events=hub) as (session, peer):
                            await peer.send(MessageFrame(message={"a": 1}))
                            await session.input.receive()
                            await over.wait()  # noqa: B023 - of this turn
                            if is_lost:
                                peer.drop()
                                assert [frame async for frame in session.input] == []

                    for number in range(40):
                        calls.start_soon(partial(call, is_lost=number % 4 == 0))
                        await trio.sleep(0.1)
                    assert counters.figures().sessions == 40
                    over.set()
                await trio.sleep(0.1)
                figures = counters.figures()
                assert (figures.sessions, figures.sessions_begun) == (0, 40 * turn)
                assert figures.sessions_ended == {"local": 30 * turn, "error": 10 * turn}
                assert figures.totals.messages_received == 40 * turn
                assert not counters._open
    assert any([isinstance(event, EventsLost) async for event in beside])


async def test_turns_are_told_as_events_and_counted(autojump_clock: MockClock) -> None:
    """Two turns of a session whose dialect has no word for them: 0.7 s and 0.3 s."""
    plan: list[tuple[float, SpeechEvent]] = [
        (0.1, SpeechStarted(at_s=0.05)),
        (0.6, SpeechStopped(at_s=0.3)),
        (0.8, SpeechStarted(at_s=0.7)),
        (1.2, SpeechStopped(at_s=1.1)),
    ]
    counters, hub, told = ServerCounters(), Broadcast[Event](), list[float]()
    events = hub.subscribe()
    settings = params(audio_out_auto_silence=False, vad_enabled=True, vad_analyzer=Planned(plan))
    async with memory_session(settings, events=hub) as (session, peer):
        for _ in range(2):
            for _ in range(30):
                await trio.sleep(0.02)
                await peer.send(AudioFrame(audio=bytes(640), sample_rate=16000))
            await trio.sleep(0.4 if not told else 0.2)
            await session.output.send(seconds(0.1))
            await trio.sleep(1)
            told.append(0)
    turns = list[TurnTaken]()
    async for event in events:
        if isinstance(event, TurnTaken):
            turns.append(event)
        counters.note(event)
    assert [turn.session for turn in turns] == [session, session]
    assert [turn.latency_s for turn in turns] == pytest.approx([0.7, 0.3], abs=0.001)
    latency = counters.figures().turn_latency
    assert latency.count == 2
    assert latency.sum_s == pytest.approx(1.0, abs=0.002)


async def test_limits_that_calls_have_passed_are_counted(autojump_clock: MockClock) -> None:
    """Each idle timeout and each session timeout, whether that closes the call or not, of sessions that are over."""
    counters, hub = ServerCounters(), Broadcast[Event]()
    limits: list[dict[str, object]] = [
        {"idle_timeout": 1},
        {"session_timeout": 1, "session_timeout_action": "close"},
        {"session_timeout": 1, "session_timeout_action": "notify"},
    ]
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(counters.watch, hub.subscribe())
            for turn in (1, 2, 3):
                for limit in limits:
                    async with memory_session(params(**limit), events=hub):
                        await trio.sleep(3)
                await trio.sleep(0.1)
                figures = counters.figures()
                assert figures.timeouts == {"session": 2 * turn, "idle": turn}
                assert (figures.sessions, figures.sessions_begun) == (0, 3 * turn)


async def test_queued_audio_is_that_of_open_sessions(autojump_clock: MockClock) -> None:
    """What waits to leave is added up over the sessions, to the chunk; what was dropped at a call's end is not."""
    counters, hub = ServerCounters(), Broadcast[Event]()
    async with trio.open_nursery() as nursery:
        with hub.activity():
            nursery.start_soon(counters.watch, hub.subscribe())
            for _ in range(2):
                async with memory_session(params(), events=hub) as (first, _):
                    async with memory_session(params(drain_timeout=0.01), events=hub) as (second, _):
                        await first.output.send(seconds(2))
                        await second.output.send(seconds(5))
                        await trio.sleep(0.11)  # six chunks of each
                        assert counters.figures().totals.audio_queued_s == pytest.approx(1.88 + 4.88)
                    await trio.sleep(0.01)
                    assert counters.figures().totals.audio_queued_s == first.statistics().audio_queued_s > 1.5
                await trio.sleep(0.01)
                assert counters.figures().totals.audio_queued_s == 0


def test_what_the_server_and_its_clients_count_is_among_them() -> None:
    """Connections, those let in and turned away, as the server says at that moment; attempts to connect again."""
    now = [Callers(connections=3, let_in=5, turned_away={"limit": 2, "tls": 1})]
    counters = ServerCounters(lambda: now[-1])
    for turn in (1, 2):
        for attempt in (1, 2, 3):
            counters.note(Reconnecting(attempt, 0.5, OSError("lost")))
        figures = counters.figures()
        assert (figures.connections, figures.let_in, figures.turned_away, figures.reconnections_tried) == (
            now[-1].connections,
            now[-1].let_in,
            now[-1].turned_away,
            3 * turn,
        )
        now.append(Callers(connections=1, let_in=9, turned_away={"limit": 2, "tls": 4}))
    both = merged([figures, ServerFigures.of_json(json.loads(json.dumps(figures.to_json())))])
    assert (both.connections, both.let_in, both.turned_away) == (2, 18, {"limit": 4, "tls": 8})
    assert both.reconnections_tried == 12
    nobody = ServerCounters().figures()
    assert (nobody.connections, nobody.let_in, nobody.turned_away, nobody.reconnections_tried) == (0, 0, {}, 0)


def test_figures_travel_and_add_up() -> None:
    """Written as JSON and read again they are the same, and two of them are twice as much."""
    durations = Durations()
    for duration_s in (0.05, 0.1, 0.35, 99):
        durations.add(duration_s)
    histogram = durations.histogram()
    assert histogram.counts[0] == 2
    assert histogram.counts[-1] == 1
    one = ServerFigures(
        sessions=2, sessions_begun=5, sessions_ended={"local": 3}, timeouts={"idle": 1}, turn_latency=histogram
    )
    again = ServerFigures.of_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    both = merged([one, again])
    assert (both.sessions, both.sessions_begun, both.sessions_ended) == (4, 10, {"local": 6})
    slow, slower = (
        ServerFigures(totals=Statistics(chunks_paced=10, pacing_error_s=1.0, pacing_error_max_s=each))
        for each in (0.2, 0.3)
    )
    paced = merged([slow, slower]).totals
    assert (paced.chunks_paced, paced.pacing_error_s, paced.pacing_error_max_s) == (20, 2.0, 0.3)
    assert both.turn_latency == Histogram(tuple(2 * count for count in histogram.counts), 2 * histogram.sum_s)


def samples_of(figures: ServerFigures, processes: Sequence[ProcessFigures] = ()) -> dict[tuple[Any, ...], float]:
    """Each by its name, and its label with that one's value, if it has one."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics_text(figures, processes).decode())
        for sample in family.samples
    }


def test_prometheus_reads_them() -> None:
    """The text parses, counters end in _total, and the histogram's buckets grow up to its count."""
    durations = Durations()
    for duration_s in (0.05, 0.35, 0.35, 99):
        durations.add(duration_s)
    figures = ServerFigures(
        sessions=2,
        sessions_ended={"local": 3, "error": 1},
        turn_latency=durations.histogram(),
        totals=Statistics(
            chunks_paced=100,
            pacing_error_s=0.25,
            pacing_error_max_s=0.04,
            audio_queued_s=1.5,
            pictures_sent=4,
            pictures_dropped=3,
            pictures_received=2,
            pictures_in_dropped=1,
        ),
        connections=4,
        let_in=7,
        turned_away={"limit": 3},
        timeouts={"idle": 2},
        reconnections_tried=6,
    )
    samples = samples_of(figures)
    assert samples["trio_transports_sessions",] == 2
    assert samples["trio_transports_sessions_ended_total", ("initiator", "error")] == 1
    assert samples["trio_transports_audio_queued_seconds",] == 1.5
    assert samples["trio_transports_connections",] == 4
    assert samples["trio_transports_let_in_total",] == 7
    assert samples["trio_transports_turned_away_total", ("cause", "limit")] == 3
    assert samples["trio_transports_timeouts_total", ("limit", "idle")] == 2
    assert samples["trio_transports_reconnections_total",] == 6
    assert samples["trio_transports_turn_latency_seconds_count",] == 4
    assert samples["trio_transports_pacing_error_seconds_count",] == 100
    assert samples["trio_transports_pacing_error_seconds_sum",] == 0.25
    assert samples["trio_transports_pacing_error_max_seconds",] == 0.04
    pictures = {key[1][1]: value for key, value in samples.items() if key[0] == "trio_transports_pictures_total"}
    assert pictures == {"sent": 4, "dropped": 3, "received": 2, "overtaken": 1}
    buckets = [samples["trio_transports_turn_latency_seconds_bucket", ("le", str(bound))] for bound in BOUNDS_S]
    assert buckets == sorted(buckets)
    assert buckets[0] == 1
    assert samples["trio_transports_turn_latency_seconds_bucket", ("le", "+Inf")] == 4


def test_each_count_has_its_own_name() -> None:
    """No two are the same, so that none could stand in another's place."""
    figures = ServerFigures(
        sessions_begun=19,
        totals=Statistics(
            bytes_received=1,
            bytes_sent=2,
            audio_in_dropped_s=3,
            audio_out_dropped_s=4,
            dropped_by_kind={"TextFrame": 5, "MessageFrame": 9},
            malformed_messages=6,
            ignored_messages=7,
            unsupported_frames=8,
            messages_received=10,
            messages_sent=11,
            audio_received_s=12,
            audio_sent_s=13,
            interruptions=14,
            late_resets=15,
            silence_chunks=16,
        ),
    )
    samples = samples_of(figures)

    def by(label: str, name: str) -> dict[str, float]:
        found = {key[1]: value for key, value in samples.items() if key[0] == f"trio_transports_{name}"}
        assert {named for named, _ in found} == {label}
        return {labelled: value for (_, labelled), value in found.items()}

    assert by("direction", "bytes_total") == {"in": 1, "out": 2}
    assert by("direction", "audio_dropped_seconds_total") == {"in": 3, "out": 4}
    assert by("kind", "frames_dropped_total") == {"TextFrame": 5, "MessageFrame": 9}
    assert by("cause", "messages_refused_total") == {"malformed": 6, "ignored": 7, "unsupported": 8}
    assert by("direction", "messages_total") == {"in": 10, "out": 11}
    assert by("direction", "audio_seconds_total") == {"in": 12, "out": 13}
    assert samples["trio_transports_interruptions_total",] == 14
    assert samples["trio_transports_late_resets_total",] == 15
    assert samples["trio_transports_silence_chunks_total",] == 16
    assert samples["trio_transports_sessions_begun_total",] == 19


async def test_each_process_is_told_under_its_number(autojump_clock: MockClock) -> None:
    """This one's CPU time, memory, files, tasks and age, none of which is nothing; what is not known is left out."""
    this = process_figures()
    other = ProcessFigures(pid=this.pid + 1, uptime_s=1, cpu_s=2, memory_bytes=None, open_files=None, tasks=3)
    samples = samples_of(ServerFigures(), [this, other])
    told = {
        (name.removeprefix("trio_transports_process_"), label[1]): value
        for (name, *labels), value in samples.items()
        for label in labels
        if label[0] == "process"
    }
    pid, others = str(this.pid), str(other.pid)
    assert told == {
        ("cpu_seconds", pid): this.cpu_s,
        ("memory_bytes", pid): this.memory_bytes,
        ("open_files", pid): this.open_files,
        ("tasks", pid): this.tasks,
        ("uptime_seconds", pid): this.uptime_s,
        ("cpu_seconds", others): 2,
        ("tasks", others): 3,
        ("uptime_seconds", others): 1,
    }
    assert min(told.values()) > 0
