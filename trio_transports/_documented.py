"""One text for each field: written under it in the class, shown by editors, by ``help()`` and in the reference.

Editors read the string that follows a field. Python throws it away, so ``help()`` would not show it. ``documented``
gives a class a docstring that is completed from its own source the first time that anybody asks for it.
"""

import ast
import inspect
import textwrap
from functools import lru_cache
from typing import TypeVar, final

from attrs import define, has

C = TypeVar("C", bound=type)


@final
@define(eq=False)
class _LazyDocstring:
    """What stands as ``__doc__`` in a class: the class's own text, with its fields' below it."""

    _text: str

    def __get__(self, instance: object, owner: type | None = None) -> str:
        of_fields = field_docs(owner or type(instance))
        if not of_fields:
            return self._text
        told = "\n".join(f"    {name}:\n{textwrap.indent(text, ' ' * 8)}" for name, text in of_fields.items())
        return f"{inspect.cleandoc(self._text)}\n\nFields:\n{told}\n"


def documented(cls: C) -> C:
    """Let ``help(cls)`` show what is written under each of the class's fields."""
    cls.__doc__ = _LazyDocstring(cls.__doc__ or "")  # type: ignore[assignment]  # a descriptor that gives a str
    return cls


def own_text(cls: type) -> str:
    """The class's docstring without its fields'."""
    for ancestor in cls.__mro__:
        written = vars(ancestor).get("__doc__")
        if written is not None and ancestor is not object:
            text = written._text if isinstance(written, _LazyDocstring) else written
            return inspect.cleandoc(text) if isinstance(text, str) else ""
    return ""


@lru_cache(maxsize=512)
def field_docs(cls: type) -> dict[str, str]:
    """The text under each public field, inherited ones first; a field without a text is left out."""
    found: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        if ancestor is not object and has(ancestor):
            found |= _in_source(ancestor)
    return found


def _in_source(cls: type) -> dict[str, str]:
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):  # run without its source
        return {}
    if not isinstance(tree, ast.ClassDef):
        return {}
    found = {}
    for statement, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and not statement.target.id.startswith("_")
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[statement.target.id] = inspect.cleandoc(after.value.value)
    return found
