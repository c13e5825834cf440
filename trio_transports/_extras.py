"""Importing what an optional extra brings, with an error that says which extra is missing."""

from importlib import import_module
from types import ModuleType


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Import ``module``, or raise an ImportError that names the extra to install."""
    try:
        return import_module(module)
    except ImportError as exc:
        raise ImportError(
            f"{needed_by} needs the '{extra}' extra: pip install 'trio-transports[{extra}]' ({exc})",
            name=module,
        ) from exc
