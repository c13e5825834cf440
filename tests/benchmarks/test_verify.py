"""The suite's own honesty: what is lost, shortened, altered or mixed up is found, whatever it looks like."""

import random

import pytest

from benchmarks.judging import judge
from benchmarks.load.jobs import Outcome
from benchmarks.load.verify import EchoCheck, Faults, PlaybackCheck, ring
from benchmarks.messages import CHUNK_BYTES, audio_message, playback_chunk
from trio_transports.audio.leave_out import leave_out

CHUNKS = ring()
POSITIONS = {chunk: at for at, chunk in enumerate(CHUNKS)}


def check(sent: int = 10, session: int = 3) -> tuple[EchoCheck, Faults]:
    faults = Faults()
    echo = EchoCheck(CHUNKS, POSITIONS, session, faults)
    echo.sent = sent
    return echo, faults


def chunk(echo: EchoCheck, number: int) -> bytes:
    return CHUNKS[echo.slot(number)]


def test_a_true_echo() -> None:
    """Every chunk in order is right, also once the ring has come round, and nothing is found wrong."""
    echo, faults = check(sent=2000)
    assert [echo.answer(audio_message(chunk(echo, n))) for n in range(2000)] == [*range(2000)]
    assert (faults.altered, faults.lost, faults.examples) == (0, 0, [])


def test_a_true_echo_with_other_fields() -> None:
    """A peer that numbers its frames, so that the PCM moves within the message, is right too."""
    echo, faults = check()
    for n in range(4):
        pcm = chunk(echo, n)
        inner = b"\x08\x05" if n % 2 else b"\x08\x85\x05\x12\x03abc"
        body = inner + b"\x1a\x80\x05" + pcm + b"\x20\x80\x7d\x28\x01"
        size = len(body)
        assert echo.answer(b"\x12" + bytes((size & 0x7F | 0x80, size >> 7)) + body) == n
    assert not faults.altered


def test_silence_in_a_gap_is_counted_and_not_wrong() -> None:
    """A transport may fill a gap."""
    echo, faults = check()
    assert echo.answer(audio_message(bytes(CHUNK_BYTES))) is None
    assert echo.answer(audio_message(chunk(echo, 0))) == 0
    assert (echo.silent, faults.altered, faults.lost) == (1, 0, 0)


def test_a_lost_chunk() -> None:
    """A chunk that is missing while later ones came is lost."""
    echo, faults = check()
    echo.answer(audio_message(chunk(echo, 0)))
    assert echo.answer(audio_message(chunk(echo, 3))) == 3
    assert faults.lost == 2


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        (lambda pcm: pcm[: CHUNK_BYTES // 2], "320 bytes of PCM where 640"),
        (lambda pcm: pcm + pcm, "1280 bytes of PCM where 640"),
        (lambda pcm: pcm[:-1] + bytes((pcm[-1] ^ 1,)), "never sent"),
        (lambda pcm: bytes(reversed(pcm)), "never sent"),
        (lambda _pcm: b"\1" * CHUNK_BYTES, "never sent"),
    ],
)
def test_a_lying_peer(lie: object, what: str) -> None:
    """Shortened, joined, flipped by one bit, reordered, invented."""
    echo, faults = check()
    echo.answer(audio_message(chunk(echo, 0)))
    assert callable(lie)
    assert echo.answer(audio_message(lie(chunk(echo, 1)))) is None
    assert faults.altered == 1
    assert what in faults.examples[0]


def test_a_lie_behind_the_usual_shape() -> None:
    """One wrong byte anywhere in a message that looks like the last one is found."""
    whole = random.Random(1)
    for _ in range(300):
        echo, faults = check()
        echo.answer(audio_message(chunk(echo, 0)))
        message = bytearray(audio_message(chunk(echo, 1)))
        at = whole.randrange(len(message))
        message[at] ^= 1 << whole.randrange(8)
        assert echo.answer(bytes(message)) is None or faults.lost
        assert faults.altered + faults.lost


def test_another_sessions_audio() -> None:
    """What was sent by another session at the same moment is not an answer."""
    mine, faults = check(session=0)
    theirs, _ = check(session=1)
    assert mine.answer(audio_message(chunk(theirs, 0))) is None
    assert faults.altered == 1


def test_the_same_chunk_twice() -> None:
    """A repeated chunk is not an answer to the next one."""
    echo, faults = check()
    echo.answer(audio_message(chunk(echo, 0)))
    assert echo.answer(audio_message(chunk(echo, 0))) is None
    assert faults.altered == 1


def test_another_format() -> None:
    """The same bytes at another sample rate are other audio."""
    echo, faults = check()
    message = audio_message(chunk(echo, 0)).replace(b"\x20\x80\x7d\x28\x01", b"\x20\xc0\x3e\x28\x01")
    assert echo.answer(message) is None
    assert "8000 Hz" in faults.examples[0]


def test_no_audio_at_all() -> None:
    """A message of another kind, or of none, is altered; only an interruption may come."""
    echo, faults = check()
    found = []
    for message in (b"\x2a\x00", b"hello", b""):
        assert echo.answer(message) is None
        found.append(faults.altered)
    assert found == [0, 1, 2]


def test_a_true_playback() -> None:
    """Chunks in order, with silence and control messages between."""
    faults = Faults()
    playback = PlaybackCheck(faults)
    assert playback.take(audio_message(playback_chunk(0)))
    assert not playback.take(audio_message(bytes(CHUNK_BYTES)))
    assert not playback.take(b"\x2a\x00")
    assert playback.take(audio_message(playback_chunk(1)))
    assert (playback.expected, playback.silent, faults.altered, faults.lost) == (2, 1, 0, 0)


def test_a_false_playback() -> None:
    """A gap is lost; a repeated, halved or mangled chunk is altered."""
    faults = Faults()
    playback = PlaybackCheck(faults)
    assert playback.take(audio_message(playback_chunk(2)))
    assert faults.lost == 2
    assert not playback.take(audio_message(playback_chunk(1)))
    assert not playback.take(audio_message(playback_chunk(3)[:320]))
    assert not playback.take(audio_message(playback_chunk(3)[:-1] + b"\x07"))
    assert faults.altered == 3


def test_few_examples_are_kept() -> None:
    """A peer that is wrong a thousand times is described five times."""
    faults = Faults()
    for _ in range(1000):
        faults.add("wrong")
    assert len(faults.examples) == 5


RIGHT = {"window_s": 1.0, "load_cpu_s": 0.3}


@pytest.mark.parametrize(
    ("outcome", "overload", "wrong", "slow"),
    [
        (Outcome(numbers=RIGHT), False, "", ""),
        (Outcome(numbers=RIGHT, altered=1, examples=["short"]), False, "1 messages altered: short", ""),
        (Outcome(numbers=RIGHT, altered=1, examples=["short"]), True, "1 messages altered: short", ""),
        (Outcome(numbers=RIGHT, lost=2, examples=["gone"]), False, "2 messages lost: gone", ""),
        (Outcome(numbers=RIGHT, lost=2), True, "", ""),
        (Outcome(failure="refused"), False, "refused", ""),
        (Outcome(failure="refused"), True, "", "refused"),
        (Outcome(failure="no handshake", slow=True), False, "", "no handshake"),
        (Outcome(numbers=RIGHT | {"behind": 4}), False, "", "4 chunks were still on their way when time was up"),
        (Outcome(numbers=RIGHT | {"slow_calls": 2}), False, "", "2 calls took too long: "),
        (Outcome(numbers=RIGHT | {"load_cpu_s": 0.9}), False, "", "the load itself used 90% of a core"),
    ],
)
def test_judgement(outcome: Outcome, overload: bool, wrong: str, slow: str) -> None:
    """Wrong is reported and fails; slow is reported and does not; neither is timed."""
    verdict = judge(outcome, overload=overload)
    assert (verdict.wrong, verdict.slow) == (wrong, slow)


def cut(pcm: bytes, samples: int, every: int) -> bytes:
    """What a transport makes of it that works a delay off: so many samples left out of each few chunks."""
    step = every * CHUNK_BYTES
    return b"".join(leave_out(pcm[at : at + step], samples, 1) for at in range(0, len(pcm), step))


@pytest.mark.parametrize(("samples", "every"), [(25, 1), (13, 1), (101, 2), (250, 3), (3, 5)])
@pytest.mark.parametrize("session", [400])
def test_audio_left_out_is_lost_and_not_altered(samples: int, every: int, session: int) -> None:
    """Shortened audio is divided otherwise from there on; all of it is known, over the end of the ring as well."""
    faults = Faults()
    echo = EchoCheck(CHUNKS, POSITIONS, session, faults)
    count = 300
    echo.sent = count
    pcm = b"".join(CHUNKS[echo.slot(number)] for number in range(count))
    shorter = cut(pcm, samples, every)
    for at in range(0, len(shorter) - CHUNK_BYTES + 1, CHUNK_BYTES):
        echo.answer(audio_message(shorter[at : at + CHUNK_BYTES]))
    assert faults.altered == 0
    assert faults.lost >= echo.shortened > 100
    assert count - 4 <= echo.expected <= count


def test_noise_and_anothers_audio_are_still_altered() -> None:
    """Half a chunk of ours with half of something else, backwards, or ahead of what was sent, is no shortened audio."""
    faults = Faults()
    echo = EchoCheck(CHUNKS, POSITIONS, 0, faults)
    echo.sent = 3
    half = CHUNK_BYTES // 2
    stranger = random.Random(1).randbytes(CHUNK_BYTES)
    wrong = [
        stranger,
        CHUNKS[1][:100] + stranger[100:],
        CHUNKS[1][half:] + CHUNKS[0][:half],
        CHUNKS[7][half:] + CHUNKS[8][:half],
        bytes(1) + CHUNKS[0][:-1],
    ]
    for number, pcm in enumerate(wrong, 1):
        assert echo.answer(audio_message(pcm)) is None
        assert (faults.altered, faults.lost) == (number, 0)


@pytest.mark.parametrize("numbers", [{"load_late_before_loss_ms": 45.0}, {"server_waited_s": 0.35}])
def test_audio_left_out_after_a_standstill_is_not_timed_and_not_wrong(numbers: dict[str, float]) -> None:
    """The load or the machine stood still: nobody is blamed. What is altered without that is wrong as ever."""
    cut = Outcome(numbers={"shortened": 3.0, **numbers, "load_cpu_s": 0.0}, lost=3, examples=["audio left out"])
    assert judge(cut, overload=False).slow.startswith("3 messages were shortened after a standstill: audio left out")
    assert not judge(cut, overload=False).wrong
    assert not judge(cut, overload=True).wrong
    altered = Outcome(numbers={"shortened": 0.0, **numbers, "load_cpu_s": 0.0}, altered=2, lost=0, examples=["bits"])
    assert judge(altered, overload=False).wrong


def test_audio_left_out_without_one_is_lost() -> None:
    """Where neither the load nor the machine stood still, a transport that leaves audio out is blamed."""
    numbers = {"shortened": 3.0, "load_late_before_loss_ms": 30.0, "server_waited_s": 0.2, "load_cpu_s": 0.0}
    cut = Outcome(numbers=numbers, lost=3, examples=["audio left out"])
    assert judge(cut, overload=False).wrong == "3 messages lost: audio left out"
