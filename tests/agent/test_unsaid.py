"""What an agent has said and nobody was told yet: what is dropped of it, and what is not."""

import pytest
from attrs import evolve

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


def test_the_oldest_goes_and_its_words_with_it() -> None:
    """Two seconds of audio are what there is room for."""
    inbox = AgentInbox(max_audio_s=2.0, max_bytes=100_000)
    unsaid = Unsaid(inbox)
    texts = [TextFrame(text=str(number)) for number in range(5)]
    late = [(unsaid.put(evolve(SECOND)), unsaid.put(text)) for text in texts]
    assert late == [(number > 1, False) for number in range(5)]
    assert taken(unsaid) == [texts[2], SECOND, texts[3], SECOND, texts[4]]
    assert (inbox.dropped_audio_s, inbox.dropped_notes) == (3.0, 2)


def test_words_alone_are_bounded() -> None:
    inbox = AgentInbox(max_audio_s=2.0, max_bytes=1000)
    unsaid = Unsaid(inbox)
    texts = [TextFrame(text=str(number) * 300) for number in range(5)]
    assert [unsaid.put(text) for text in texts] == [False, True, True, True, True]
    assert taken(unsaid) == texts[-1:]
    assert inbox.dropped_notes == 4
