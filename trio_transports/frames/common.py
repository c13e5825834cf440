"""What several kinds of frames share: JSON, and the mark of a field that never travels."""

from types import MappingProxyType
from typing import Final, TypeAlias

JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"
"""What a JSON document can hold."""


LOCAL: Final = MappingProxyType({"trio_transports.local": True})
"""The metadata of a field that stays on this side of the wire."""
