"""``demo``: the page with its echo bot, or the same server checked by a client in this process."""

import json
from functools import partial

import trio

from ..demo.self_test import SelfTest
from ..demo.serving import serve_demo
from ..wire.accepting.signals import told_by_signals
from . import failure
from .progress import progress


def run(*, host: str, port: int, self_test: bool, as_json: bool) -> int:
    if self_test:
        return _self_test(as_json)
    failure.run(partial(_serve, host, port, as_json))
    return 0


def _self_test(as_json: bool) -> int:
    with progress() as tell:
        test = SelfTest(tell)
        failure.run(test.run)
    print(json.dumps(test.report()) if as_json else test.in_words())
    return 0 if test.is_good else 1


async def _serve(host: str, port: int, as_json: bool) -> None:
    over = trio.Event()
    with told_by_signals(over.set):  # a second signal ends the process at once
        try:
            async with serve_demo(host, port) as url:
                if as_json:
                    print(json.dumps({"event": "ready", "url": url}), flush=True)
                else:
                    print(f"The demo is at {url}  (Ctrl-C ends it)", flush=True)
                await over.wait()
        except OSError as exc:
            raise failure.cannot_listen(exc, host, port) from exc
