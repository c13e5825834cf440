"""The page before a server that stops answering, dies, and comes back: a process of its own that is sent signals."""

import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.ports import free_port
from tests.real.cli.programs import PATIENCE_S as PROGRAM_S
from tests.real.cli.programs import PROGRAM, ROOT
from tests.real.demo.chromium import Browser, Page

SEEN_WITHIN_MS = 3000
TRIES = 5
"""A busy machine may be late at some of them."""
TOLD = "The server does not answer."


@asynccontextmanager
async def served(port: int) -> AsyncIterator[trio.Process]:
    """The demo in a process of its own, which is killed at the end if it still lives."""
    async with trio.open_nursery() as nursery:
        command = [*PROGRAM, "demo", "--port", str(port)]
        start = partial(trio.run_process, command, stdout=subprocess.DEVNULL, check=False, cwd=ROOT)
        process: trio.Process = await nursery.start(start)
        with trio.fail_after(PROGRAM_S):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.1)
        yield process
        if process.returncode is None:
            process.kill()


async def connected(page: Page, port: int) -> None:
    await page.show(width=390, height=844, dark=False, mobile=True)
    await page.goto(f"http://127.0.0.1:{port}")
    await page.wait_for("!!document.getElementById('control-delay_ms')")
    await page.click("connect-mic")
    await page.wait_for("window.demo.counters().session")


async def test_a_stalled_server_is_seen_within_three_seconds(browser: Browser) -> None:
    """Stopped (SIGSTOP), it is told in sight wherever the page is; going on, it is told too. Both happen twice."""
    port = free_port()
    tries_ms: list[float] = []
    async with served(port) as process, browser.open_page() as page:
        await connected(page, port)
        while sum(took_ms < SEEN_WITHIN_MS for took_ms in tries_ms) < 2:
            assert len(tries_ms) < TRIES, tries_ms
            await page.evaluate(f"scrollTo(0, {len(tries_ms) + 1} * 1500)")
            await page.wait_for("document.getElementById('lost').hidden")
            stalls = await page.evaluate("window.demo.counters().stalls")  # a busy machine may have made one
            process.send_signal(signal.SIGSTOP)
            stopped = await page.evaluate("performance.now()")
            try:
                await page.wait_for("!document.getElementById('lost').hidden")
                tries_ms.append(await page.evaluate("performance.now()") - stopped)
            finally:
                process.send_signal(signal.SIGCONT)
            assert await page.evaluate("document.getElementById('lost-text').innerText") == TOLD
            place = await page.evaluate(
                "(({top, bottom}) => [top, innerHeight - bottom])"
                "(document.getElementById('lost').getBoundingClientRect())"
            )
            assert min(place) >= 0
            await page.wait_for(
                "window.demo.counters().state === 'connected' && document.getElementById('lost').hidden"
            )
            assert await page.evaluate("window.demo.counters().stalls") > stalls


async def test_a_killed_server_that_comes_back_is_found_again(browser: Browser) -> None:
    """Killed without a word, twice: the page connects again by itself, and is heard by the new server."""
    port = free_port()
    async with browser.open_page() as page:
        for turn in range(3):
            async with served(port):
                if turn == 0:
                    await connected(page, port)
                await page.wait_for("window.demo.counters().session")
                assert await page.evaluate("window.demo.counters().returns") == turn
                sent = await page.evaluate("window.demo.counters().sent")
                await page.wait_for(f"window.demo.counters().sent > {sent} + 20")
            await page.wait_for("document.getElementById('lost-text').innerText.startsWith('The connection was lost')")
