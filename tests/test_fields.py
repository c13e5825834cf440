"""Few fields: a class that keeps more than about a dozen is two things in one."""

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType

import attrs

import trio_transports
from trio_transports.agent import WebSocketAgentAdapter
from trio_transports.bus.proxy.base import Proxy
from trio_transports.bus.proxy.server import WebSocketProxyServer
from trio_transports.serializers.lines.serializer import LineSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.wire.memory import LeanMemoryWire, MemoryWire

MOST = 12
MOST_OF_A_FEW_OVER = 14
PACKAGE = "trio_transports."
RECORDS = {
    "serializers.lines.line.Line",
    "session.statistics.Counters",
    "session.statistics.Statistics",
    "testing.phones.line.LineWords",
}
"""Values that list what was counted, or a provider's words: nothing works on their fields together."""
SETTINGS = {
    "agent.protocols.json_audio.JSONAudioProtocol",
    "bus.proxy.base.Proxy",
    "bus.subscription.BusSubscription",
}
"""What a user may set is most of it."""
A_FEW_OVER = {
    # What is read or written for each frame or message: to ask another object for it would be a call more.
    "bus.outbox.Outbox",
    "session.ear.Ear",
    "session.outbox.WireOutbox",
    "session.unread.Unread",
    "vad.listener.Listener",
    # The same, each way, if its reading and its writing were two objects; what its kernel has not taken, and how bytes
    # come and go, are others already.
    "wire.direct.DirectWire",
    # Half of it is what its base keeps of a stream or a worker, most of the rest what a user may set.
    "bus.proxy.client.WebSocketProxyClient",
    "serializers.lines.asterisk.AsteriskFrameSerializer",
    "serializers.lines.jambonz.JambonzFrameSerializer",
    "serializers.lines.telnyx.TelnyxFrameSerializer",
    # Where the parts of one thing meet, each of them made once.
    "bus.proxy.link.Link",
    "bus.runner.WorkerRunner",
    "pipeline.link.StageLink",
    "session.outbound.Outbound",
    # What one call noted, for a report.
    "cli.call.Call",
    "cli.probe.Probe",
    "testing.phones.phone.ScriptedPhone",
}
"""They keep 13 or 14, each group for its reason, and none may keep more. None is to be added without one."""
ALLOWED = RECORDS | SETTINGS | A_FEW_OVER


def place(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix(PACKAGE)


def is_told(kind: type) -> bool:
    """Whether its fields are told of itself, and so not again of those that inherit them."""
    return place(kind) in ALLOWED or kind.__name__.endswith("Params")


@cache
def set_in_init(module: ModuleType) -> dict[str, set[str]]:
    """What each class of a module sets on itself where it is made."""
    found: dict[str, set[str]] = {}
    for kind in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(kind, ast.ClassDef):
            for method in kind.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    found.setdefault(kind.name, set()).update(_set_on_self(method))
    return found


def _set_on_self(method: ast.FunctionDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def own_fields(kind: type) -> set[str]:
    own = set_in_init(importlib.import_module(kind.__module__)).get(kind.__name__, set())
    if attrs.has(kind) and "__attrs_attrs__" in vars(kind):
        return own | {each.name for each in attrs.fields(kind) if not each.inherited}
    return own


def fields(kind: type) -> set[str]:
    """Its own, and what it inherits from classes of this package that are not told themselves."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith(PACKAGE) and not is_told(base)]
    return set[str]().union(*(own_fields(each) for each in (kind, *bases)))


def test_no_class_keeps_many_fields() -> None:
    """Over the whole package, but for parameters and what is named above; and what is named above still does."""
    seen: set[str] = set()
    too_many: dict[str, int] = {}
    for module in pkgutil.walk_packages(trio_transports.__path__, PACKAGE):
        try:
            found = importlib.import_module(module.name)
        except ImportError:
            continue  # a module of an extra that is not there
        seen.add(module.name.removeprefix(PACKAGE))
        for kind in vars(found).values():
            if inspect.isclass(kind) and kind.__module__ == module.name and not kind.__name__.endswith("Params"):
                count = len(fields(kind))
                if count > MOST:
                    too_many[place(kind)] = count
    assert {name: count for name, count in too_many.items() if name not in ALLOWED} == {}
    assert {name for name in A_FEW_OVER if too_many.get(name, 0) > MOST_OF_A_FEW_OVER} == set()
    here = {name for name in ALLOWED if name.rpartition(".")[0] in seen}
    assert here - set(too_many) == set(), "these keep few by now: take them off the list"


def test_a_class_is_counted_with_what_it_inherits_and_sets() -> None:
    """What its bases in this package keep, and what ``__init__`` sets; not what a base keeps that is told itself."""
    assert fields(LeanMemoryWire) == fields(MemoryWire) > {"peer", "unresponsive", "_arrived"}
    assert fields(WebSocketAgentAdapter) > {"url", "protocol", "_events"}
    assert fields(TwilioFrameSerializer) > fields(LineSerializer)
    assert fields(WebSocketProxyServer).isdisjoint(own_fields(Proxy))
    source = "def __init__(self):\n    self.a, self.b = self.e = 1, 2\n    self.c: int = 3\n    other.d = self.a"
    (method,) = ast.parse(source).body
    assert isinstance(method, ast.FunctionDef)
    assert _set_on_self(method) == {"a", "b", "c", "e"}
