"""One text for each field: written under it in the class, shown by editors, by ``help()`` and in the reference.

Editors read the string that follows a field. Python throws it away, so ``help()`` would not show it. ``documented``
gives a class a docstring that is completed from its own source the first time that anybody asks for it.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar, final

import attrs
from attrs import define

C = TypeVar("C", bound=type)


@final
@define(eq=False)
class _LazyDocstring:
    """What stands as ``__doc__`` in a class: the class's own text, with its fields' below it."""

    _text: str

    def __get__(self, instance: object, owner: type | None = None) -> str:
        cls = owner or type(instance)
        of_fields = field_docs(cls)
        if not of_fields:
            return self._text
        told = "\n".join(
            f"    {name}{default_of(cls, name)}:\n{textwrap.indent(text, ' ' * 8)}" for name, text in of_fields.items()
        )
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


def default_of(cls: type, name: str) -> str:
    """What a field is when nobody says: `` = 3``, or nothing where it has to be said."""
    one = next((one for one in (attrs.fields(cls) if attrs.has(cls) else ()) if one.alias == name), None)
    if one is None or one.default is attrs.NOTHING:
        return ""
    made_by = getattr(one.default, "factory", None)
    if made_by is None:
        return f" = {one.default!r}"
    made = getattr(made_by, "__name__", "")
    return f" = {made}()" if made.isidentifier() and not made.startswith("_") else ""


@lru_cache(maxsize=512)
def field_docs(cls: type) -> dict[str, str]:
    """The text under each field that a caller gives or reads, inherited ones first; one without a text is left out."""
    found: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__):
        if ancestor.__module__.partition(".")[0] == cls.__module__.partition(".")[0]:
            found |= _in_source(ancestor)
    given = {one.name: one.alias for one in attrs.fields(cls) if one.init} if attrs.has(cls) else {}
    return {given.get(name, name): text for name, text in found.items() if name in given or not name.startswith("_")}


def value_doc(module: str, name: str) -> tuple[str, str]:
    """The text under a value that a module holds, or imports, and what the value is in the source."""
    for statement in _with_imports_for_checkers(_statements(module)):
        match statement:
            case ast.ImportFrom() if any(name == (one.asname or one.name) for one in statement.names):
                is_package = hasattr(sys.modules[module], "__path__")
                parents = module.split(".")[: (1 if is_package else 0) - statement.level or None]
                return value_doc(
                    ".".join([*(parents if statement.level else []), *filter(None, [statement.module])]), name
                )
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if (
                found == name and statement.value is not None
            ):
                return dict(_texts(_statements(module))).get(name, ""), ast.unparse(statement.value)
    return "", ""


def _with_imports_for_checkers(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """And what stands under ``if TYPE_CHECKING``: there a package writes what it imports when it is named."""
    for statement in statements:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from statement.body
            case _:
                yield statement


def definition(value: object) -> ast.stmt | None:
    """The class or function as it stands in the source; None where there is no source."""
    value = inspect.unwrap(value) if callable(value) else value
    found = None
    statements = _statements(getattr(value, "__module__", ""))
    for part in getattr(value, "__qualname__", "").split("."):
        named = [each for each in statements if isinstance(each, _DEFINITIONS) and each.name == part]
        if not named:
            return None
        found = named[-1]
        statements = tuple(found.body)
    return found


_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@lru_cache(maxsize=512)
def _statements(module: str) -> tuple[ast.stmt, ...]:
    """A module's source, taken apart once."""
    try:
        return tuple(ast.parse(inspect.getsource(sys.modules[module])).body)
    except (KeyError, OSError, TypeError):  # run without its source
        return ()


def _in_source(cls: type) -> dict[str, str]:
    found = definition(cls)
    return dict(_texts(found.body)) if isinstance(found, ast.ClassDef) else {}


def _texts(statements: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Each name that is given a type or a value, with the string that follows."""
    for statement, after in pairwise(statements):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
