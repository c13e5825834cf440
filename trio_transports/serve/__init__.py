"""Serving a bot: parameters from a file, and several processes behind one address."""

from .params_file import ParamsFileError as ParamsFileError
from .params_file import load_params as load_params
from .supervisor import Supervisor as Supervisor
from .supervisor import WorkerFailed as WorkerFailed
from .worker import Control as Control

__all__ = [
    "Control",
    "ParamsFileError",
    "Supervisor",
    "WorkerFailed",
    "load_params",
]
