"""In virtual time no test of the bus hangs: one that waits in vain fails."""

import inspect
from collections.abc import Generator

import pytest

from tests.virtual_time import not_in_vain


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if (
        isinstance(item, pytest.Function)
        and inspect.iscoroutinefunction(item.obj)
        and "autojump_clock" in item.fixturenames
    ):
        item.obj = not_in_vain(item.obj)
    return (yield)
