"""The files of the page and of the client module, read once."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeAlias

Loaded: TypeAlias = Mapping[str, tuple[str, bytes]]

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "wav": "audio/wav",
}
_FOLDERS: Final = {"page": "", "client": "client/"}


@lru_cache(maxsize=1)
def load_files() -> Loaded:
    """Give path -> (content type, content) of all that the page consists of; the page itself is at ``/``."""
    loaded = {}
    for folder, prefix in _FOLDERS.items():
        for file in (files(__package__) / folder).iterdir():
            kind = _TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                loaded[f"/{prefix}{file.name}"] = (kind, file.read_bytes())
    loaded["/"] = loaded.pop("/page.html")
    return loaded
