"""Packages that import what they re-export when it is first named: the same names as before, and little to import."""

import ast
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

import trio_transports

from .test_public_surface import ELSEWHERE, NEEDS, TOP_LEVEL

ROOT: Final = Path(trio_transports.__file__).parent
SOURCES: Final = {
    ".".join(("trio_transports", *path.parent.relative_to(ROOT).parts)): path.read_text("utf-8")
    for path in sorted(ROOT.rglob("__init__.py"))
}
LAZY: Final = [name for name, source in SOURCES.items() if "lazily(" in source and name != "trio_transports._lazy"]
MAY_BRING: Final = {"trio_transports", "trio_transports._lazy"}
"""Of this library's modules, with the package alone."""


def imported(source: str) -> Mapping[str, str]:
    """What a type checker takes each name from: the imports under TYPE_CHECKING."""
    (block,) = (node for node in ast.parse(source).body if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    found = {}
    for line in block.body:
        assert isinstance(line, ast.ImportFrom)
        for alias in line.names:
            assert alias.asname == alias.name, "written as `import X as X`, which re-exports for type checkers"
            found[alias.name] = f"{'.' * line.level}{line.module}"
    return found


def found_at_run_time(source: str) -> Mapping[str, str]:
    """What Python takes each name from: the second argument of ``lazily``."""
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazily"
    ]
    homes: dict[str, str] = ast.literal_eval(calls[0].args[1])
    return {name: home for home, names in homes.items() for name in names.split()}


def run(program: str, *arguments: str) -> Sequence[str]:
    """What a fresh interpreter prints for it, in words."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", LAZY)
def test_the_three_lists_of_a_package_are_one(package: str) -> None:
    """Type checkers, ``__all__`` and Python agree on the names and on where each is from."""
    source = SOURCES[package]
    assert dict(found_at_run_time(source)) == dict(imported(source))
    assert {*import_module(package).__all__} - {"__version__"} == {*imported(source)}


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_the_one_of_its_home(package: str) -> None:
    module = import_module(package)
    for name, home in found_at_run_time(SOURCES[package]).items():
        assert getattr(module, name) is getattr(import_module(home, package), name)
        assert vars(module)[name] is getattr(module, name), "the second time it is a name like any other"


@pytest.mark.parametrize("package", LAZY)
def test_no_name_is_a_module_too(package: str) -> None:
    """Importing the module would put it where the name was expected."""
    here = ROOT.joinpath(*package.split(".")[1:])
    modules = {path.stem for path in here.glob("*.py")} | {path.parent.name for path in here.glob("*/__init__.py")}
    assert modules & {*import_module(package).__all__} == set()


def test_the_package_alone_loads_next_to_nothing() -> None:
    """Neither trio nor numpy, and of this library two modules."""
    loaded = set(run("import sys, trio_transports; print(*sys.modules)"))
    assert {name for name in loaded if name.startswith("trio_transports")} == MAY_BRING
    assert loaded.isdisjoint({"trio", "numpy", "attrs", "cattrs", "hypercorn", "trio_websocket", "wsproto", "inspect"})


@pytest.mark.parametrize(
    ("names", "spared"),
    [
        ("AudioFrame, TextFrame, Frame", ("trio", "cattrs", "trio_transports.session", "trio_transports.wire")),
        ("Connected, Disconnected", ("trio_websocket", "cattrs", "trio_transports.session.run")),
        ("WebsocketServerTransport, WebsocketServerParams", ("hypercorn", "trio_transports.wire.asgi")),
        ("WebsocketClientTransport, WebsocketClientParams", ("hypercorn", "trio_transports.wire.accepting.door")),
        ("AsgiWebsocketTransport, AsgiWebsocketParams", ("hypercorn", "trio_websocket", "wsproto")),
        (", ".join(TOP_LEVEL), ("hypercorn", "trio_transports.bus", "trio_transports.agent", "trio_transports.serve")),
    ],
)
def test_a_name_brings_what_it_needs_and_no_more(names: str, spared: Sequence[str]) -> None:
    loaded = set(run(f"import sys; from trio_transports import {names}; print(*sys.modules)"))
    assert loaded.isdisjoint(spared)


def test_a_server_of_a_binary_line_loads_no_converters() -> None:
    """Only a dialect of JSON has them written for its messages; its dialect is read where nobody named another."""
    names = "WebsocketServerParams, WebsocketServerTransport"
    program = f"import sys; from trio_transports import {names}; import trio_transports.serializers.protobuf"
    assert not {"cattrs.converters", "trio_transports.serializers.json"} & set(run(f"{program}; print(*sys.modules)"))


def test_every_fixed_name_is_found_first() -> None:
    """Each name of the surface is imported as the first thing that its program does: no order of imports is needed."""
    ways = [f"from trio_transports import {', '.join(TOP_LEVEL)}"]
    ways += [f"from trio_transports.{path} import {', '.join(names) or '*'}" for path, names in ELSEWHERE.items()]
    for way in ways:
        run(way)


def test_it_is_found_by_every_way_of_naming() -> None:
    """With a star, as an attribute, as a module below, in ``dir()``; and it stays what it was."""
    program = """
import trio_transports
assert set(trio_transports.__all__) <= set(dir(trio_transports)), "dir"
assert not {"TYPE_CHECKING", "lazily"} & set(dir(trio_transports))
assert trio_transports.frames.AudioFrame is trio_transports.AudioFrame
assert trio_transports.serializers.protobuf.ProtobufFrameSerializer
from trio_transports import *
assert AudioFrame is trio_transports.AudioFrame and Session.__module__ == "trio_transports.session.session"
print(*trio_transports.__all__)
"""
    assert run(program) == trio_transports.__all__


def test_what_is_pickled_is_found_by_who_has_imported_nothing() -> None:
    """A value names the module of its class, which loads it."""
    frame = trio_transports.AudioFrame(audio=b"\0\0", sample_rate=16000, num_channels=1)
    said = run(f"import pickle; print(type(pickle.loads({pickle.dumps(frame)!r})).__name__)")
    assert said == ["AudioFrame"]


@pytest.mark.parametrize(
    ("package", "name", "error", "words"),
    [
        ("trio_transports", "nonsense", AttributeError, "module 'trio_transports' has no attribute 'nonsense'"),
        ("trio_transports", "RedisBus", ImportError, "from trio_transports.bus.redis import RedisBus"),
        ("trio_transports", "_private", AttributeError, "'_private'"),
        ("trio_transports", "no.such.path", AttributeError, "'no.such.path'"),
        ("trio_transports.session", "Talk", AttributeError, "'trio_transports.session' has no attribute 'Talk'"),
        ("trio_transports.bus", "RedisBus", AttributeError, "'trio_transports.bus' has no attribute 'RedisBus'"),
    ],
)
def test_a_name_that_there_is_not_is_told(package: str, name: str, error: type[Exception], words: str) -> None:
    module = import_module(package)
    for _ in range(2):
        with pytest.raises(error) as told:
            getattr(module, name)
        assert words in str(told.value)


def test_two_threads_may_name_it_first() -> None:
    """Each name first used by eight threads at the same moment: one value, no deadlock, in whatever order they come."""
    program = """
import sys, threading
sys.setswitchinterval(1e-5)
import trio_transports
names = [name for name in trio_transports.__all__ if name != "__version__"]
found, start = [], threading.Barrier(8)
def name_all(first):
    start.wait()
    found.append({name: getattr(trio_transports, name) for name in names[first:] + names[:first]})
threads = [threading.Thread(target=name_all, args=(7 * n,), daemon=True) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join(30)
print(len(found), all(one[name] is getattr(trio_transports, name) for one in found for name in names))
"""
    assert run(program) == ["8", "True"]


def test_no_name_is_needed_to_load_another() -> None:
    """Each name of each package: who loads a module by its path never waits for one who loads a name."""
    program = f"""
from importlib import import_module
from trio_transports import _lazy
class Once:
    within = False
    def __enter__(self):
        assert not Once.within, f"{{name}} of {{package}} needs another lazy name"
        Once.within = True
    def __exit__(self, *exc_info):
        Once.within = False
_lazy._loading = Once()
count = 0
for package in {LAZY!r}:
    module = import_module(package)
    for name in module.__all__:
        getattr(module, name)
        count += 1
print(count)
"""
    assert int(run(program)[0]) > 200


@pytest.mark.parametrize(
    "how", ["trio_transports.serializers.protobuf", "from trio_transports.serializers import protobuf"]
)
def test_a_module_may_be_loaded_by_its_path_meanwhile(how: str) -> None:
    """One thread is amid loading it by its path when another names it: both have it in the end."""
    program = f"""
import sys, threading
import trio_transports.serializers
amid, ends = threading.Event(), []
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "google.protobuf.message":
            amid.set()
            threading.Event().wait(0.2)
sys.meta_path.insert(0, Slow())
def load():
    import trio_transports.serializers.protobuf
    ends.append("loaded")
def name():
    amid.wait()
    {how}
    ends.append("named")
threads = [threading.Thread(target=each, daemon=True) for each in (name, load)]
for thread in threads: thread.start()
for thread in threads: thread.join(20)
print(*sorted(ends))
"""
    assert run(program) == ["loaded", "named"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_need_not_wait_for_who_is_not_there() -> None:
    """Forked while another thread loads a name, the child names others."""
    program = """
import os, sys, threading, time
import trio_transports
from trio_transports import _lazy
has, may_go = threading.Event(), threading.Event()
def hold():
    with _lazy._loading:
        has.set()
        may_go.wait(20)
threading.Thread(target=hold, daemon=True).start()
has.wait(20)
child = os.fork()
if child == 0:
    threading.Timer(20, os._exit, [1]).start()
    trio_transports.TextFrame
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
may_go.set()
"""
    for _ in range(2):
        assert run(program) == ["0"]


def test_extras_are_told_where_they_are_missing() -> None:
    """A module below that needs an extra says which when it is named as an attribute, too."""
    path, extra = next((path, extra) for path, extra in NEEDS.items() if path.startswith("serializers."))
    program = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "google":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import trio_transports
try:
    trio_transports.{path}
except ImportError as exc:
    print(exc)
"""
    assert f"needs the '{extra}' extra" in " ".join(run(program))
