"""Serving a bot: one app for all who call, parameters from a file, and several processes behind one address."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from ..playground.routes import bot_params as bot_params
    from .app import Bot as Bot
    from .app import bot_app as bot_app
    from .options import ServeOptions as ServeOptions
    from .params_file import ParamsFileError as ParamsFileError
    from .params_file import load_params as load_params
    from .supervisor import Supervisor as Supervisor
    from .supervisor import WorkerFailed as WorkerFailed
    from .worker import Control as Control

__all__ = [
    "Bot",
    "Control",
    "ParamsFileError",
    "ServeOptions",
    "Supervisor",
    "WorkerFailed",
    "bot_app",
    "bot_params",
    "load_params",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "..playground.routes": "bot_params",
            ".app": "Bot bot_app",
            ".options": "ServeOptions",
            ".params_file": "ParamsFileError load_params",
            ".supervisor": "Supervisor WorkerFailed",
            ".worker": "Control",
        },
    )
