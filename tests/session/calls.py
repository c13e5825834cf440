"""A telephone call in virtual time, and the phone at its other end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define
from trio.testing import wait_all_tasks_blocked

from tests.real.telephony.phone import Phone, caller
from tests.real.telephony.sounds import tone
from trio_transports import (
    AudioFrame,
    Frame,
    Session,
    TransportParams,
)
from trio_transports._nursery import open_services
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.session.broadcast import Broadcast
from trio_transports.session.events import Event
from trio_transports.session.run import open_session
from trio_transports.testing import FrameRecorder, scripted
from trio_transports.testing.phones import PlayOrder, ScriptedLine
from trio_transports.wire.memory import memory_wire_pair

LINES: list[ScriptedLine] = [
    caller("twilio"),
    caller("telnyx"),
    caller("telnyx", code="PCMA"),
    caller("plivo"),
    caller("exotel"),
    caller("exotel", rate=24000),
    caller("vonage", rate=8000),
    caller("vonage"),
    caller("vonage", rate=24000),
]


lines = pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.name}-{line.code}-{line.rate}")


@define(eq=False)
class Call:
    session: Session
    phone: Phone
    recorder: FrameRecorder
    """What the handler has read."""

    async def play(self, duration_s: float, *, rate: int = 16000) -> None:
        await self.session.output.send(speech(duration_s, rate=rate))

    async def heard(self) -> list[Frame]:
        await wait_all_tasks_blocked()
        return [heard.frame for heard in self.recorder.heard]


@asynccontextmanager
async def call(line: ScriptedLine | None = None, **changes: object) -> AsyncIterator[Call]:
    """A session and the phone at its other end, which has said nothing yet; what the session gives is read."""
    settings: dict[str, object] = {
        "serializer": TwilioFrameSerializer(),
        "audio_in_enabled": True,
        "audio_in_sample_rate": 16000,
        "audio_out_enabled": True,
        **changes,
    }
    near, far = memory_wire_pair(buffer_messages=1000, sends_now=scripted.SENDS_NOW)

    phone = Phone.on(far, caller("twilio") if line is None else line)
    recorder = FrameRecorder()
    events: Broadcast[Event] = Broadcast()
    async with open_services() as services:
        services.start_soon(phone.scripted.run, name="phone")
        async with open_session(near, TransportParams(**settings), events=events) as session:  # type: ignore[arg-type]
            services.start_soon(_record, recorder, session, name="reader")
            yield Call(session, phone, recorder)
        await phone.scripted.has_ended.wait()


async def _record(recorder: FrameRecorder, session: Session) -> None:
    try:
        await recorder.record(session.input)
    except trio.ClosedResourceError:
        return  # the body has returned


def speech(duration_s: float, *, rate: int = 16000, hz: float = 440) -> AudioFrame:
    return AudioFrame(audio=tone(hz, duration_s, rate), sample_rate=rate)


def played_at_s(phone: Phone) -> float:
    """When the phone has played what it was given, if it was given it in time."""
    last = phone.of(PlayOrder)[-1]
    assert isinstance(last.order, PlayOrder)
    return last.at_s + len(last.order.pcm) / 2 / phone.line.rate
