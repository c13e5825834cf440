"""Few fields: a class that keeps more than about a dozen is two things in one."""

import importlib
import inspect
import pkgutil

import attrs

import trio_transports

MOST = 14
RECORDS = {"Statistics", "Counters", "Setting", "Line", "LineWords"}
"""Values that list what was counted, or a provider's words: nothing works on their fields together."""
SETTINGS = {"JSONAudioProtocol", "WebSocketProxyClient", "WebSocketProxyServer", "Proxy", "BusSubscription"}
"""What a user may set is most of it."""
NOT_YET_PARTED = {
    "AsgiWire",
    "Connection",
    "FrameWorker",
    "GenesysFrameSerializer",
    "HostedWebsocket",
    "Inbound",
    "LineSerializer",
    "Link",
    "Outbound",
    "Outbox",
    "OwnedStream",
    "Probe",
    "ScriptedPhone",
    "ShortWay",
    "StreamReader",
    "Unread",
    "Writer",
}
"""Classes with two things in one. None is to be added."""


def test_no_class_keeps_many_fields() -> None:
    """Over the whole package, but for parameters, dialects that inherit a line's settings, and what is named above."""
    too_many: dict[str, int] = {}
    for module in pkgutil.walk_packages(trio_transports.__path__, "trio_transports."):
        try:
            found = importlib.import_module(module.name)
        except ImportError:
            continue  # a module of an extra that is not there
        for name, kind in vars(found).items():
            if not (inspect.isclass(kind) and kind.__module__ == module.name and attrs.has(kind)):
                continue
            own = [each for each in attrs.fields(kind) if not each.inherited]
            if len(own) > MOST and not name.endswith("Params"):
                too_many[name] = len(own)
    allowed = RECORDS | SETTINGS | NOT_YET_PARTED
    assert {name: count for name, count in too_many.items() if name not in allowed} == {}
    assert {"Counters", "Statistics"} <= set(too_many), "it sees what is there"
