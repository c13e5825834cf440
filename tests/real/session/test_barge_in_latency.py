"""How long after a barge-in the last of the old answer arrives, on loopback, through a pipeline."""

from functools import partial

import numpy as np
import pytest
import trio

from trio_transports import (
    AudioFrame,
    Frame,
    InterruptionFrame,
    Session,
    UserStartedSpeakingFrame,
    WebsocketClientParams,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.pipeline import Pipeline, per_turn
from trio_transports.serializers import JSONFrameSerializer

pytestmark = pytest.mark.alone

RATE = 16000
ROUNDS = 100
GIVE = 4
PROMISED_MS = 20


def value(turn: int, duration_s: float) -> AudioFrame:
    return AudioFrame(audio=(turn + 1).to_bytes(2, "little") * round(duration_s * RATE), sample_rate=RATE)


async def bot(session: Session) -> None:
    """Answers each interruption with a long speech of the next value."""
    turns = 0

    async def talk(frame: Frame, output: trio.abc.SendChannel[Frame]) -> None:
        nonlocal turns
        if isinstance(frame, UserStartedSpeakingFrame):
            turns += 1
            while True:
                await output.send(value(turns, 0.1))

    await Pipeline([per_turn(talk)], allow_interruptions=True).run(session.input, session.output)


async def measure() -> tuple[list[float], list[float], int]:
    """The time from each barge-in to the last old audio, to the word that it is over; and what came after that."""
    last_old_s, told_s, late = [], [], 0
    params = {
        "serializer": JSONFrameSerializer(),
        "audio_in_enabled": True,
        "audio_out_enabled": True,
        "audio_out_10ms_chunks": 2,
        "audio_out_sample_rate": RATE,
    }
    async with trio.open_nursery() as nursery:
        server = WebsocketServerTransport(WebsocketServerParams(**params), host="127.0.0.1", port=0)  # type: ignore[arg-type]
        ready = await nursery.start(partial(server.serve, bot))
        client = WebsocketClientTransport(f"ws://127.0.0.1:{ready.port}", WebsocketClientParams(**params))  # type: ignore[arg-type]
        async with client.session() as session:
            await session.output.send(UserStartedSpeakingFrame())
            for turn in range(1, ROUNDS + 1):
                with trio.move_on_after(0.05 + 0.013 * (turn % 3)):
                    while True:
                        await session.input.receive()
                asked_at, old_at, is_over = trio.current_time(), trio.current_time(), False
                await session.output.send(UserStartedSpeakingFrame())
                async for frame in session.input:
                    now = trio.current_time()
                    if isinstance(frame, InterruptionFrame):
                        told_s.append(now - asked_at)
                        is_over = True
                    elif isinstance(frame, AudioFrame) and frame.audio:
                        spoken = int.from_bytes(frame.audio[:2], "little")
                        if spoken == turn + 2:
                            break
                        old_at = now
                        late += is_over
                last_old_s.append(old_at - asked_at)
        nursery.cancel_scope.cancel()
    return last_old_s, told_s, late


async def watch_lateness(over_s: list[float]) -> None:
    """Write down by how much this process is woken too late, all the while."""
    while True:
        due = trio.current_time() + 0.002
        await trio.sleep_until(due)
        over_s.append(trio.current_time() - due)


async def test_the_old_answer_ends_at_once() -> None:
    """Within the 20 ms that are promised, 99 times of 100, beyond what the machine is late; nothing comes after."""
    seen = []
    for _ in range(GIVE):
        over_s: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_lateness, over_s)
            last_old_s, told_s, late = await measure()
            nursery.cancel_scope.cancel()
        assert late == 0, "audio of the old turn after the word that it is over"
        old, told, busy = (1000 * float(np.percentile(each, 99)) for each in (last_old_s, told_s, over_s))
        seen.append(f"last old audio {old:.2f} ms, told {told:.2f}, machine {busy:.2f}")
        print("p99:", seen[-1])
        # Both processes' ends of the call are in this one: each wake-up on the way may be late.
        if old < PROMISED_MS + 2 * busy and told < PROMISED_MS + 2 * busy:
            return
    raise AssertionError(f"p99 of each run: {seen}")
