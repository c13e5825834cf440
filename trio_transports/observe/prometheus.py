"""A server's figures as Prometheus reads them (extra ``metrics``).

=============================================  ====================================================================
name                                           what it is
=============================================  ====================================================================
``trio_transports_sessions``                   calls at this moment
``trio_transports_sessions_begun_total``       calls so far
``trio_transports_sessions_ended_total``       by ``initiator``: local, remote, error
``trio_transports_connections``                at this moment, those included that are no call
``trio_transports_let_in_total``               WebSockets that were accepted
``trio_transports_turned_away_total``          by ``cause``: what ``hosting.callers`` tells
``trio_transports_timeouts_total``             by ``limit``: session, idle
``trio_transports_reconnections_total``        attempts of a reconnecting client
``trio_transports_turn_latency_seconds``       histogram: from the user's last word to the bot's first audio
``trio_transports_messages_total``             by ``direction``: in, out; WebSocket messages
``trio_transports_bytes_total``                by ``direction``; of text messages their characters
``trio_transports_audio_seconds_total``        by ``direction``
``trio_transports_audio_dropped_seconds_total``  by ``direction``: not read in time; interrupted, or left out
``trio_transports_audio_queued_seconds``       audio that waits to leave at this moment
``trio_transports_frames_dropped_total``       by ``kind`` of frame
``trio_transports_messages_refused_total``     by ``cause``: malformed, ignored, unsupported
``trio_transports_interruptions_total``        by the user's speech, or the bot's own wish
``trio_transports_pacing_error_seconds``       summary: by how much chunks of the bot's audio left too late
``trio_transports_pacing_error_max_seconds``   the largest of these so far
``trio_transports_late_resets_total``          how often the audio clock had to give up its schedule
``trio_transports_silence_chunks_total``       chunks of silence that filled gaps
``trio_transports_pictures_total``             by ``outcome``: sent, dropped, received, overtaken (unread)
``trio_transports_process_…``                  by ``process``: its CPU seconds, memory, open files, tasks, uptime
=============================================  ====================================================================
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, final

from attrs import frozen

from .._extras import require
from ..session.statistics import Statistics
from .figures import BOUNDS_S, Histogram, ServerFigures
from .process import ProcessFigures

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["CONTENT_TYPE", "metrics_text"]

_prometheus = require("prometheus_client", extra="metrics", needed_by="trio_transports.observe.prometheus")
_core = require("prometheus_client.core", extra="metrics", needed_by="trio_transports.observe.prometheus")

CONTENT_TYPE: Final[str] = _prometheus.CONTENT_TYPE_LATEST
"""What an answer with this text says of its type."""
PREFIX: Final = "trio_transports"


@final
@frozen(eq=False)
class _Collector:
    """What prometheus-client asks for."""

    figures: ServerFigures
    processes: Sequence[ProcessFigures]

    def collect(self) -> "Iterator[Metric]":
        figures, totals = self.figures, self.figures.totals
        yield _gauge("sessions", "Calls at this moment", figures.sessions)
        yield _counter("sessions_begun", "Calls so far", figures.sessions_begun)
        yield _counters("sessions_ended", "Calls that have ended", "initiator", figures.sessions_ended)
        yield _gauge("connections", "Connections at this moment", figures.connections)
        yield _counter("let_in", "WebSockets that were accepted", figures.let_in)
        yield _counters("turned_away", "Callers that were not let in, or were sent away", "cause", figures.turned_away)
        yield _counters("timeouts", "Limits that calls have passed", "limit", figures.timeouts)
        yield _counter("reconnections", "Attempts to connect again", figures.reconnections_tried)
        yield _histogram("turn_latency_seconds", "From the user's last word to the bot's first", figures.turn_latency)
        yield from _of_sessions(totals)
        yield from _of_processes(self.processes)


def metrics_text(figures: ServerFigures, processes: Sequence[ProcessFigures] = ()) -> bytes:
    """Write figures as Prometheus' text, ``CONTENT_TYPE``.

    ``processes`` adds memory and CPU time of each, as ``process_figures`` gives them.
    """
    registry = _prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(figures, processes))
    text: bytes = _prometheus.generate_latest(registry)
    return text


def _of_sessions(totals: Statistics) -> "Iterator[Metric]":
    ways = "direction"
    messages = {"in": totals.messages_received, "out": totals.messages_sent}
    yield _counters("messages", "WebSocket messages", ways, messages)
    yield _counters("bytes", "Bytes of messages", ways, {"in": totals.bytes_received, "out": totals.bytes_sent})
    audio = {"in": totals.audio_received_s, "out": totals.audio_sent_s}
    yield _counters("audio_seconds", "Audio, by its own length", ways, audio)
    dropped = {"in": totals.audio_in_dropped_s, "out": totals.audio_out_dropped_s}
    yield _counters("audio_dropped_seconds", "Audio that was dropped", ways, dropped)
    yield _gauge("audio_queued_seconds", "Audio that waits to leave", totals.audio_queued_s)
    yield _counters("frames_dropped", "Frames dropped by an interruption", "kind", totals.dropped_by_kind)
    refused = {
        "malformed": totals.malformed_messages,
        "ignored": totals.ignored_messages,
        "unsupported": totals.unsupported_frames,
    }
    yield _counters("messages_refused", "What could not be understood, or said", "cause", refused)
    yield _counter("interruptions", "The bot was interrupted", totals.interruptions)
    yield _core.SummaryMetricFamily(
        f"{PREFIX}_pacing_error_seconds",
        "By how much chunks of audio left too late",
        count_value=totals.chunks_paced,
        sum_value=totals.pacing_error_s,
    )
    yield _gauge("pacing_error_max_seconds", "The largest pacing error so far", totals.pacing_error_max_s)
    yield _counter("late_resets", "The audio clock gave up its schedule", totals.late_resets)
    yield _counter("silence_chunks", "Silence that filled gaps", totals.silence_chunks)
    pictures = {
        "sent": totals.pictures_sent,
        "dropped": totals.pictures_dropped,
        "received": totals.pictures_received,
        "overtaken": totals.pictures_in_dropped,
    }
    yield _counters("pictures", "Pictures", "outcome", pictures)


def _of_processes(processes: Sequence[ProcessFigures]) -> "Iterator[Metric]":
    def told(name: str, help_text: str, values: Iterable[tuple[int, float | None]]) -> "Metric":
        family = _core.GaugeMetricFamily(f"{PREFIX}_process_{name}", help_text, labels=["process"])
        for pid, value in values:
            if value is not None:
                family.add_metric([str(pid)], value)
        return family  # type: ignore[no-any-return]  # imported by name

    yield told("cpu_seconds", "CPU time", ((each.pid, each.cpu_s) for each in processes))
    yield told("memory_bytes", "Resident memory", ((each.pid, each.memory_bytes) for each in processes))
    yield told("open_files", "Open descriptors", ((each.pid, each.open_files) for each in processes))
    yield told("tasks", "Tasks of its trio run", ((each.pid, each.tasks) for each in processes))
    yield told("uptime_seconds", "Since it began", ((each.pid, each.uptime_s) for each in processes))


def _gauge(name: str, help_text: str, value: float) -> "Metric":
    return _core.GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)  # type: ignore[no-any-return]


def _counter(name: str, help_text: str, value: float) -> "Metric":
    return _core.CounterMetricFamily(f"{PREFIX}_{name}", help_text, value=value)  # type: ignore[no-any-return]


def _counters(name: str, help_text: str, label: str, values: Mapping[str, float]) -> "Metric":
    family = _core.CounterMetricFamily(f"{PREFIX}_{name}", help_text, labels=[label])
    for named, value in sorted(values.items()):
        family.add_metric([named], value)
    return family  # type: ignore[no-any-return]


def _histogram(name: str, help_text: str, told: Histogram) -> "Metric":
    bounds = (*map(str, BOUNDS_S), "+Inf")
    buckets = list(zip(bounds, accumulate(told.counts), strict=True))
    return _core.HistogramMetricFamily(  # type: ignore[no-any-return]
        f"{PREFIX}_{name}", help_text, buckets=buckets, sum_value=told.sum_s
    )
