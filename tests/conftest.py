"""What every test is held to: it leaves no socket open, no task running, and no warning behind.

Rules
1. A socket, file or coroutine that was dropped instead of closed fails the test that dropped it: warnings are errors,
   and garbage is collected before the next test starts.
2. A socket that is still held after a test fails it too. Those of wider fixtures are open before the test and may stay.
3. Tasks end with their nursery, so only system tasks can outlive a test's body. One that does fails the test, unless
   it is marked ``leaves_system_task``, for the few whose subject is a write that cannot be cancelled.
4. How much is logged is as before: a test that left a logger at another level changed what later tests are told.
5. Where several processes share the work, a test marked ``alone`` has the machine to itself (``tests.turns``).
"""

import gc
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import wraps
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, settings

from tests.tools import in_ci
from tests.turns import Turns, shared_folder

_TURNS = pytest.StashKey[Turns | None]()
_DESCRIPTORS = Path("/proc/self/fd")


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says how busy the machine is, and whether Hypothesis has drawn a text in this checkout
    # before: the first takes it a second or more. In CI it has a profile of its own that knows it.
    if not in_ci():
        settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("any machine")
    folder = shared_folder(config)
    config.stash[_TURNS] = Turns(folder) if folder else None
    config.addinivalue_line("markers", "alone: it measures time, so no other process may run a test beside it")
    config.addinivalue_line("markers", "leaves_system_task(why): the test's subject outlives its body by design")


def pytest_collection_finish() -> None:
    _collect_and_set_aside()


def _collect_and_set_aside() -> None:
    # What is alive after a test (modules, reports of tests) mostly stays. Looked at again by each later collection, it
    # made the last tests' collections take ten times as long as the first ones', and the suite twice as long.
    gc.collect()
    gc.freeze()


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    turns = item.config.stash[_TURNS]
    if turns is None:
        return (yield)
    with turns.taken(alone=_is_alone(item), keeps=_is_alone(nextitem)):
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if turns := session.config.stash[_TURNS]:
        turns.give_back()


def _open_sockets() -> set[str]:
    if not _DESCRIPTORS.is_dir():
        return set()
    found = set()
    for entry in os.listdir(_DESCRIPTORS):
        try:
            target = os.readlink(_DESCRIPTORS / entry)
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    before = _open_sockets()
    yield
    _collect_and_set_aside()
    left = _open_sockets() - before
    if left:
        left = _still_open(left)
    if left:
        pytest.fail(f"{len(left)} socket(s) still open after the test: {', '.join(sorted(left))}", pytrace=False)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    before = _how_it_logs()
    yield
    after = _how_it_logs()
    as_made = (logging.NOTSET, False, True)
    changed = [name for name in before | after if before.get(name, as_made) != after.get(name, as_made)]
    for name in changed:
        logger = logging.getLogger(name)
        logger.level, logger.disabled, logger.propagate = before.get(name, as_made)
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    if changed:
        pytest.fail(f"what is logged is not as before the test: {', '.join(changed)}", pytrace=False)


def _how_it_logs() -> dict[str, tuple[int, bool, bool]]:
    """The root, and each logger of ours."""
    ours = [name for name in logging.Logger.manager.loggerDict if name.startswith("trio_transports")]
    loggers = [logging.getLogger(name) for name in ("root", *ours)]
    return {each.name: (each.level, each.disabled, each.propagate) for each in loggers}


def _still_open(sockets: set[str]) -> set[str]:
    """Those that are held by more than a thread that is just ending, or garbage with what had been set aside in it."""
    gc.unfreeze()
    for _ in range(20):
        gc.collect()
        sockets = sockets & _open_sockets()
        if not sockets:
            break
        time.sleep(0.05)
    gc.freeze()
    return sockets


def _system_tasks() -> set[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {task for nursery in root.child_nurseries for task in nursery.child_tasks}


def _without_stray_tasks(test: Callable[..., Awaitable[None]], where: str) -> Callable[..., Awaitable[None]]:
    @wraps(test)
    async def checked(*args: object, **kwargs: object) -> None:
        before = _system_tasks()
        await test(*args, **kwargs)
        await trio.lowlevel.checkpoint()
        stray = _system_tasks() - before
        if stray:
            names = ", ".join(sorted(task.name for task in stray))
            pytest.fail(f"{where} left system tasks running: {names}", pytrace=False)

    return checked


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if (
        isinstance(item, pytest.Function)
        and inspect.iscoroutinefunction(item.obj)
        and item.get_closest_marker("leaves_system_task") is None
    ):
        item.obj = _without_stray_tasks(item.obj, item.nodeid)
    try:
        return (yield)
    except pytest.skip.Exception as exc:
        # pytest-trio takes a skip out of its exception group and loses what it said.
        if not exc.msg and (said := _skip_reason(exc.__context__)):
            raise pytest.skip.Exception(said) from None
        raise


def _skip_reason(exc: BaseException | None) -> str:
    match exc:
        case pytest.skip.Exception():
            return exc.msg or ""
        case BaseExceptionGroup():
            return next(filter(None, map(_skip_reason, exc.exceptions)), "")
        case _:
            return ""
