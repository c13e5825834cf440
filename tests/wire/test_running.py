"""What is said where another event loop runs."""

import asyncio

import pytest
import trio

from trio_transports.errors import LocalProtocolError
from trio_transports.wire.running import ASGI_WAYS_OUT, MAIN_WAYS_OUT, require_trio


async def test_on_trio_it_runs() -> None:
    await trio.lowlevel.checkpoint()
    require_trio("it", MAIN_WAYS_OUT)


@pytest.mark.parametrize(("ways_out", "what"), [(ASGI_WAYS_OUT, "an ASGI app"), (MAIN_WAYS_OUT, "a program")])
def test_under_asyncio_the_ways_out_are_told(ways_out: str, what: str) -> None:
    async def main() -> None:
        require_trio("it", ways_out)

    with pytest.raises(LocalProtocolError) as caught:
        asyncio.run(main())
    assert str(caught.value) == (
        "it runs on trio, and this is asyncio (as under uvicorn, Daphne, hypercorn's default worker or a plain "
        f"TestClient). For {what}: {ways_out}"
    )


def test_without_any_loop() -> None:
    with pytest.raises(LocalProtocolError, match="this is no event loop that is known"):
        require_trio("it", MAIN_WAYS_OUT)


async def test_outside_of_trios_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a callback of trio's own."""
    monkeypatch.setattr(trio.lowlevel, "in_trio_task", lambda: False)
    await trio.lowlevel.checkpoint()
    with pytest.raises(LocalProtocolError, match="this is trio, outside of its tasks"):
        require_trio("it", MAIN_WAYS_OUT)


def test_on_a_loop_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    import sniffio

    monkeypatch.setattr(sniffio, "current_async_library", lambda: "curio")
    with pytest.raises(LocalProtocolError, match=r"this is curio\. For a program"):
        require_trio("it", MAIN_WAYS_OUT)
