"""What an agent has said and nobody was told yet: what is dropped of it, and what is not."""

import pytest

from trio_transports.agent.inbox import AgentInbox
from trio_transports.agent.unsaid import Unsaid
from trio_transports.frames import AudioFrame, EndFrame, Frame, TextFrame, VolumeFrame

SECOND = AudioFrame(audio=bytes(2 * 8000), sample_rate=8000)


def taken(unsaid: Unsaid) -> list[Frame]:
    return [unsaid.take() for _ in range(len(unsaid))]


@pytest.mark.parametrize("behind", [EndFrame(), VolumeFrame(volume=0.5), TextFrame(text="and so on")])
def test_the_newest_audio_stays_whatever_comes_behind_it(behind: Frame) -> None:
    """Twice: an answer of one long piece is heard, though the agent hangs up after it."""
    inbox = AgentInbox(max_audio_s=0.5, max_bytes=10)
    unsaid = Unsaid(inbox)
    for _ in range(2):
        assert not unsaid.put(SECOND)
        assert not unsaid.put(behind)
        assert taken(unsaid) == [SECOND, behind]
    assert (inbox.dropped_audio_s, inbox.dropped_notes) == (0.0, 0)


def test_the_oldest_of_its_kind_goes() -> None:
    """Two seconds and one text of three hundred letters are what there is room for."""
    inbox = AgentInbox(max_audio_s=2.0, max_bytes=1000)
    unsaid = Unsaid(inbox)
    texts = [TextFrame(text=str(number) * 300) for number in range(5)]
    late = [(unsaid.put(SECOND), unsaid.put(text)) for text in texts]
    assert late == [(False, False), (False, True), (True, True), (True, True), (True, True)]
    assert taken(unsaid) == [SECOND, SECOND, texts[-1]]
    assert (inbox.dropped_audio_s, inbox.dropped_notes) == (3.0, 4)
