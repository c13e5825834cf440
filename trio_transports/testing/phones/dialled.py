"""A scripted phone that calls a running server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from ...wire.dialling.address import Address
from ...wire.dialling.dialler import Dialler
from ...wire.engines import engine_named
from ...wire.settings import WireSettings
from .line import PhoneLine
from .lines import line_named
from .phone import ScriptedPhone

SETTINGS: Final = WireSettings(ping_interval_s=None)


@asynccontextmanager
async def phone_at(
    url: str,
    line: str | PhoneLine = "twilio",
    *,
    headers: Mapping[str, str] | None = None,
    tells_marks: bool = True,
    lag_s: float = 0.0,
) -> AsyncIterator[ScriptedPhone]:
    """Connect a scripted phone of a provider's to a server, in real time; nothing has been said yet: ``phone.call()``.

    Leaving drops the connection without a word, unless ``phone.hang_up()`` was there first. TransportError where nobody
    answers, HandshakeRejected where the caller is refused.

    ``line`` is a provider's name, or a line of your own. ``headers`` go into the handshake. ``tells_marks=False`` is
    a provider that tells of no mark, ``lag_s`` how late one tells.
    """
    chosen = line_named(line) if isinstance(line, str) else line.fresh()
    dialler = Dialler(
        address=Address.parse(url),
        engine=engine_named("trio-websocket"),
        settings=SETTINGS,
        connect_timeout_s=10,
        headers=tuple((headers or {}).items()),
    )
    async with dialler.connect() as wire, trio.open_nursery() as nursery:
        phone = ScriptedPhone(chosen, wire, tells_marks, lag_s=lag_s)
        nursery.start_soon(phone.run)
        yield phone
        nursery.cancel_scope.cancel()
        wire.abort()
