"""What the machine that waits for the end of a turn keeps of what it hears."""

from trio_transports.audio.format import AudioFormat
from trio_transports.vad.turn_watch import TurnWatch


def test_pieces_with_next_to_nothing_in_them_are_bounded() -> None:
    """Before speech and in a turn, of one sample or none; where speech ended is still exact."""
    watch = TurnWatch(max_turn_secs=5.0)
    fast = AudioFormat(768_000)
    for _ in range(20_000):
        watch.hear(b"\1\0", fast)
    assert len(watch._pieces) <= 501
    watch.started()
    for pcm in (b"\1\0", b""):
        for _ in range(20_000):
            watch.hear(pcm, fast)
    watch.stopped(None, 1.0)
    question = watch.question(1.5)
    assert question is not None
    assert len(question.pieces) <= 5001
    assert question.silence_secs == 0.5
