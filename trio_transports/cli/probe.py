"""``probe``: what a server is like from here: connecting, round trip, jitter, closing.

Rules
1. Round trips are WebSocket pings, which every server answers. One not answered within ``PONG_TIMEOUT_S`` is lost.
2. With audio: that many seconds of a soft tone leave as frames, in pace; what comes back as audio is timed.
3. At the end the server is told 1000, and has ``CLOSE_TIMEOUT_S`` to answer.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, cast, final

import numpy as np
import trio
import trio_websocket
from attrs import define, field, frozen

from ..audio.format import AudioFormat
from ..demo.timing import Arrivals, in_ms, spread_ms
from ..errors import ConnectionClosed, RemoteProtocolError, TransportError
from ..frames import AudioFrame, JSONValue
from ..serializers.protocol import FrameSerializer
from ..wire.dialling import Address, dial
from ..wire.peer import Peer
from ..wire.protocol import Wire
from ..wire.settings import WireSettings
from ..wire.trio_websocket import connect_wire
from .dialects import make_serializer
from .dialling import header_map, parse_url, tls
from .failure import run as run_trio
from .progress import progress

PONG_TIMEOUT_S: Final = 2.0
CLOSE_TIMEOUT_S: Final = 2.0
FRAME_S: Final = 0.02
_FRAMES_PER_LINE: Final = 10
_AFTER_S: Final = 1.0
"""How long after the last audio sent an echo may still come."""


class Pinging(Protocol):
    async def ping(self) -> None: ...


@final
@frozen(kw_only=True)
class ProbePlan:
    address: Address
    headers: Sequence[tuple[str, str]]
    ca_file: str | None
    connect_timeout_s: float
    pings: int
    interval_s: float
    audio_s: float
    serializer: FrameSerializer
    audio_format: AudioFormat

    @property
    def frames(self) -> int:
        return math.ceil(round(self.audio_s / FRAME_S, 6))


@final
@define(eq=False)
class Probe:
    """One look at one server."""

    plan: ProbePlan
    tell: Callable[[str], None]
    """Shows how far it is."""
    connect_s: float = field(default=0.0, init=False)
    handshake_s: float = field(default=0.0, init=False)
    round_trips_s: list[float] = field(factory=list, init=False)
    lost: int = field(default=0, init=False)
    messages: int = field(default=0, init=False)
    malformed: int = field(default=0, init=False)
    echoes: Arrivals = field(factory=Arrivals, init=False)
    audio_started_at_s: float = field(default=0.0, init=False)
    close_s: float | None = field(default=None, init=False)
    ended_early: ConnectionClosed | None = field(default=None, init=False)
    peer: Peer | None = field(default=None, init=False)
    """The server, once it was reached."""

    async def run(self) -> None:
        plan = self.plan
        context = tls(plan.address, plan.ca_file)
        header_map(plan.headers)
        started_at_s = trio.current_time()
        self.tell(f"connecting to {plan.address} ...")
        with trio.CancelScope(deadline=started_at_s + plan.connect_timeout_s) as limit:
            stream = await dial(plan.address, context)
            dialled_at_s = trio.current_time()
            self.connect_s = dialled_at_s - started_at_s
            async with connect_wire(
                stream,
                url=str(plan.address),
                host=plan.address.host_header,
                resource=plan.address.resource,
                headers=plan.headers,
                settings=WireSettings(ping_interval_s=None),
            ) as wire:
                limit.deadline = math.inf
                self.handshake_s = trio.current_time() - dialled_at_s
                self.peer = wire.peer
                await self._look(wire)
        if limit.cancelled_caught:
            raise TransportError(f"no connection to {plan.address} within {plan.connect_timeout_s:g} s")

    async def _look(self, wire: Wire) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, wire, nursery.cancel_scope)
            try:
                await self._ping(cast("Pinging", wire))
                if self.plan.audio_s:
                    await self._talk(wire)
            except ConnectionClosed as exc:
                self.ended_early = exc
            except trio_websocket.ConnectionClosed:
                await trio.sleep_forever()  # a ping into a closed connection; the receiver tells how it ended
            if self.ended_early is None:
                started_at_s = trio.current_time()
                with trio.move_on_after(CLOSE_TIMEOUT_S) as limit:
                    await wire.aclose(1000, "")
                if not limit.cancelled_caught:
                    self.close_s = trio.current_time() - started_at_s
            nursery.cancel_scope.cancel()

    async def _receive(self, wire: Wire, scope: trio.CancelScope) -> None:
        while True:
            try:
                message = await wire.receive()
            except ConnectionClosed as exc:
                if exc.initiator != "local":
                    self.ended_early = exc
                    scope.cancel()
                return
            self.messages += 1
            if self.plan.audio_s:
                self._decode(message)

    def _decode(self, message: str | bytes) -> None:
        try:
            frames = self.plan.serializer.decode(message)
        except RemoteProtocolError:
            self.malformed += 1
            return
        for frame in frames:
            if isinstance(frame, AudioFrame):
                self.echoes.add(trio.current_time(), frame.duration_s)

    async def _ping(self, wire: Pinging) -> None:
        for number in range(self.plan.pings):
            self.tell(f"ping {number + 1} of {self.plan.pings} ...")
            if number:
                await trio.sleep(self.plan.interval_s)
            started_at_s = trio.current_time()
            with trio.move_on_after(PONG_TIMEOUT_S) as limit:
                await wire.ping()
            if limit.cancelled_caught:
                self.lost += 1
            else:
                self.round_trips_s.append(trio.current_time() - started_at_s)

    async def _talk(self, wire: Wire) -> None:
        samples = self.plan.audio_format.samples_in(FRAME_S)
        rate = self.plan.audio_format.sample_rate
        self.audio_started_at_s = trio.current_time()
        for number in range(self.plan.frames):
            if number % _FRAMES_PER_LINE == 0:
                self.tell(f"audio {number * FRAME_S:.1f} of {self.plan.audio_s:.1f} s ...")
            await trio.sleep_until(self.audio_started_at_s + number * FRAME_S)
            frame = AudioFrame(audio=_tone(number * samples, samples, rate), sample_rate=rate)
            for message in self.plan.serializer.encode(frame):
                await wire.send(message)
        # The echo of the last frame is still to come, if there is an echo at all.
        until_s = trio.current_time() + _AFTER_S
        while self.echoes.audio_s < self.plan.audio_s and trio.current_time() < until_s:  # noqa: ASYNC110 - two ends
            await trio.sleep(FRAME_S)

    def report(self) -> dict[str, JSONValue]:
        peer = self.peer
        report: dict[str, JSONValue] = {
            "ok": self.ended_early is None and self.lost == 0,
            "url": self.plan.address.url,
            "peer": "" if peer is None else str(peer),
            "server": None if peer is None else peer.header("server"),
            "subprotocol": None if peer is None else peer.subprotocol,
            "connect_ms": in_ms(self.connect_s),
            "handshake_ms": in_ms(self.handshake_s),
            "pings": len(self.round_trips_s) + self.lost,
            "lost": self.lost,
            "messages_received": self.messages,
            "close_answered_ms": None if self.close_s is None else in_ms(self.close_s),
        }
        if self.round_trips_s:
            report["round_trip"] = dict(spread_ms(self.round_trips_s))
        if self.plan.audio_s:
            first_at_s = self.echoes.first_at_s
            report["audio"] = {
                "sent_s": round(self.plan.frames * FRAME_S, 3),
                "received_s": round(self.echoes.audio_s, 3),
                "frames": self.echoes.count,
                "first_ms": None if first_at_s is None else in_ms(first_at_s - self.audio_started_at_s),
                "jitter_ms": in_ms(self.echoes.jitter_s),
                "malformed_messages": self.malformed,
            }
        return report


def _tone(start: int, samples: int, rate: int) -> bytes:
    instants = np.arange(start, start + samples) / rate
    return (2000 * np.sin(2 * np.pi * 440 * instants)).astype("<i2").tobytes()


def run(
    *,
    url: str,
    headers: Sequence[tuple[str, str]],
    ca_file: str | None,
    connect_timeout: float,
    pings: int,
    interval: float,
    audio: float,
    serializer: str,
    rate: int,
    as_json: bool,
) -> int:
    audio_format = AudioFormat(rate)
    plan = ProbePlan(
        address=parse_url(url),
        headers=headers,
        ca_file=ca_file,
        connect_timeout_s=max(connect_timeout, 0.001),
        pings=pings,
        interval_s=interval,
        audio_s=audio,
        serializer=make_serializer(serializer, audio_format),
        audio_format=audio_format,
    )
    with progress() as tell:
        probe = Probe(plan, tell)
        run_trio(probe.run)
    report = probe.report()
    complaint = _complaint(probe)
    if as_json:
        print(json.dumps(report if complaint is None else report | {"error": complaint}))
    else:
        print(_in_words(report))
    if complaint is not None:
        print(f"trio-transports: {complaint}", file=sys.stderr)
        return 1
    return 0


def _complaint(probe: Probe) -> str | None:
    if probe.ended_early is not None:
        return f"the probe was cut short: {probe.ended_early}"
    if probe.lost:
        return f"{probe.lost} of {probe.plan.pings} pings were not answered within {PONG_TIMEOUT_S:g} s"
    return None


def _in_words(report: Mapping[str, JSONValue]) -> str:
    lines = [
        f"{report['url']} ({report['peer']}), server {report['server'] or 'unnamed'}, "
        f"subprotocol {report['subprotocol'] or 'none'}",
        f"connected   {report['connect_ms']} ms, then {report['handshake_ms']} ms for the handshake",
    ]
    match report.get("round_trip"):
        case {"least_ms": least, "median_ms": median, "p95_ms": p95, "most_ms": most, "jitter_ms": jitter}:
            lines.append(
                f"round trip  least {least}, median {median}, p95 {p95}, most {most} ms; jitter {jitter} ms; "
                f"{report['lost']} of {report['pings']} lost"
            )
    match report.get("audio"):
        case {"sent_s": sent, "frames": frames, "received_s": received, "first_ms": first, "jitter_ms": jitter}:
            came = f"{received} s came back in {frames} frames, the first after {first} ms, jitter {jitter} ms"
            lines.append(f"audio       {sent} s sent; {came if frames else 'none came back'}")
    lines.append(f"received    {report['messages_received']} messages")
    answered = report["close_answered_ms"]
    lines.append(f"closing     {'not answered' if answered is None else f'answered after {answered} ms'}")
    return "\n".join(lines)
