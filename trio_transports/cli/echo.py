"""``echo``: a server that says back what it hears, at the sample rate at which it heard it."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import final

import trio
from attrs import define, field

from ..audio.format import AudioFormat
from ..frames import AudioFrame, BotStartedSpeakingFrame, BotStoppedSpeakingFrame, Frame
from ..params import WebsocketServerParams
from ..pipeline import Pipeline
from ..playground.hall import describe
from ..serializers.protocol import AwaitsStart, FrameSerializer, Message
from ..session.events import Connected, Disconnected, Event
from ..session.session import Session
from ..transports.server import WebsocketServerTransport
from . import failure
from .dialects import make_serializer


@final
@define(eq=False)
class SameFormat:
    """A dialect without a format of its own, made to answer at the rate of the first audio it heard.

    The session asks for the format once the peer has announced its stream; here the first frame is the announcement.
    One that is not audio cannot wait for audio that may never come: then it is the format given.
    """

    _dialect: FrameSerializer
    _given: AudioFormat
    _heard: AudioFormat | None = field(default=None, init=False)
    is_ready: bool = field(default=False, init=False)

    @property
    def audio_format(self) -> AudioFormat | None:
        return self._heard

    def encode(self, frame: Frame) -> Sequence[Message]:
        return self._dialect.encode(frame)

    def decode(self, message: Message) -> Sequence[Frame]:
        frames = self._dialect.decode(message)
        if frames and not self.is_ready:
            first = next((frame for frame in frames if isinstance(frame, AudioFrame)), None)
            self._heard = self._given if first is None else AudioFormat(first.sample_rate, self._given.num_channels)
            self.is_ready = True
        return frames


def echoing(name: str, rate: int, channels: int) -> FrameSerializer:
    given = AudioFormat(rate, channels)
    dialect = make_serializer(name, given)
    if dialect.audio_format is None and not isinstance(dialect, AwaitsStart):
        return SameFormat(dialect, given)
    return dialect


def say_back(frame: Frame) -> Frame | None:
    """All but what the session itself tells of its own output."""
    return None if isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame) else frame


def run(*, host: str, port: int, serializer: str, rate: int, channels: int, once: bool, as_json: bool) -> int:
    echoing(serializer, rate, channels)  # a missing extra is told now, not to the first caller
    failure.run(
        partial(serve, host, port, partial(echoing, serializer, rate, channels), channels, once=once, as_json=as_json)
    )
    return 0


async def serve(
    host: str,
    port: int,
    serializer: Callable[[], FrameSerializer],
    channels: int,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Serve until SIGINT or SIGTERM, of which a second ends it at once. ``once``: until the first client has gone."""
    params = WebsocketServerParams(
        serializer=serializer,
        audio_in_channels=channels,
        audio_out_channels=channels,
        audio_in_enabled=True,
        audio_out_enabled=True,
        audio_out_10ms_chunks=2,
        # Silence of our own would not be what was heard.
        audio_out_auto_silence=False,
        audio_out_end_silence_secs=0,
    )
    transport = WebsocketServerTransport(params, host=host, port=port)
    pipeline = Pipeline([say_back])

    async def handler(session: Session) -> None:
        await pipeline.run(session.input, session.output)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell, transport.events(), transport, once, as_json)
        try:
            ready = await nursery.start(partial(transport.serve, handler, signals=True))
        except OSError as exc:
            raise failure.cannot_listen(exc, host, port) from exc
        address = f"ws://{_in_url(host)}:{ready.port}"
        if as_json:
            print(json.dumps({"event": "ready", "url": address, "port": ready.port}), flush=True)
        else:
            print(f"Echo on {address} (Ctrl-C ends it)", flush=True)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _tell(
    events: trio.abc.ReceiveChannel[Event], transport: WebsocketServerTransport, once: bool, as_json: bool
) -> None:
    async for event in events:
        match event:
            case Connected(session=session):
                told: dict[str, object] = {"event": "connected", "session": session.id, "peer": str(session.peer)}
            case Disconnected(session=session, code=code, reason=reason, initiator=initiator):
                statistics = session.statistics()
                told = {
                    "event": "disconnected",
                    "session": session.id,
                    "code": code,
                    "reason": reason,
                    "initiator": initiator,
                    "audio_received_s": statistics.audio_received_s,
                    "audio_sent_s": statistics.audio_sent_s,
                }
                if once:
                    transport.shutdown()
            case _:
                continue
        if as_json:
            print(json.dumps(told), flush=True)
        else:
            print(describe(event), file=sys.stderr, flush=True)
