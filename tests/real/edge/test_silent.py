"""What a caller costs who says nothing, and what a crowd of them costs the calls under way."""

import gc
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import h11
import pytest
import trio

from tests.real.asgi.apps import until
from tests.real.edge.attacks import GOOD
from tests.real.edge.besieged import SERVERS
from tests.real.edge.hosts import HOSTS
from tests.real.leaving.programs import running

CROWD = 50


def parsers() -> int:
    """How many connections somebody is ready to read a request from."""
    return sum(isinstance(each, h11.Connection) and each.our_role is h11.SERVER for each in gc.get_objects())


@contextmanager
def nothing_collected() -> Iterator[None]:
    """What is counted in the block is not less garbage than at its begin."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("host", [name for name in HOSTS if name != "h2c" and "TLS" not in name])
async def test_nothing_is_made_for_a_caller_before_its_first_word(host: str) -> None:
    """Fifty connect, and nobody is ready to read a request of theirs; then each says a byte, and fifty are. Twice."""
    async with HOSTS[host]() as found:
        for _ in range(2):
            async with AsyncExitStack() as stack:
                stack.enter_context(nothing_collected())
                before = parsers()
                streams = [
                    await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", found.port))
                    for _ in range(CROWD)
                ]
                last = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", found.port))
                await last.send_all(GOOD(found.path))
                assert (await last.receive_some(4000)).startswith(b"HTTP/1.1 101")  # the others were accepted before it
                assert parsers() <= before + 2
                for stream in streams:
                    await stream.send_all(GOOD(found.path)[:1])
                await until(lambda least=before + CROWD: parsers() >= least, limit_s=20)  # type: ignore[misc]


def table_size(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("FDSize"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such table")
@pytest.mark.parametrize("server", SERVERS)
async def test_the_table_of_descriptors_does_not_grow_under_calls(server: str) -> None:
    """It is as large as it may become before anybody is let in: growing it holds a process of several threads."""
    limit = 2048
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))\n" + SERVERS[server]
    code = code.replace("ANSWER", "async def answer(session): await session.output.drain()").replace("GONE_BY", "5.0")
    async with running(code) as program:
        await until(lambda: table_size(program.pid) == limit, limit_s=20)
