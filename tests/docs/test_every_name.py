"""Whatever a user may import is explained: where ``help()`` and an editor show it, and on the page.

What is public is told in ``docs.catalogue``: it stands in ``__all__`` of a module that users import from.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from html import unescape
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs
import pytest

import trio_transports
from tests.readme import snippets
from trio_transports._documented import field_docs
from trio_transports.docs import signatures
from trio_transports.docs.catalogue import MODULES, Entry, Member, Room
from trio_transports.docs.markup import inline
from trio_transports.params import ReconnectPolicy, TransportParams, WebsocketClientParams, WebsocketServerParams

PACKAGE: Final = Path(trio_transports.__file__).parent
PARAMETERS: Final = (ReconnectPolicy, TransportParams, WebsocketClientParams, WebsocketServerParams)
UNITS: Final = re.compile(
    r"second|\bms\b|byte|Hz|pixel|chunk|\bbits?\b|channel|connection|message|attempt|times|share|loud|picture", re.I
)
INTERNAL: Final = frozenset(
    {
        "audio",
        "audio.codecs",
        "bus.codec",
        "bus.proxy",
        "cli",
        "demo",
        "docs",
        "examples",
        "serializers.lines",
        "serializers.lines.genesys",
        "transports",
        "wire.accepting",
        "wire.dialling",
    }
)
"""Packages that users do not import from: what is public in them is so from elsewhere."""
SAID_IN_SEVERAL_DIALECTS: Final = {
    "Clear": {"serializers.lines.messages", "serializers.lines.sinch"},
    "Close": {"serializers.lines.genesys.messages", "wire.rfc6455"},
    "Connect": {"serializers.lines.sinch", "wire.engines"},
    "Error": {"serializers.lines.messages", "serializers.lines.relay"},
    "Mark": {"serializers.lines.jambonz", "serializers.lines.messages"},
    "Ping": {"serializers.lines.genesys.messages", "wire.rfc6455"},
}
"""A message carries the word of its provider, or of the RFC. Any other class that would come here gets another name."""


def undocumented(looked_at: list[Room]) -> Iterator[str]:
    for room in looked_at:
        if not room.text.strip():
            yield room.name
        for entry in room.entries:
            if not is_text(entry.text):
                yield entry.anchor
            yield from (f"{entry.anchor}.{member.name}" for member in entry.members if not is_text(member.text))


def is_text(text: str) -> bool:
    """Two words at the least, which end as a sentence, a list or a table does."""
    lines = text.splitlines() or [""]
    return len(text.split()) > 1 and (lines[-1][-1:] in ".:!?)`|=" or re.match(r" *- ", lines[-1]) is not None)


def test_every_public_name_has_a_text(looked_at: list[Room]) -> None:
    """Each module, class, function, value, field, property and method: a name without a text is listed here."""
    assert list(undocumented(looked_at)) == []


def test_a_name_without_a_text_is_found() -> None:
    """The listing bites: a class, a field and a method that say nothing, and one that only repeats what attrs says."""
    nothing = Member(name="reset", kind="method", signature="() -> None", text="")
    alias = Member(name="count", kind="field", signature=": int", text="Alias for field number 0")
    fine = Member(name="size", kind="field", signature=": int", text="In bytes.")
    entry = Entry(module="m", name="Thing", kind="class", signature="", text="", members=(nothing, alias, fine))
    assert list(undocumented([Room(name="m", text="A room.", entries=(entry,))])) == [
        "m.Thing",
        "m.Thing.reset",
        "m.Thing.count",
    ]


def parameters_without_a_text(looked_at: list[Room]) -> Iterator[str]:
    """Each one that a caller names or may leave out, and that the docstring does not name.

    Errors are raised, not made, and ``task_status`` is trio's; a class says its fields in ``help()``.
    """
    for room in looked_at:
        module = import_module(room.name)
        for entry in room.entries:
            value = getattr(module, entry.name)
            if inspect.isroutine(value):
                yield from (f"{entry.anchor}({name})" for name in unnamed(value, entry.text))
            elif inspect.isclass(value) and entry.kind != "error":
                whole = inspect.getdoc(value) or ""
                for member in entry.members:
                    if member.kind.endswith("method"):
                        method = getattr(value, member.name)
                        names = unnamed(method, f"{member.text} {whole}")
                        yield from (f"{entry.anchor}.{member.name}({name})" for name in names)
                if signatures.of_callable(value):
                    yield from (f"{entry.anchor}({name})" for name in unnamed(value.__init__, whole))


def unnamed(function: Callable[..., object], text: str) -> Iterator[str]:
    for one in inspect.signature(function).parameters.values():
        may_be_named = one.kind is one.KEYWORD_ONLY or one.default is not one.empty
        if may_be_named and one.name != "task_status" and not re.search(rf"\b{one.name}\b", text):
            yield one.name


def test_every_parameter_of_a_function_is_named_in_its_text(looked_at: list[Room]) -> None:
    assert list(parameters_without_a_text(looked_at)) == []


def test_a_parameter_without_a_text_is_found() -> None:
    def boil(water: float, *, lid: bool = True, whistle: bool = False) -> None: ...

    assert list(unnamed(boil, "Boils it; with the ``lid`` on it takes less long.")) == ["whistle"]


def test_everything_was_looked_at(looked_at: list[Room]) -> None:
    """No extra is missing here, so no name can hide behind one."""
    assert [room.missing for room in looked_at if room.missing] == []


def test_help_shows_the_texts_of_the_fields(looked_at: list[Room]) -> None:
    """A class whose fields have texts is ``@documented``, so that ``help()`` has them too."""
    silent = []
    for room in looked_at:
        module = import_module(room.name)
        for entry in room.entries:
            value = getattr(module, entry.name)
            if inspect.isclass(value):
                shown = " ".join((inspect.getdoc(value) or "").split())
                texts = field_docs(value)  # type: ignore[arg-type]
                if any(" ".join(text.split()) not in shown for text in texts.values()):
                    silent.append(entry.anchor)
    assert silent == []


@pytest.mark.parametrize("cls", PARAMETERS)
def test_a_parameter_is_more_than_named(cls: type) -> None:
    """What it does, and what goes wrong or when to change it: a sentence that only turns the name round is too short.

    A number says its unit.
    """
    texts = field_docs(cls)
    fields = {one.name: one for one in attrs.fields(cls)}
    assert [name for name in fields if len(texts.get(name, "").split()) < 12] == []
    numbers = [name for name, one in fields.items() if type(one.default) in (int, float)]
    assert [name for name in numbers if not UNITS.search(texts.get(name, ""))] == []


def module_named(path: str) -> ModuleType:
    return import_module(f"trio_transports.{path}" if path else "trio_transports")


def imported_names() -> Iterator[tuple[str, str]]:
    """What programs that users start from import from the library."""
    texts = list(snippets().values())
    texts += [path.read_text("utf-8") for path in sorted((PACKAGE / "examples").rglob("*.py"))]
    texts += [path.read_text("utf-8") for path in sorted((PACKAGE / "docs").rglob("*.md"))]
    for text in texts:
        found = re.finditer(r"^ *from trio_transports([.\w]*) import (?:\(([^)]*)\)|(.*))$", text, re.M)
        for path, several, one_line in (match.groups() for match in found):
            for name in re.findall(r"\w+(?= as |,|\s*$|\s*#)", several or one_line):
                yield path.removeprefix("."), name


def test_what_programs_import_is_public() -> None:
    """The README's programs, the guides' and the examples use what is on the page, and nothing else."""
    inside = {
        (path, name)
        for path, name in imported_names()
        if not path.startswith("examples") and not (path in MODULES and name in module_named(path).__all__)
    }
    assert inside == set()


@pytest.mark.parametrize("path", MODULES)
def test_all_is_what_is_there(path: str) -> None:
    """``__all__`` names what the module has, each once, and a package names all that it re-exports."""
    module = module_named(path)
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    source = inspect.getsource(module)
    assert set(re.findall(r"^ *from \.\S+ import (\w+) as \1$", source, re.M)) <= set(module.__all__)


def test_each_package_is_public_or_not() -> None:
    """A new package is put on the page, or said to be this library's own business."""
    packages = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")}
    assert sorted(packages - set(MODULES) - INTERNAL) == []
    assert sorted(INTERNAL & set(MODULES)) == []


def test_every_public_name_and_text_is_on_the_page(looked_at: list[Room], page: str) -> None:
    """The page has each name's anchor, which its search finds, with the text that ``help()`` shows."""
    plain = " ".join(unescape(re.sub(r"<[^>]*>", "", page)).split())
    for room in looked_at:
        assert f'id="{room.name}"' in page
        for entry in room.entries:
            named = [(entry.anchor, entry.text)]
            named += [(f"{entry.anchor}.{member.name}", member.text) for member in entry.members]
            for anchor, text in named:
                assert f'id="{anchor}" data-search="{anchor}"' in page
                assert shown(text.splitlines()[0]) in plain, anchor
        for name, anchor in room.elsewhere:
            assert f'<a href="#{anchor}"><code>{name}</code></a>' in page


def shown(line: str) -> str:
    """What is to be read of a line of a docstring."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", inline(line))).split())


def classes() -> dict[str, set[str]]:
    """The modules in which each class name stands; not those of ``examples``, which are users' programs."""
    defined: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        where = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not where.startswith("examples."):
            for statement in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(statement, ast.ClassDef):
                    defined.setdefault(statement.name, set()).add(where)
    return defined


def test_a_class_name_means_one_thing(looked_at: list[Room]) -> None:
    """No two classes share a name, but for messages that several dialects call the same; none of those is public."""
    assert {name: where for name, where in classes().items() if len(where) > 1} == SAID_IN_SEVERAL_DIALECTS
    assert {entry.name for room in looked_at for entry in room.entries}.isdisjoint(SAID_IN_SEVERAL_DIALECTS)
