"""What an object offers beyond what it must: the members of a protocol, looked up in the object itself."""

from collections.abc import Callable
from functools import cache
from typing import Final, TypeGuard, TypeVar

T = TypeVar("T")

_ABSENT: Final = object()


def offers(value: object, protocol: Callable[..., T]) -> TypeGuard[T]:
    """As ``isinstance`` with a protocol of methods and properties, which looks for its members anew each time: 25 us.

    A session asks some twenty such questions of its serializer and its wire when it opens, and others for each message.
    """
    return all(getattr(value, name, none) is not none for name, none in _members(protocol))


@cache
def _members(protocol: type) -> tuple[tuple[str, object], ...]:
    """Each member, and what stands for its absence: a method that is None is not there; a property may well be None."""
    return tuple(
        (name, None if callable(member) else _ABSENT)
        for base in protocol.__mro__
        for name, member in vars(base).items()
        if not name.startswith("_")
    )
