"""What ``trio-transports serve`` was asked for, as a value that a worker process can be given."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

import attrs
from attrs import evolve, field, frozen
from attrs.validators import ge

from .._documented import documented
from ..params import AsgiWebsocketParams
from ..playground.routes import MAX_SESSIONS, bot_params
from ..session.events import Event
from .app import Bot
from .params_file import load_params
from .tls_files import check_tls_files

DRAIN_S = 20.0


@documented
@final
@frozen(kw_only=True)
class ServeOptions:
    """One server's."""

    target: str | None = None
    """``MODULE:HANDLER`` or a file; None is the built-in bot."""
    host: str = "127.0.0.1"
    """The address that is listened on."""
    params_file: str | None = None
    """A TOML file with the transport's parameters."""
    tls: Sequence[str] | None = None
    """The files of the certificate and of its key."""
    drain_s: float = field(default=DRAIN_S, validator=ge(0))
    """How many seconds calls may go on for once the server is told to leave."""
    public_url: str | None = None
    """What callers call this server, where that is not what they ask for."""
    host_names: Sequence[str] = ()
    """Names by which it may be reached, besides addresses and localhost."""
    allowed_origins: Sequence[str] = ()
    """Whose pages may call, besides its own."""
    max_sessions: int = field(default=MAX_SESSIONS, validator=ge(1))
    """How many calls each process takes at once."""
    shows_sessions: bool = False
    """Whether the page tells everybody who is here."""
    traces: bool = False
    """Whether calls, turns and reconnections become OpenTelemetry spans (extra ``otel``); where they go, the bot's
    module sets up, or its environment."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""

    def to_json(self) -> str:
        """As text that ``of_json`` reads: a worker is given it on its command line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "ServeOptions":
        """What ``to_json`` has written."""
        return cls(**json.loads(text))

    def params_for(self, bot: Bot) -> AsgiWebsocketParams:
        """What a bot is served with; ParamsFileError tells what is wrong with the file."""
        params = bot_params()
        if bot.interrupts_itself:
            params = evolve(params, allow_interruptions=False)
        if self.params_file is None:
            return params
        return evolve(params, **load_params(Path(self.params_file), AsgiWebsocketParams, params))

    def check(self, bot: Bot) -> None:
        """Raise ParamsFileError or TLSFilesError for what is wrong with a file, ImportError for a missing extra."""
        self.params_for(bot)
        self.observers()
        if self.tls is not None:
            check_tls_files(*self.tls)

    def observers(self) -> Sequence[Callable[[Event], object]]:
        """Who is told of every event; ImportError names an extra that is missing."""
        if not self.traces:
            return ()
        from ..observe.tracing import SessionTracer

        return (SessionTracer().note,)

    def set_up_logging(self) -> None:
        """A line for people on standard error; frames too at ``debug``."""
        logging.basicConfig(
            level=self.log_level.upper(), format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
        )
