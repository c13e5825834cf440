"""The demo: the playground's page with an echo bot behind it."""

from collections.abc import Collection
from typing import Final, final

from attrs import define, evolve, field

from ..playground.asgi import Receive, Route, Scope, Send
from ..playground.controls import Choice, Control, Slider, Switch
from ..playground.hall import Hall
from ..playground.routes import bot_params, bot_routes, routed
from ..session.session import Session
from .bot import EchoBot

TITLE: Final = "Say something.\nIt says it back."
LEDE: Final = (
    "Your voice travels over one WebSocket to a trio server that listens for speech and repeats what it heard. "
    "Talk over the answer and it stops at once."
)
CONTROLS: Final[tuple[Control, ...]] = (
    Choice(name="mode", label="Bot", options=(("repeat", "Repeats you"), ("mirror", "Mirrors you"))),
    Slider(name="delay_ms", label="Delay", value=400, least=0, most=2000, step=50, unit="ms"),
    Switch(name="barge_in", label="Barge-in", value=True),
)


@final
@define(eq=False)
class DemoApp:
    """An ASGI application for trio. ``host_names`` are those it may be reached by, besides addresses and localhost."""

    hall: Hall = field(factory=Hall)
    host_names: Collection[str] = ()
    bots: dict[str, EchoBot] = field(factory=dict, init=False)
    _app: Route = field(init=False)

    def __attrs_post_init__(self) -> None:
        # The bot decides itself whether speech interrupts it: a setting of the page's says.
        params = evolve(bot_params(), allow_interruptions=False)
        self._app = routed(
            bot_routes(
                self._answer,
                params,
                title=TITLE,
                lede=LEDE,
                controls=CONTROLS,
                hall=self.hall,
                shows_sessions=True,
                host_names=self.host_names,
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _answer(self, session: Session) -> None:
        bot = self.bots[session.id] = EchoBot(session)
        try:
            await bot.run()
        finally:
            del self.bots[session.id]
