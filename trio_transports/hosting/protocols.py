"""Which of hypercorn's protocols speaks on a connection: HTTP/1.1, or HTTP/2 by ALPN, upgrade or prior knowledge."""

from collections.abc import Awaitable, Callable
from typing import final

from attrs import define, field, frozen
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext

from .h1 import GuardedH11
from .h2 import GuardedH2


@final
@frozen(kw_only=True)
class Setting:
    """What each protocol of a connection is made with, in hypercorn's words."""

    app: AppWrapper
    config: Config
    context: WorkerContext
    task_group: TaskGroup
    state: ConnectionState
    is_secure: bool
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    send: Callable[[Event], Awaitable[None]]
    count_runs: Callable[[], int]
    """How many runs of the app are alive on this connection."""

    takes_h2c: bool
    on_refused: Callable[[str], None]
    """Called with the cause for each request that is answered before the app has seen it."""

    def h11(self) -> GuardedH11:
        return GuardedH11(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.is_secure,
            self.client,
            self.server,
            self.send,
            takes_h2c=self.takes_h2c,
            on_refused=self.on_refused,
        )

    def h2(self) -> GuardedH2:
        return GuardedH2(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.is_secure,
            self.client,
            self.server,
            self.send,
            count_runs=self.count_runs,
            on_refused=self.on_refused,
        )


@final
@define(eq=False)
class Protocols:
    """The protocol in use, replaced when the peer asks for HTTP/2."""

    _setting: Setting
    _in_use: GuardedH11 | GuardedH2 = field(init=False)

    @classmethod
    def agreed(cls, alpn_protocol: str, setting: Setting) -> "Protocols":
        protocols = cls(setting)
        protocols._in_use = setting.h2() if alpn_protocol == "h2" else setting.h11()
        return protocols

    @property
    def h2(self) -> GuardedH2 | None:
        return self._in_use if isinstance(self._in_use, GuardedH2) else None

    @property
    def is_reading_body(self) -> bool:
        return self._in_use.is_reading_body

    async def initiate(self) -> None:
        await self._in_use.initiate()

    async def handle(self, event: Event) -> None:
        """Give the protocol an event; a client that turns out to speak HTTP/2 goes on with that."""
        try:
            await self._in_use.handle(event)
        except H2ProtocolAssumedError as assumed:
            await self._go_on_with_h2(assumed.data)
        except H2CProtocolRequiredError as required:
            await self._go_on_with_h2(required.data, required.headers, required.settings)

    async def _go_on_with_h2(
        self, data: bytes, headers: list[tuple[bytes, bytes]] | None = None, settings: bytes | None = None
    ) -> None:
        self._in_use = protocol = self._setting.h2()
        await H2Protocol.initiate(protocol, headers, settings)
        if data:
            await protocol.handle(RawData(data))
