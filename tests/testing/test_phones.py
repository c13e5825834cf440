"""The scripted phones: what a user's own tests are written with."""

import json

import pytest
import trio
from trio.testing import MockClock

from trio_transports import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    InterruptionFrame,
    MarkFrame,
    Session,
    TextFrame,
    TranscriptionFrame,
    TransportParams,
)
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.serializers.lines.detection import LINES as SERIALIZERS
from trio_transports.testing import FakeHangUp, ScriptedPhone, phone_call, speech_like
from trio_transports.testing.phones import LINES, EndOrder, MarkOrder, PlayOrder, line_named

AUDIO = [name for name in LINES if name != "relay"]
WITHOUT_KEYS, WITHOUT_MARKS = ("sinch", "relay"), ("browser", "genesys", "azure", "sinch", "relay")

every_line = pytest.mark.parametrize("line", AUDIO)
lines_with_keys = pytest.mark.parametrize("line", [name for name in LINES if name not in WITHOUT_KEYS])
lines_with_marks = pytest.mark.parametrize("line", [name for name in LINES if name not in WITHOUT_MARKS])


async def echo(session: Session) -> None:
    async for frame in session.input:
        if isinstance(frame, AudioFrame):
            await session.output.send(frame)


async def digits(session: Session) -> None:
    """Answers each key with so many tenths of a second, and hangs up at a nought."""
    async for frame in session.input:
        if isinstance(frame, DTMFFrame):
            if frame.digit == "0":
                await session.output.send(EndFrame())
                return
            await session.output.send(speech_like(int(frame.digit) / 10, seed=1))


@every_line
async def test_a_line_of_ones_own_calls_again_and_again(line: str, autojump_clock: MockClock) -> None:
    """Each call is a new one, whatever was said in the last: it may stand at the top of a module of tests."""
    mine = line_named(line)
    for _ in range(2):
        async with phone_call(echo, mine) as phone:
            await phone.speak(speech_like(0.5))
            heard = await phone.listen()
            assert heard.duration_s == pytest.approx(0.5, abs=0.2)


@every_line
async def test_my_bot(line: str, autojump_clock: MockClock) -> None:
    """The test of ten lines: call, speak, hear, hang up."""
    async with phone_call(echo, line) as phone:
        await phone.speak(speech_like(1.0))
        heard = await phone.listen()
        assert heard.duration_s == pytest.approx(1.0, abs=0.2)
        await phone.speak(speech_like(0.5))
        again = await phone.listen()
        assert again.duration_s == pytest.approx(0.5, abs=0.2)


@lines_with_keys
async def test_keys_are_heard_and_the_bot_hangs_up(line: str, autojump_clock: MockClock) -> None:
    """Each key twice; the bot's EndFrame ends the call, and the provider is asked to hang up, once."""
    hang_up = FakeHangUp()
    async with phone_call(digits, line, hang_up=hang_up) as phone:
        for _ in range(2):
            await phone.press("3")
            assert (await phone.listen()).duration_s == pytest.approx(0.3, abs=0.15)
        await phone.press("0")
        with trio.fail_after(5):
            await phone.has_ended.wait()
        assert phone.closed is not None
        assert (phone.closed.code, phone.closed.initiator) == (1000, "remote")
    assert len(hang_up.calls) == 1
    assert hang_up.calls == [getattr(phone.line, "call_id", None)]


@every_line
async def test_what_is_cleared_is_not_played(line: str, autojump_clock: MockClock) -> None:
    """An interruption ends what the phone plays at that moment; what was played before stays written down."""

    async def talks(session: Session) -> None:
        for _ in range(2):
            await session.output.send(speech_like(5.0))
            await trio.sleep(1.0)
            await session.output.interrupt()
            await trio.sleep(1.0)

    async with phone_call(talks, line) as phone:
        await trio.sleep(5)
        assert phone.played_s() == pytest.approx(2.0, abs=0.25)
        assert len(phone.clears_s) == 2


@lines_with_marks
async def test_marks_come_back_when_they_are_played(line: str, autojump_clock: MockClock) -> None:
    """Behind the audio before them, as late as this phone is, and by a phone that tells none never."""
    told: list[tuple[str, float]] = []

    async def marks(session: Session) -> None:
        await session.output.send(speech_like(1.0))
        await session.output.send(MarkFrame(mark="end"))
        sent_s = trio.current_time()
        async for frame in session.input:
            if isinstance(frame, MarkFrame):
                told.append((frame.mark, trio.current_time() - sent_s))

    async with phone_call(marks, line, lag_s=0.3) as phone:
        await trio.sleep(3)
        assert any(isinstance(order, MarkOrder) for _, order in phone.orders)
    async with phone_call(marks, line, tells_marks=False):
        await trio.sleep(3)
    ((name, after_s),) = told
    assert name == "end"
    assert after_s == pytest.approx(1.3, abs=0.15)


def test_what_a_provider_would_refuse_fails_the_test() -> None:
    """A message of one's own ends a Twilio stream, and one for another stream is not heard."""
    phone = line_named("twilio")
    with pytest.raises(AssertionError, match="error 31924"):
        phone.understand('{"event":"custom"}')
    with pytest.raises(AssertionError, match="another stream"):
        phone.understand('{"event":"clear","streamSid":"MZ2"}')
    with pytest.raises(AssertionError, match="text messages only"):
        phone.understand(b"audio")


async def test_a_bot_that_says_nothing_is_too_slow(autojump_clock: MockClock) -> None:
    """``listen`` gives up; what the browser was told beside audio is there to read."""

    async def writes(session: Session) -> None:
        await session.output.send(TextFrame(text="no voice"))
        await trio.sleep(0.1)  # or the interruption would take it along
        await session.output.send(InterruptionFrame())
        await trio.sleep_forever()

    with trio.move_on_after(60):
        async with phone_call(writes, "browser") as phone:
            with pytest.raises(trio.TooSlowError):
                await phone.listen(timeout_s=3)
            assert [order.frame for order in phone.others] == [TextFrame(text="no voice")]


async def test_a_failing_provider_does_not_hide_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The fake interface can refuse: it is logged, and the call has ended all the same."""
    async with phone_call(digits, hang_up=FakeHangUp(fails=True)) as phone:
        await phone.press("0")
        await phone.has_ended.wait()
    assert "hanging up call" in caplog.text


def test_a_line_that_is_not_there_is_named() -> None:
    """A ValueError tells which there are."""
    with pytest.raises(ValueError, match="there is no scripted phone for 'fax'; there is one for twilio"):
        line_named("fax")


def test_there_is_a_phone_for_each_line() -> None:
    """None of the providers whose serializer is here lacks one."""
    assert {*SERIALIZERS} == {*LINES} - {"browser"}


async def test_a_line_that_carries_text(autojump_clock: MockClock) -> None:
    """Words both ways, turn by turn; a key; the bot's end is in the line's own words. Audio it has none."""

    async def clerk(session: Session) -> None:
        await session.output.send(TextFrame(text="Good "))
        await session.output.send(TextFrame(text="day."))
        await session.output.send(BotStoppedSpeakingFrame())
        async for frame in session.input:
            if isinstance(frame, TranscriptionFrame):
                await session.output.send(TextFrame(text=frame.text.upper()))
                await session.output.send(BotStoppedSpeakingFrame())
            if isinstance(frame, DTMFFrame):
                await session.output.send(EndFrame(reason="an agent"))

    async with phone_call(clerk, "relay") as phone:
        await phone.say("hello")
        await phone.say("again")
        with trio.fail_after(5):
            await phone.until(lambda phone: phone.texts == ["Good day.", "HELLO", "AGAIN"])
            with pytest.raises(ValueError, match="the line relay has no audio"):
                await phone.speak(speech_like(0.1))
            await phone.press("0")
            await phone.has_ended.wait()
    assert phone.orders[-1][1] == EndOrder("an agent")
    with pytest.raises(ValueError, match="the line twilio has no words"):
        await ScriptedPhone(line_named("twilio"), phone.wire).say("hello")


@pytest.mark.parametrize("changes", [{"code": "PCMA"}, {"code": "G729"}, {"rate": 0.5}, {"speed": 1}])
def test_a_line_can_be_had_otherwise(changes: dict[str, object]) -> None:
    """What the provider has is taken; the rest is refused, and named."""
    if changes == {"code": "PCMA"}:
        (_, start) = line_named("telnyx", **changes).opening()
        assert '"encoding":"PCMA"' in str(start)
    else:
        with pytest.raises((ValueError, TypeError), match="|".join(map(str, [*changes, *changes.values()]))):
            line_named("telnyx", **changes)


async def test_a_phone_counts_its_packets(autojump_clock: MockClock) -> None:
    """Each packet has the next number and time, as a jitter buffer wants: nothing is lost in it, on any such line."""
    for line in ("twilio", "telnyx", "plivo", "exotel", "wavix", "azure"):
        heard_s: list[float] = []

        async def listens(session: Session, heard_s: list[float] = heard_s) -> None:
            async for frame in session.input:
                if isinstance(frame, AudioFrame):
                    heard_s.append(frame.duration_s)

        params = TransportParams(
            serializer=DetectingFrameSerializer(),
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_jitter_ms=60,
        )
        async with phone_call(listens, line, params=params) as phone:
            await phone.speak(speech_like(1.0))
        assert sum(heard_s) == pytest.approx(1.0, abs=0.05), line


def test_the_answer_comes_before_the_audio() -> None:
    """Of a line that waits to be answered, audio before that is what the provider would refuse; and gaps in numbers."""
    genesys = line_named("genesys")
    genesys.opening()
    with pytest.raises(AssertionError, match="no audio before"):
        genesys.understand(bytes(160))
    told = {"version": "2", "type": "opened", "id": "MZ00000000000000000000000000000001", "clientseq": 1}
    with pytest.raises(AssertionError, match="message 1 is wanted, not 2"):
        genesys.understand(json.dumps({**told, "seq": 2}))
    again = genesys.fresh()
    again.opening()
    again.understand(json.dumps({**told, "seq": 1}))
    assert again.is_answered
    assert isinstance(again.understand(bytes(160)), PlayOrder)
    with pytest.raises(AssertionError, match="7 messages were not sent"):
        again.understand(json.dumps({**told, "seq": 2, "clientseq": 7}))
    asterisk = line_named("asterisk")
    with pytest.raises(AssertionError, match="no whole frame"):
        asterisk.understand(bytes(161))
    with pytest.raises(AssertionError, match="more than 65500 bytes"):
        asterisk.understand(bytes(65_600))
