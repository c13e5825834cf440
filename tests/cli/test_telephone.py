"""What a telephone tells by itself: marks, each when it was played, or when it was cleared."""

import trio
from trio.testing import MockClock

from trio_transports.cli.telephone import MarkTeller
from trio_transports.frames import Frame, InterruptionFrame, MarkFrame
from trio_transports.params import TransportParams
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import memory_session, speech_like


async def test_marks_are_told_when_they_are_played(autojump_clock: MockClock) -> None:
    """Behind one second of audio after a second, at once where nothing plays, and at once when cleared."""
    params = TransportParams(serializer=JSONFrameSerializer(), audio_out_enabled=True)
    async with memory_session(params) as (session, peer), trio.open_nursery() as nursery:
        marks = MarkTeller()
        nursery.start_soon(marks.run, session)
        began_s = trio.current_time()
        frames: list[Frame] = [MarkFrame(mark="front"), speech_like(1.0), MarkFrame(mark="one")]
        for frame in [*frames, speech_like(5.0), MarkFrame(mark="cleared")]:
            marks.hear(frame)
        await trio.sleep(2)
        marks.hear(InterruptionFrame())
        marks.hear(MarkFrame(mark="after"))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    told = [
        (heard.frame.mark, round(heard.at_s - began_s, 3))
        for heard in peer.recorder.heard
        if isinstance(heard.frame, MarkFrame)
    ]
    assert told == [("front", 0), ("one", 1), ("cleared", 2), ("after", 2)]
