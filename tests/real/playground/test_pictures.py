"""The page lets a bot see a drawing and the camera, and shows what the bot makes of them."""

import os
from pathlib import Path

import trio
from attrs import evolve

from tests.real.demo.chromium import Browser, Page
from trio_transports import ImageFrame, Session
from trio_transports.playground import bot_routes, routed
from trio_transports.playground.routes import bot_params
from trio_transports.playground.serving import serve_app


async def negative(session: Session) -> None:
    """Shows the negative of each picture that it sees."""
    async for frame in session.input:
        if isinstance(frame, ImageFrame):
            assert (frame.format, len(frame.image)) == ("RGB", frame.size[0] * frame.size[1] * 3)
            inverted = bytes(frame.image).translate(bytes(range(255, -1, -1)))
            await session.output.send(ImageFrame(image=inverted, size=frame.size))


MEAN = """(() => {
  const shown = document.getElementById("picture"), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  pen.drawImage(shown, 0, 0, 32, 32);
  const bytes = pen.getImageData(0, 0, 32, 32).data;
  let total = 0;
  for (let i = 0; i < bytes.length; i += 4) total += bytes[i] + bytes[i + 1] + bytes[i + 2];
  return total / (3 * 32 * 32);
})()"""


async def scribble(page: Page) -> None:
    """A zigzag across the sheet, drawn with the mouse."""
    await page.evaluate("document.getElementById('paper').scrollIntoView({block: 'center', behavior: 'instant'})")
    x, y, width, height = await page.evaluate(
        "(() => { const r = document.getElementById('paper').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height] })()"
    )
    places = [(x + width * n / 10, y + height * (0.25 if n % 2 else 0.75)) for n in range(1, 10)]
    await page.call("Input.dispatchMouseEvent", type="mousePressed", x=places[0][0], y=places[0][1], button="left")
    for at_x, at_y in places[1:]:
        await page.call("Input.dispatchMouseEvent", type="mouseMoved", x=at_x, y=at_y, button="left", buttons=1)
    await page.call("Input.dispatchMouseEvent", type="mouseReleased", x=places[-1][0], y=places[-1][1], button="left")


async def test_a_bot_sees_a_drawing_and_the_camera_and_is_seen(browser: Browser, tmp_path: Path) -> None:
    """White paper comes back black but for what was drawn; the camera's pictures come and go as they are asked for."""
    params = evolve(
        bot_params(),
        video_in_color_format="RGB",
        video_out_is_live=True,
        video_out_codec="JPEG",
        video_out_width=320,
        video_out_height=180,
    )
    folder = Path(os.environ.get("TT_SCREENSHOTS", tmp_path))
    async with (
        serve_app("127.0.0.1", 0, routed(bot_routes(negative, params, title="The negative"))) as url,
        browser.open_page() as page,
    ):
        await page.show(width=1440, height=1000, dark=False)
        await page.goto(url)
        await page.wait_for("!document.getElementById('picture-buttons').hidden")
        await page.click("connect-mic")
        await page.wait_for("window.demo.counters().session")
        await page.click("draw-button")
        await scribble(page)
        await page.click("draw-send")
        await page.wait_for("document.getElementById('picture').naturalWidth === 320")
        assert 2 < await page.evaluate(MEAN) < 40
        await page.screenshot(folder / "drawing.png")

        await page.click("camera-button")
        await page.wait_for("window.demo.counters().pictures >= 4")
        await page.wait_for(f"{MEAN} > 60")
        assert not await page.evaluate("document.getElementById('eye').hidden")
        await page.screenshot(folder / "camera.png")
        await page.click("camera-button")
        sent = await page.evaluate("window.demo.counters().pictures")
        await trio.sleep(0.5)
        assert await page.evaluate("window.demo.counters().pictures") <= sent + 1  # one may have been on its way
        assert page.complaints == []


async def test_a_bot_that_does_not_look_is_offered_none(browser: Browser) -> None:
    """Without ``video_in_enabled`` the page has no buttons for pictures."""
    params = evolve(bot_params(), video_in_enabled=False)
    async with serve_app("127.0.0.1", 0, routed(bot_routes(negative, params))) as url, browser.open_page() as page:
        await page.goto(url)
        await page.wait_for("document.getElementById('version').innerText !== ''")
        assert await page.evaluate("document.getElementById('picture-buttons').hidden")


BARS = 15
LEAST_BARS = 10
TRIES = 3
WATCH_THE_BAR = """(() => {
  const shown = document.getElementById("picture"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [16, 1];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  window.bars = [];
  shown.addEventListener("load", () => {
    pen.drawImage(shown, 0, 0, 16, 1);
    const bytes = pen.getImageData(0, 0, 16, 1).data;
    const light = Array.from({ length: 16 }, (_, column) => bytes[4 * column]);
    window.bars.push(light.indexOf(Math.max(...light)));
  });
})()"""


async def moving_bar(session: Session) -> None:
    """A second and a half at 10 pictures a second: a white bar that moves from left to right."""
    for number in range(BARS):
        row = bytes(60 * number) + b"\xff" * 60 + bytes(60 * (15 - number))
        await session.output.send(ImageFrame(image=row * 180, size=(320, 180)))
    async for _ in session.input:
        pass


async def test_a_stream_of_pictures_is_shown_in_sequence(browser: Browser) -> None:
    """The page shows at least ten of the fifteen, each once and in order, and the last one stays.

    A busy machine leaves out what is late, and calls again.
    """
    params = evolve(
        bot_params(),
        video_out_is_live=True,
        video_out_framerate=10,
        video_out_codec="JPEG",
        video_out_width=320,
        video_out_height=180,
    )
    bars: list[int] = []
    async with serve_app("127.0.0.1", 0, routed(bot_routes(moving_bar, params, title="The bar"))) as url:
        for _ in range(TRIES):
            async with browser.open_page() as page:
                await page.goto(url)
                await page.wait_for("document.getElementById('version').innerText !== ''")
                await page.evaluate(WATCH_THE_BAR)
                await page.click("connect-mic")
                await page.wait_for(f"window.bars.at(-1) === {BARS - 1}")
                bars = await page.evaluate("window.bars")
                assert bars == sorted(set(bars))
                assert page.complaints == []
            if len(bars) >= LEAST_BARS:
                break
    assert len(bars) >= LEAST_BARS
