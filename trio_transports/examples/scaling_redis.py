"""Callers on one voice server, bots in processes of their own behind it, joined by Redis.

A bot that dies in mid-sentence is noticed within half a second, and another one goes on from where it was: the caller
hears a pause. Start a redis-server, then, each in a terminal of its own::

    python -m trio_transports.examples.scaling_redis bot redis://127.0.0.1 bot-1
    python -m trio_transports.examples.scaling_redis bot redis://127.0.0.1 bot-2
    python -m trio_transports.examples.scaling_redis edge redis://127.0.0.1 8765 bot-1 bot-2

and call ``ws://127.0.0.1:8765`` with JSON frames: each text is answered word by word, with a beep to each.
"""

import math
import struct
import sys
from collections.abc import Sequence
from functools import partial

import trio
from attrs import define

from trio_transports import AudioFrame, ServerReady, Session, TextFrame, WebsocketServerParams, WebsocketServerTransport
from trio_transports.bus import JobRequest, Worker, WorkerGoneError, WorkerRunner, job
from trio_transports.bus.redis import RedisBus
from trio_transports.serializers import JSONFrameSerializer

RATE = 16_000
WORD_S = 0.1
HEARTBEAT_S = 0.15
"""A runner that is not heard of for three of these is counted as gone."""


def beep(number: int) -> bytes:
    """A tenth of a second, higher with each word."""
    step = 2 * math.pi * (440 + 40 * (number % 12)) / RATE
    samples = (int(6000 * math.sin(step * index)) for index in range(int(RATE * WORD_S)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


class Bot(Worker):
    """Answers a text word by word. It keeps nothing of a call: what it needs to go on comes with the job."""

    @job("answer")
    async def answer(self, request: JobRequest) -> None:
        words = str(request.payload["text"]).split()
        begin = int(str(request.payload["from"]))
        for number in range(begin, len(words)):
            await request.send_stream_data({"number": number, "word": words[number], "audio": beep(number)})
            await trio.sleep(WORD_S)
        await request.send_stream_end()


@define(eq=False, repr=False, slots=False)  # as Worker itself
class Edge(Worker):
    """Gives what callers say to a bot, and what the bot says to the caller, each word once."""

    bots: list[str]
    """Whom it may ask, in turn."""

    def next_bot(self) -> str:
        """Each in turn, of those that are there; with none there, the job waits for the first."""
        self.bots.append(self.bots.pop(0))
        return next((bot for bot in self.bots if bot in self.registry), self.bots[0])

    async def serve(self, session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, TextFrame):
                await self.answer(frame.text, session)

    async def answer(self, text: str, session: Session) -> None:
        said = 0
        while True:
            bot = self.next_bot()
            try:
                async with self.job(bot, "answer", {"text": text, "from": said}) as asked:
                    async for event in asked:
                        if event.type == "stream_data" and event.data and event.data["number"] == said:
                            said += 1
                            await session.output.send(TextFrame(text=f"{bot} {said} {event.data['word']}"))
                            audio = event.data["audio"]
                            if isinstance(audio, bytes):
                                await session.output.send(AudioFrame(audio=audio, sample_rate=RATE))
            except WorkerGoneError as exc:
                print(f"{exc}; another bot goes on", file=sys.stderr, flush=True)
            else:
                return


async def run_bot(url: str, name: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    runner = WorkerRunner(f"runner of {name}", bus=RedisBus(url), heartbeat=HEARTBEAT_S)
    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, Bot(name))
        print(f"{name} answers", flush=True)
        task_status.started()


async def run_edge(
    url: str, port: int, bots: Sequence[str], *, task_status: trio.TaskStatus[ServerReady] = trio.TASK_STATUS_IGNORED
) -> None:
    edge = Edge("edge", list(bots))
    runner = WorkerRunner("runner of edge", bus=RedisBus(url), heartbeat=HEARTBEAT_S)
    params = WebsocketServerParams(
        audio_in_enabled=True, audio_out_enabled=True, audio_out_sample_rate=RATE, serializer=JSONFrameSerializer()
    )
    server = WebsocketServerTransport(params, host="127.0.0.1", port=port)

    async def until_told(*, task_status: trio.TaskStatus[ServerReady]) -> None:
        await server.serve(edge.serve, signals=True, task_status=task_status)
        runner.end()

    async with trio.open_nursery() as nursery:
        await nursery.start(runner.run, edge)
        ready = await nursery.start(until_told)
        print(f"listening on {ready.port}", flush=True)
        task_status.started(ready)


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["bot", url, name]:
            trio.run(run_bot, url, name)
        case ["edge", url, port, *bots] if bots:
            trio.run(partial(run_edge, url, int(port), bots))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
