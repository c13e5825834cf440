"""A real browser, driven over the DevTools protocol: JSON messages on a WebSocket of its own.

Chromium is started with a profile of its own and a microphone that hears a WAV file, and is ended by its process id.
"""

import base64
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from tests.tools import requires
from trio_transports.audio.wav import read_wav, write_wav

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)


_IN_REACH = """(async () => {
  const element = document.getElementById("ID");
  element.scrollIntoView({block: "center", behavior: "instant"});
  const middle = () => {
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const before = middle();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const [x, y] = middle();
  const isThere = element.contains(document.elementFromPoint(x, y));
  return isThere && x === before[0] && y === before[1] && [x, y];
})()"""
"""Where to press; false while something else is at that place, while it cannot be seen, or while it moves."""


PATIENCE_S: Final = 60.0
"""For what a page does at once: a machine that is busy with other things may be that late."""


class PageError(AssertionError):
    """A script in the page raised, or the browser refused a command."""


@final
@define(eq=False)
class Page:
    """One tab. ``complaints`` are the console's errors and warnings and the scripts' uncaught exceptions."""

    _connection: WebSocketConnection
    complaints: list[str] = field(factory=list, init=False)
    _next_id: int = field(default=0, init=False)
    _waiting: dict[int, trio.Event] = field(factory=dict, init=False)
    _answers: dict[int, dict[str, Any]] = field(factory=dict, init=False)

    async def read(self) -> None:
        while True:
            try:
                message = json.loads(await self._connection.get_message())
            except ConnectionClosed:
                return
            if "id" in message:
                self._answers[message["id"]] = message
                self._waiting.pop(message["id"]).set()
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        self._next_id += 1
        number, event = self._next_id, trio.Event()
        self._waiting[number] = event
        await self._connection.send_message(json.dumps({"id": number, "method": method, "params": params}))
        with trio.fail_after(PATIENCE_S):
            await event.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever the script gives
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise PageError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def wait_for(self, expression: str, *, timeout_s: float = PATIENCE_S) -> Any:  # noqa: ANN401
        """Give the expression's first true value."""
        with trio.move_on_after(timeout_s):
            while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - the page tells nobody
                await trio.sleep(0.05)
            return value
        raise PageError(f"still not true after {timeout_s} s: {expression}; complaints: {self.complaints}")

    async def goto(self, url: str, *, timeout_s: float = PATIENCE_S) -> None:
        await self.call("Page.navigate", url=url)
        is_there = "document.readyState === 'complete' && location.href !== 'about:blank'"
        await self.wait_for(is_there, timeout_s=timeout_s)

    async def click(self, element_id: str) -> None:
        """Press the mouse on the middle of an element, as a person would: once it is in sight, and stands still."""
        x, y = await self.wait_for(_IN_REACH.replace("ID", element_id))
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
            )

    async def show(self, *, width: int, height: int, dark: bool, mobile: bool = False, reduced: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, path: Path, *, whole: bool = True) -> None:
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await trio.Path(path).write_bytes(base64.b64decode(shot["data"]))


@final
@define(eq=False)
class Browser:
    port: int

    @asynccontextmanager
    async def open_page(self) -> AsyncIterator[Page]:
        """Open a new tab for as long as the body runs."""
        async with open_websocket_url(f"ws://127.0.0.1:{self.port}{await self._browser_path()}") as control:
            await control.send_message(
                json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}})
            )
            while (message := json.loads(await control.get_message())).get("id") != 1:
                pass
            target = message["result"]["targetId"]
            url = f"ws://127.0.0.1:{self.port}/devtools/page/{target}"
            async with (
                open_websocket_url(url, max_message_size=64 * 1024 * 1024) as connection,
                trio.open_nursery() as nursery,
            ):
                page = Page(connection)
                nursery.start_soon(page.read)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
                nursery.cancel_scope.cancel()
            await control.send_message(
                json.dumps({"id": 2, "method": "Target.closeTarget", "params": {"targetId": target}})
            )

    async def _browser_path(self) -> str:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all(b"GET /json/version HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = b""
            with trio.fail_after(PATIENCE_S):
                while b"webSocketDebuggerUrl" not in answer or b"}" not in answer:
                    answer += await stream.receive_some(65536)
        url: str = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["webSocketDebuggerUrl"]
        return "/" + url.split("/", 3)[3]


def write_speech(path: Path, words: str, *, pause_s: float) -> None:
    """Have espeak-ng say it, for a microphone: a second of silence before it, a pause behind it."""
    subprocess.run([requires("espeak-ng"), "-v", "en-us", "-s", "160", "-w", path, words], check=True)
    audio_format, pcm = read_wav(path)
    before, behind = (audio_format.silence(audio_format.samples_in(seconds)) for seconds in (1.0, pause_s))
    write_wav(path, audio_format, before + pcm + behind)


@asynccontextmanager
async def open_chromium(program: Path, profile: Path, microphone: Path) -> AsyncIterator[Browser]:
    """Run the browser with an empty profile of its own; ``microphone`` is heard over and over."""
    command = [
        str(program),
        *FLAGS,
        f"--user-data-dir={profile}",
        f"--use-file-for-fake-audio-capture={microphone}",
        "about:blank",
    ]
    async with trio.open_nursery() as nursery:
        log = profile.parent / "chromium.log"
        with log.open("wb") as output:
            run = partial(trio.run_process, command, stdout=output, stderr=output, check=False)
            process = await nursery.start(run)
            with trio.fail_after(PATIENCE_S):
                while not (told := profile / "DevToolsActivePort").exists() or "\n" not in told.read_text():
                    if process.returncode is not None:
                        raise PageError(f"chromium ended at once: {log.read_text()[-500:]}")
                    await trio.sleep(0.05)
            yield Browser(int(told.read_text().split()[0]))
            process.terminate()
            with trio.move_on_after(5):
                await process.wait()
        nursery.cancel_scope.cancel()
