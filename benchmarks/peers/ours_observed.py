"""Our direct server with an observer of its turns, its counters watched, and its metrics asked for each second."""

from functools import partial

import trio

from trio_transports import WebsocketServerTransport
from trio_transports.observe import ServerCounters, TurnTaken, process_figures
from trio_transports.observe.prometheus import metrics_text

from .ours_server import main

SCRAPED_EACH_S = 1.0
"""Fifteen times as often as Prometheus asks by default."""


async def observe(transport: WebsocketServerTransport) -> None:
    """Until cancelled."""
    counters, latencies_s = ServerCounters(callers=transport.callers), list[float]()

    async def note_turns() -> None:
        async for event in transport.events():
            if isinstance(event, TurnTaken):
                latencies_s.append(event.latency_s)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(counters.watch, transport.events())
        nursery.start_soon(note_turns)
        while True:
            await trio.sleep(SCRAPED_EACH_S)
            metrics_text(counters.figures(), [process_figures()])


if __name__ == "__main__":
    trio.run(partial(main, "direct", observe=observe))
