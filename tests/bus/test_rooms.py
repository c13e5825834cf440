"""How the bus is built: each of its rooms stands on those before it, and no module comes back to itself."""

from graphlib import TopologicalSorter

from tests.test_layers import imports, modules, path_of

ROOMS = (
    (
        "messages",
        "ui_messages",
        "names",
        "weight",
        "subscription",
        "crossing",
        "bus",
        "local",
        "registry",
        "jobs",
        "asking",
        "answering",
        "worker",
        "runner",
        "outbox",
    ),
    ("codec",),
    ("bridging", "bridged_call", "calls", "frame_worker"),
    ("proxy",),
    ("redis",),
)
ROOM_OF = {name: number for number, names in enumerate(ROOMS) for name in names}


def imported() -> dict[str, set[str]]:
    """The modules of the bus, and which of the others each imports, for type checking too."""
    own = {".".join(module[1:]): module for module in modules() if module[0] == "bus"}
    found: dict[str, set[str]] = {}
    for name, module in own.items():
        if not name:
            continue  # it re-exports everything
        path = path_of(module)
        found[name] = set()
        for _, full in imports(module, path.read_text("utf-8"), is_package=path.name == "__init__.py"):
            parts = full.split(".")
            if parts[:2] == ["trio_transports", "bus"]:
                target = max(
                    (".".join(parts[2:end]) for end in range(3, len(parts) + 1)), key=lambda it: (it in own, it)
                )
                found[name].add(target)
    return found


def test_no_circle() -> None:
    """The modules of the bus can be put in an order in which each imports only what comes before it."""
    order = list(TopologicalSorter(imported()).static_order())
    assert {"messages", "worker", "codec.json", "proxy.link", "redis.bus"} <= set(order)


def test_each_room_stands_on_those_before_it() -> None:
    """Core knows of no codec, no proxy and no Redis; a codec of no proxy; a proxy of no Redis."""
    wrong = [
        f"{name} imports {target}"
        for name, targets in imported().items()
        for target in targets
        if ROOM_OF[target.split(".")[0]] > ROOM_OF[name.split(".")[0]]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_bus_protocol_has_a_file_of_its_own() -> None:
    """What any bus is can be read, and imported, without any of them."""
    assert imported()["bus"] <= {"messages", "subscription"}
