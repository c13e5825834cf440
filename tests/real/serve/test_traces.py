"""What a real ``serve --otel`` tells a collector: calls and their turns, nothing that is secret; and without one."""

import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, final

import pytest
import trio
from attrs import define, field

from tests.real.serve.command import served
from trio_transports import AudioFrame, TextFrame, WebsocketClientParams, WebsocketClientTransport
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.testing import speech_like

OPENTELEMETRY_S: Final = 30.0
"""How long its provider would wait at the end."""
BOT: Final = "tests.real.serve.traced:bot"
SECRET: Final = "tk-5ecret"
RATE: Final = 16000
QUIET: Final = bytes(RATE)
"""Half a second: an analyzer learns by it what silence is here."""
SPOKEN: Final = QUIET + speech_like(0.6, sample_rate=RATE).audio + 2 * QUIET


@final
@define(eq=False)
class Collector:
    """OTLP's ``/v1/traces``, as JSON."""

    port: int
    spans: list[dict[str, Any]] = field(factory=list)
    bodies: list[bytes] = field(factory=list)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.bodies.append(body)
            for resource in json.loads(body)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    assert scope["scope"]["name"] == "trio_transports"
                    collector.spans += scope["spans"]
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_address[1])
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            await trio.to_thread.run_sync(server.shutdown)
            await trio.to_thread.run_sync(thread.join)


def attributes(span: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"]["stringValue"] for each in span["attributes"]}


async def has_a_turn(url: str) -> None:
    """A call in which the caller speaks and is answered; what it brings and says is nobody else's."""
    params = WebsocketClientParams(
        serializer=JSONFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True, audio_out_sample_rate=RATE,
        additional_headers={"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}, connect_timeout=60,
    )  # fmt: skip
    async with WebsocketClientTransport(f"{url}?token={SECRET}&name=value", params).session() as session:
        await session.output.send(TextFrame(text=f"my number is {SECRET}"))
        await session.output.send(AudioFrame(audio=SPOKEN, sample_rate=RATE))
        with trio.fail_after(60):
            async for frame in session.input:
                if isinstance(frame, AudioFrame) and any(frame.audio):
                    return


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
async def test_a_collector_is_told_of_calls_and_turns(
    workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls: each a trace of its own with its turn in it, how it ended and what it counted; no secret in any."""
    async with collecting() as collector:
        monkeypatch.setenv("TT_TRACES_TO", f"http://127.0.0.1:{collector.port}")
        async with served(BOT, "--otel", *workers) as server:
            for _ in range(2):
                await has_a_turn(server.ws_url)
            server.tell(signal.SIGTERM)
            assert await server.ended() == 0  # what was told last has gone out by then
    calls, turns = collector.of("session"), collector.of("turn")
    assert {span["name"] for span in collector.spans} == {"session", "turn"}
    assert (len(calls), len(turns)) == (2, 2)
    by_id = {call["spanId"]: call for call in calls}
    assert {turn["parentSpanId"] for turn in turns} == set(by_id)
    assert len({call["traceId"] for call in calls}) == 2
    for turn in turns:
        call = by_id[turn["parentSpanId"]]
        assert turn["traceId"] == call["traceId"]
        began, ended = int(turn["startTimeUnixNano"]), int(turn["endTimeUnixNano"])
        assert int(call["startTimeUnixNano"]) < began < ended <= int(call["endTimeUnixNano"])
        assert (ended - began) / 1e9 == pytest.approx(float(attributes(turn)["trio_transports.latency_s"]), abs=1e-6)
    for call in calls:
        told = attributes(call)
        assert call["parentSpanId"] == ""
        assert told["url.path"] == "/ws"
        assert told["network.peer.address"].startswith("127.0.0.1")
        assert (told["websocket.close.code"], told["trio_transports.initiator"]) == ("1000", "remote")
        assert int(told["trio_transports.messages_received"]) > 10
        assert float(told["trio_transports.audio_received_s"]) > 0.5
        assert call["status"]["code"] == 0
    assert not [body for body in collector.bodies if SECRET.encode() in body or b"name=value" in body]


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
async def test_a_collector_that_says_nothing_holds_nobody(
    workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and never answers: two calls have their turns, and the server ends before its provider."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("TT_TRACES_TO", f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with served(BOT, "--otel", "--drain", "60", *workers) as server:
            for _ in range(2):
                await has_a_turn(server.ws_url)
            server.tell(signal.SIGTERM)
            began_s = trio.current_time()
            assert await server.ended() == 0
            assert trio.current_time() - began_s < OPENTELEMETRY_S


async def test_a_collector_that_is_not_there_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("TT_TRACES_TO", f"http://127.0.0.1:{closed.getsockname()[1]}")
    async with served(BOT, "--otel") as server:
        for _ in range(2):
            await has_a_turn(server.ws_url)
        server.tell(signal.SIGTERM)
        assert await server.ended() == 0
