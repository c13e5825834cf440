"""What ``trio-transports serve`` was asked for, as a value that a worker process can be given."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import final

import attrs
from attrs import evolve, field, frozen
from attrs.validators import ge

from ..params import AsgiWebsocketParams
from ..playground.routes import MAX_SESSIONS, bot_params
from .app import Bot
from .params_file import load_params

DRAIN_S = 20.0


@final
@frozen(kw_only=True)
class ServeOptions:
    """One server's. ``target`` None: the built-in bot. ``tls``: the files of its certificate and key."""

    target: str | None = None
    host: str = "127.0.0.1"
    params_file: str | None = None
    tls: Sequence[str] | None = None
    drain_s: float = field(default=DRAIN_S, validator=ge(0))
    public_url: str | None = None
    host_names: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    max_sessions: int = field(default=MAX_SESSIONS, validator=ge(1))
    shows_sessions: bool = False
    log_level: str = "info"

    def to_json(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "ServeOptions":
        return cls(**json.loads(text))

    def params_for(self, bot: Bot) -> AsgiWebsocketParams:
        """What a bot is served with; ParamsFileError tells what is wrong with the file."""
        params = bot_params()
        if bot.interrupts_itself:
            params = evolve(params, allow_interruptions=False)
        if self.params_file is None:
            return params
        return evolve(params, **load_params(Path(self.params_file), AsgiWebsocketParams, params))

    def set_up_logging(self) -> None:
        """A line for people on standard error; frames too at ``debug``."""
        logging.basicConfig(
            level=self.log_level.upper(), format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
        )
