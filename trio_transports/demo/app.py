"""The demo: the playground's page with an echo bot behind it."""

from collections.abc import Collection
from importlib.util import find_spec
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
        # Pictures come back as they are seen; without the extra a page could not show them, so none is taken.
        has_video = find_spec("PIL") is not None
        params = evolve(
            bot_params(),
            allow_interruptions=False,
            video_in_enabled=has_video,
            video_out_is_live=True,
            video_out_codec="JPEG" if has_video else None,
            video_out_width=640,
            video_out_height=480,
        )
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
