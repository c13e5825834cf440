"""The client module by itself, in a page of nobody's: what it plays, what it says was heard, and how it comes back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.real.demo.chromium import PATIENCE_S, Browser, Page
from tests.real.rtvi.bots import tone
from trio_transports import AudioFrame, BotStoppedSpeakingFrame, DTMFFrame, Session, TextFrame
from trio_transports.playground import bot_routes, routed
from trio_transports.playground.asgi import Receive, Route, Scope, Send
from trio_transports.playground.serving import serve_app

TRIES = 3
Handler = Callable[[Session], Awaitable[None]]

PAGE = b"""<!doctype html><title>a page</title><link rel=icon href='data:,'><script type=module>
import { Voice } from "/client/voice.js";
window.Voice = Voice;
window.told = [];
window.made = (options) => {
  window.voice = new Voice(options);
  for (const name of ["state", "frame", "speech", "answer", "turn", "interrupted", "pong", "microphone", "sound"])
    window.voice.addEventListener(name, ({ detail }) => window.told.push({ name, detail, at: performance.now() }));
  return window.voice;
};
window.of = (name) => window.told.filter((each) => each.name === name).map((each) => each.detail);
</script>"""


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": PAGE})


def app(handler: Handler) -> Route:
    return routed({**bot_routes(handler), "/page": _page})


@asynccontextmanager
async def calling(browser: Browser, handler: Handler) -> AsyncIterator[Page]:
    async with serve_app("127.0.0.1", 0, app(handler)) as url, browser.open_page() as page:
        await page.goto(f"{url}/page")
        await page.wait_for("!!window.made")
        await page.evaluate("window.made({}).connect({microphone: false})")
        yield page


async def told(page: Page, name: str, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.wait_for(f"window.of({name!r}).length >= {count} && window.of({name!r})")
    return found


async def test_what_was_heard_is_known(browser: Browser) -> None:
    """Interrupted in the middle of a tone, twice, the client says how much was heard: what had time to be.

    A busy machine may be late with what is heard, or with the interruption: then it is done again.
    """
    spoken: list[float] = []

    async def handler(session: Session) -> None:
        for seconds in (2.0, 1.0) * TRIES:
            await session.output.send(tone(440, 5.0))
            began_s = trio.current_time()
            await trio.sleep(seconds)
            await session.output.interrupt()
            spoken.append(trio.current_time() - began_s)
            await trio.sleep(1)
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        tries = []
        for count in range(2, 2 * TRIES + 1, 2):
            heard = (await told(page, "interrupted", count))[count - 2 : count]
            tries.append([*zip(spoken[count - 2 : count], heard, strict=True)])
            if all(is_right(known, each) for known, each in tries[-1]):
                break
        assert all(is_right(known, each) for known, each in tries[-1]), tries
        assert [each["speaking"] for each in await told(page, "answer", 4)][:4] == [True, False, True, False]


def is_right(known: float, interrupted: dict[str, float]) -> bool:
    """What the cushion and the sound card held was not heard; a busy machine hands over later still."""
    return known - 0.7 < interrupted["heardSeconds"] < known + 0.1 and interrupted["droppedSeconds"] < 0.8


async def test_drain_waits_until_it_was_played(browser: Browser) -> None:
    """The client tells the marks once what was in front of them was played, so a bot may hang up after its goodbye."""
    times: list[float] = []

    async def handler(session: Session) -> None:
        await session.output.send(tone(440, 1.0))
        await session.output.send(BotStoppedSpeakingFrame())
        await session.output.drain()
        times.append(trio.current_time())

    async with calling(browser, handler) as page:
        ended = await page.wait_for("window.of('state').find(({state}) => state === 'ended')")
        assert ended["code"] == 1000
        heard = await page.evaluate("window.voice.player.heard")
        assert heard == pytest.approx(1.0, abs=0.1)
        assert await page.evaluate("window.voice.state") == "ended"  # a bot that hung up is not called again


async def test_a_line_that_comes_in_bursts_is_evened_out(browser: Browser) -> None:
    """With holes of 150 ms the cushion grows; all of it is played all the same, or left out where it is quiet."""

    async def handler(session: Session) -> None:
        for _ in range(16):
            await session.output.send(tone(440, 0.15))
            await trio.sleep(0.3)
            await session.output.send(tone(440, 0.15))
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.wait_for("window.voice.player && window.voice.player.holes >= 1")
        assert await page.evaluate("window.voice.player.cushion") > 0.06
        await trio.sleep(5)
        assert await page.evaluate("window.voice.player.cushion") <= 0.3


async def test_words_and_keys_go_both_ways(browser: Browser) -> None:
    """What is written and pressed reaches the handler in order; what it writes comes out as frames."""
    got: list[object] = []

    async def handler(session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, TextFrame | DTMFFrame):
                got.append(frame)
                await session.output.send(TextFrame(text=f"{len(got)}", aloud=False))

    async with calling(browser, handler) as page:
        await page.evaluate("window.voice.sendText('hello'); window.voice.sendDigits('1#')")
        frames = await told(page, "frame", 3)
        assert [frame["text"] for frame in frames if frame["type"] == "text"] == ["1", "2", "3"]
        assert got == [TextFrame(text="hello"), DTMFFrame(digit="1"), DTMFFrame(digit="#")]
        pong = (await told(page, "pong"))[0]
        assert 0 <= pong["roundTripMs"] < 10_000
        assert pong["session"]["statistics"]["messages_received"] > 0


async def test_connecting_can_be_given_up_and_takes_no_longer_than_it_may(browser: Browser) -> None:
    """A server that takes the connection and says nothing: by a signal, and by the time."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.evaluate("window.voice.disconnect()")
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            port = listener.socket.getsockname()[1]
            attempt = f"window.made({{url: 'ws://127.0.0.1:{port}/ws', timeoutMs: 700}}).connect({{microphone: false"
            late = await page.evaluate(attempt + "}).catch((error) => error.message)")
            assert late == "the server did not answer in time"
            given_up = await page.evaluate(
                "window.stop = new AbortController(), setTimeout(() => stop.abort(new Error('enough')), 100),"
                + attempt
                + ", signal: stop.signal}).catch((error) => error.message)"
            )
            assert given_up == "enough"
            assert await page.evaluate("window.voice.state") == "idle"


async def test_a_server_that_drops_every_call_is_called_less_and_less(browser: Browser) -> None:
    """Accepted and dropped at once, time after time, the pauses grow: no storm of calls."""
    calls: list[float] = []
    began_s = trio.current_time()

    async def handler(session: Session) -> None:
        calls.append(trio.current_time())
        await session.aclose(1012)

    async with calling(browser, handler) as page:
        await trio.sleep(6)
        assert len(calls) >= 2
        # The pauses are 0.25 s, 0.5 s, 1 s and so on, at least.
        assert 0.25 * (2 ** (len(calls) - 1) - 1) <= trio.current_time() - began_s
        states = await told(page, "state")
        attempts = [each["attempt"] for each in states if each["state"] == "reconnecting"]
        assert attempts == list(range(1, len(attempts) + 1))
        await page.evaluate("window.voice.disconnect()")
        await trio.sleep(0.5)  # one may have been on its way
        after = len(calls)
        await trio.sleep(2)  # the next would have come in that time
        assert len(calls) == after


async def test_devices_can_be_chosen(browser: Browser) -> None:
    """They are listed; another microphone takes over in the middle of a call; muting holds for it too."""
    heard: list[AudioFrame] = []

    async def handler(session: Session) -> None:
        async for frame in session.input:
            if isinstance(frame, AudioFrame):
                heard.append(frame)

    async with calling(browser, handler) as page:
        devices = await page.evaluate("window.Voice.devices().then(({microphones}) => microphones.length)")
        assert devices >= 1
        await page.evaluate("window.voice.setMuted(true)")
        await page.evaluate("window.voice.setMicrophone()")
        assert await page.evaluate("window.voice.hasMicrophone")
        assert await page.evaluate("window.voice.sound.stream.getAudioTracks()[0].enabled") is False
        await page.evaluate("window.voice.setMuted(false)")
        assert await page.evaluate("window.voice.sound.stream.getAudioTracks()[0].enabled") is True
        count = len(heard)
        with trio.fail_after(PATIENCE_S):
            while len(heard) < count + 10:  # noqa: ASYNC110 - the handler tells nobody
                await trio.sleep(0.05)


async def test_calling_again_at_once_leaves_one_call(browser: Browser) -> None:
    """Given up while connecting, or while coming back, and called again in the same breath: one call, connected."""
    here: list[Session] = []

    async def handler(session: Session) -> None:
        here.append(session)
        async for _ in session.input:
            pass
        here.remove(session)

    again = "voice.disconnect(), voice.connect({microphone: false}).then(() => voice.state, (error) => error.message)"

    async def one_is_here(page: Page) -> None:
        await page.wait_for("voice.state === 'connected'")
        with trio.fail_after(PATIENCE_S):
            while len(here) != 1:  # noqa: ASYNC110 - the handlers tell nobody
                await trio.sleep(0.05)

    lost_and_again = (
        "(() => { const told = new Promise((done) => voice.addEventListener('state', done, {once: true}));"
        " voice.link.end({code: 1006, reason: 'a test'});"
        f" return told.then(async ({{detail}}) => [detail.state, await ({again})]) }})()"
    )
    async with calling(browser, handler) as page:
        await page.evaluate("voice.disconnect()")
        for _ in range(2):
            states = await page.evaluate(f"voice.connect({{microphone: false}}).catch(() => 0), {again}")
            assert states == "connected"
            await trio.sleep(0.5)
            await one_is_here(page)
            assert await page.evaluate(lost_and_again) == ["reconnecting", "connected"]
            await trio.sleep(2)  # longer than the pause of the attempt that was given up
            await one_is_here(page)
            await page.evaluate("voice.disconnect()")


async def test_an_address_that_never_comes_and_a_signal_from_before(browser: Browser) -> None:
    """Whoever asks for the address first waits no longer for it than for the server; what was given up never begins."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.evaluate("voice.disconnect()")
        never = "made({url: () => new Promise(() => {}), timeoutMs: 500}).connect({microphone: false"
        late = "}).then(() => 'connected', (error) => error.message)"
        assert await page.evaluate(never + late) == "the server did not answer in time"
        given_up = ", signal: AbortSignal.abort(new Error('before'))" + late
        assert await page.evaluate(never + given_up) == "before"
        assert await page.evaluate("voice.state") == "idle"


async def test_a_microphone_that_is_allowed_too_late_is_let_go(browser: Browser) -> None:
    """The call was given up while the browser asked: the microphone does not stay on."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.evaluate("voice.disconnect()")
        await page.evaluate(
            "window.real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices),"
            " navigator.mediaDevices.getUserMedia = (asked) => new Promise((done) => { window.allow = async () => {"
            " window.stream = await window.real(asked); done(window.stream); }; }), true"
        )
        await page.evaluate("window.ended = made({}).connect().catch((error) => error.message), true")
        await page.wait_for("!!window.allow")
        await page.evaluate("voice.disconnect()")
        assert await page.evaluate("window.ended") == "it was given up"
        await page.evaluate("window.allow()")
        await page.wait_for("window.stream.getTracks().every(({readyState}) => readyState === 'ended')")


async def test_a_microphone_that_is_unplugged_is_told(browser: Browser) -> None:
    """The call goes on without it, and another takes its place."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        for count in (1, 2):
            await page.evaluate("voice.setMicrophone()")
            assert await page.evaluate("voice.hasMicrophone")
            await page.evaluate("voice.sound.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
            assert "unplugged" in (await told(page, "microphone", count))[-1]["lost"]
            assert await page.evaluate("voice.hasMicrophone") is False
            await page.wait_for("voice.state === 'connected'")


async def test_a_sound_that_is_stopped_keeps_nothing_waiting(browser: Browser) -> None:
    """With the sound suspended by the system it is told and taken up again; a lost connection comes back meanwhile."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.evaluate("voice.sound.context.resume = () => Promise.reject(new Error('not yet')), true")
        await page.evaluate("voice.sound.context.suspend()")
        assert (await told(page, "sound"))[0] == {"running": False}
        await page.evaluate("voice.link.end({code: 1006, reason: 'a test'})")
        await page.wait_for("window.of('state').some(({state}) => state === 'reconnecting')")
        await page.wait_for("voice.state === 'connected'")
        await page.evaluate("delete voice.sound.context.resume, voice.sound.context.resume()")
        assert (await told(page, "sound", 2))[1] == {"running": True}


async def test_a_page_that_may_not_make_sound_says_so(browser: Browser) -> None:
    """Not the server is blamed when the browser waits for a click."""

    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    async with calling(browser, handler) as page:
        await page.evaluate("voice.disconnect()")
        await page.evaluate("AudioContext.prototype.resume = () => new Promise(() => {}), true")
        told_why = await page.evaluate(
            "made({timeoutMs: 500}).connect({microphone: false}).catch((error) => error.message)"
        )
        assert "connect in a click" in told_why
