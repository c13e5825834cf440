"""The mistakes that are made first, each with an error that says what is wrong, where, and what to do.

The table is the list. A mistake is committed as a user would, and the error's text has to have all the words named.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import trio
from attrs import frozen
from hypercorn.config import Config

import trio_transports as tt
from trio_transports.agent import WebSocketAgentAdapter
from trio_transports.agent.protocols.raw import RawPCMProtocol
from trio_transports.bus import Worker, WorkerRunner
from trio_transports.bus.proxy.serving import serve_proxies
from trio_transports.hosting import serve_asgi
from trio_transports.pipeline import Pipeline
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.telephony import TwilioHangUp
from trio_transports.testing import memory_session

SERVER = tt.WebsocketServerParams(serializer=JSONFrameSerializer(), audio_in_enabled=True, audio_out_enabled=True)
CLIENT = tt.WebsocketClientParams(serializer=JSONFrameSerializer())
URL = "ws://127.0.0.1:8765"
any_: Any = None  # what a type checker would have seen is what is committed here


def server(params: Any = SERVER, *, port: Any = 0, **named: Any) -> Any:  # noqa: ANN401 - mistakes have any type
    return tt.WebsocketServerTransport(params, "127.0.0.1", port, **named)


def client(*given: Any, **named: Any) -> Any:  # noqa: ANN401
    return tt.WebsocketClientTransport(*given, **named)


async def bot(session: tt.Session) -> None:
    """A handler that is right."""


async def twenty(session: tt.Session, what: int) -> None:
    """A handler that wants more than the session."""


def plain(session: tt.Session) -> None:
    """A handler without async."""


def loose(session):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as one writes it who writes no types
    """A handler without async, and without a word of what it gives."""


def lets_in(peer: object) -> bool:
    """Who is let in, without async."""
    return True


async def yielding(session: tt.Session) -> AsyncIterator[tt.Frame]:
    """A handler that yields."""
    yield tt.TextFrame(text="hello")


async def taken_port() -> None:
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(server().serve, bot)
        try:
            await server(port=ready.port).serve(bot)
        finally:
            nursery.cancel_scope.cancel()


async def nobody_there() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with client(f"ws://127.0.0.1:{port}").session():
        pass


async def in_a_session(act: Callable[[Any], object], **named: Any) -> None:  # noqa: ANN401
    params = tt.TransportParams(serializer=JSONFrameSerializer(), **named)
    async with memory_session(params) as (session, _):
        done = act(session)
        if inspect.isawaitable(done):
            await done


async def after_the_end(session: tt.Session) -> None:
    await session.output.send(tt.EndFrame())
    await session.output.send(tt.TextFrame(text="one more thing"))


async def after_close(session: tt.Session) -> None:
    await session.aclose()
    await session.output.send(tt.TextFrame(text="one more thing"))


async def read_session(session: Any) -> None:  # noqa: ANN401
    async for _ in session:
        pass


async def enter_transport() -> None:
    async with client(URL):
        pass


def on_asyncio() -> None:
    async def main() -> None:
        await server().serve(bot)

    asyncio.run(main())


def import_of(name: str) -> Callable[[], object]:
    return partial(exec, f"from trio_transports import {name}")


@frozen
class Mistake:
    """What is done, what it raises, and the words that have to be in it: what, where, what to do."""

    name: str
    commit: Callable[[], object] | Callable[[], Awaitable[object]]
    error: type[BaseException]
    says: tuple[str, ...]


PARAMS_RULE = "each transport has parameters of its own"
MISTAKES = (
    Mistake(
        "a client's parameters for a server",
        lambda: server(CLIENT),
        TypeError,
        ("WebsocketServerTransport.params must be WebsocketServerParams(...)", "WebsocketClientParams", PARAMS_RULE),
    ),
    Mistake(
        "a server's parameters for a client",
        lambda: client(URL, SERVER),
        TypeError,
        ("WebsocketClientTransport.params must be WebsocketClientParams(...)", "WebsocketServerParams", PARAMS_RULE),
    ),
    Mistake(
        "a server's parameters in an app",
        lambda: tt.AsgiWebsocketTransport(any_, SERVER),  # type: ignore[arg-type]
        TypeError,
        ("AsgiWebsocketTransport.params must be AsgiWebsocketParams(...)", "WebsocketServerParams", PARAMS_RULE),
    ),
    Mistake(
        "the class in place of parameters",
        lambda: server(tt.WebsocketServerParams),
        TypeError,
        ("WebsocketServerTransport.params is the class", "make one, WebsocketServerParams(...)"),
    ),
    Mistake(
        "a host where the parameters belong",
        lambda: tt.WebsocketServerTransport("0.0.0.0", port=1),  # type: ignore[arg-type]
        TypeError,
        ("WebsocketServerTransport.params must be WebsocketServerParams(...)", "'0.0.0.0'"),
    ),
    Mistake(
        "a handler that is called in place of passed",
        lambda: server().serve(bot(any_)),
        TypeError,
        ("WebsocketServerTransport.serve takes the handler itself", "write bot, not bot(...)"),
    ),
    Mistake(
        "a handler without async",
        lambda: server().serve(plain),
        TypeError,
        ("handler plain is a plain function", "write `async def plain(session)`"),
    ),
    Mistake(
        "a handler that yields",
        lambda: server().serve(yielding),
        TypeError,
        ("handler yielding is a generator", "write `await session.output.send(frame)`"),
    ),
    Mistake(
        "a handler that wants more",
        lambda: server().serve(twenty),
        TypeError,
        ("handler twenty(session", "missing a required argument: 'what'", "functools.partial"),
    ),
    Mistake(
        "a drain from the environment",
        lambda: server().serve(bot, drain="30"),
        TypeError,
        ("drain must be a number of seconds, 0 or more, not '30'",),
    ),
    Mistake(
        "no time to drain in",
        lambda: server().serve(bot, signals=True, drain=-1),
        ValueError,
        ("drain must be a number of seconds, 0 or more, not -1",),
    ),
    Mistake(
        "proxies with a drain from the environment",
        lambda: serve_proxies(any_, any_, drain="30"),  # type: ignore[arg-type]
        TypeError,
        ("drain must be a number of seconds, 0 or more, not '30'",),
    ),
    Mistake(
        "serve_asgi with a drain from the environment",
        lambda: serve_asgi(any_, Config(), drain="30"),  # type: ignore[arg-type]
        TypeError,
        ("drain must be a number of seconds, 0 or more, not '30'",),
    ),
    Mistake(
        "authorize without async",
        lambda: tt.WebsocketServerParams(serializer=JSONFrameSerializer(), authorize=lets_in),  # type: ignore[arg-type]
        TypeError,
        ("WebsocketServerParams.authorize is a plain function", "write `async def lets_in`"),
    ),
    Mistake(
        "hang_up that yields",
        lambda: tt.TransportParams(hang_up=yielding),  # type: ignore[arg-type]
        TypeError,
        ("TransportParams.hang_up is a plain function", "write `async def yielding`"),
    ),
    Mistake(
        "the class of a hang_up",
        lambda: tt.TransportParams(hang_up=TwilioHangUp),  # type: ignore[arg-type]
        TypeError,
        ("TransportParams.hang_up is the class TwilioHangUp itself", "make one, TwilioHangUp(...)"),
    ),
    Mistake(
        "no serializer",
        lambda: tt.WebsocketServerParams(),
        ValueError,
        ("WebsocketServerParams.serializer is required", "every frame would be lost", "JSONFrameSerializer()"),
    ),
    Mistake(
        "a serializer's name",
        lambda: tt.WebsocketServerParams(serializer="protobuf"),  # type: ignore[arg-type]
        TypeError,
        ("WebsocketServerParams.serializer must have encode, decode", "'protobuf'"),
    ),
    Mistake(
        "a port that is none",
        lambda: server(port="8765").serve(bot),
        ValueError,
        ("port must be a whole number from 0 (a free one) to 65535", "'8765'"),
    ),
    Mistake("a port that is taken", taken_port, OSError, ("127.0.0.1:", "is taken", "choose another port")),
    Mistake(
        "a port where nobody is",
        nobody_there,
        tt.TransportError,
        ("cannot connect to ws://127.0.0.1:", "Connection refused", "nothing listens on that port"),
    ),
    Mistake("a page's address", lambda: client("http://127.0.0.1:8765"), ValueError, ("not a WebSocket URL", "ws://")),
    Mistake(
        "parameters where the address goes",
        lambda: client(CLIENT),
        TypeError,
        ("a str", "not WebsocketClientParams", "ws://host:port/path"),
    ),
    Mistake("an address in bytes", lambda: client(b"ws://127.0.0.1:8765"), TypeError, ("a str", "not bytes")),
    Mistake(
        "a misspelled parameter",
        lambda: tt.WebsocketServerParams(serializer=JSONFrameSerializer(), audio_out_enable=True),  # type: ignore[call-arg]
        TypeError,
        ("WebsocketServerParams takes no 'audio_out_enable'", "is 'audio_out_enabled' meant?"),
    ),
    Mistake(
        "the port among the parameters",
        lambda: tt.WebsocketServerParams(serializer=JSONFrameSerializer(), port=8765),  # type: ignore[call-arg]
        TypeError,
        ("WebsocketServerParams takes no 'port'", "an argument of the transport"),
    ),
    Mistake(
        "interruptions without ears",
        lambda: tt.WebsocketServerParams(serializer=JSONFrameSerializer(), allow_interruptions=True),
        ValueError,
        ("WebsocketServerParams.allow_interruptions needs vad_enabled=True",),
    ),
    Mistake(
        "an origin that no browser names",
        lambda: tt.WebsocketServerParams(serializer=JSONFrameSerializer(), allowed_origins=["app.example"]),
        ValueError,
        ("WebsocketServerParams.allowed_origins has 'app.example'", "write scheme and host"),
    ),
    Mistake("another event loop", on_asyncio, tt.LocalProtocolError, ("runs on trio", "asyncio", "trio.run(main)")),
    Mistake(
        "bytes in place of a frame",
        lambda: in_a_session(lambda session: session.output.send(b"\0\0"), audio_out_enabled=True),
        TypeError,
        ("is not a frame", "send AudioFrame(audio=..., sample_rate=...)"),
    ),
    Mistake(
        "text in place of a frame",
        lambda: in_a_session(lambda session: session.output.send("hello")),
        TypeError,
        ("'hello' is not a frame", "send TextFrame(text=...)"),
    ),
    Mistake(
        "an array in place of bytes",
        lambda: tt.AudioFrame(audio=np.zeros(160, "<i2"), sample_rate=16000),  # type: ignore[arg-type]
        TypeError,
        ("AudioFrame.audio must be bytes, not ndarray", "bytes("),
    ),
    Mistake(
        "audio where none was enabled",
        lambda: in_a_session(lambda session: session.output.send(tt.AudioFrame(audio=b"\0\0", sample_rate=16000))),
        tt.LocalProtocolError,
        ("audio_out_enabled is False", "set it in the parameters"),
    ),
    Mistake(
        "a frame after the end",
        lambda: in_a_session(after_the_end),
        tt.ConnectionClosed,
        ("closed by this side, code 1000",),
    ),
    Mistake(
        "a frame after close",
        lambda: in_a_session(after_close),
        tt.ConnectionClosed,
        ("closed by this side, code 1000",),
    ),
    Mistake(
        "a session read as its input",
        lambda: in_a_session(read_session),
        TypeError,
        ("Session cannot be used so", "async for frame in session.input"),
    ),
    Mistake(
        "a session's verb without its output",
        lambda: in_a_session(lambda session: session.interrupt()),
        AttributeError,
        ("'Session' object has no attribute 'interrupt'", "`session.output`"),
    ),
    Mistake("a transport entered as a session", enter_transport, TypeError, ("async with transport.session()",)),
    Mistake("a stage without its list", lambda: Pipeline(plain), TypeError, ("Pipeline takes a list of stages",)),  # type: ignore[arg-type]
    Mistake(
        "a channel among the stages",
        lambda: in_a_session(lambda session: Pipeline([session.input, session.output])),
        TypeError,
        ("Inbox is a channel, not a stage", "run(session.input, session.output)"),
    ),
    Mistake(
        "a name from the package's front",
        import_of("Pipeline"),
        ImportError,
        ("cannot import name 'Pipeline'", "from trio_transports.pipeline import Pipeline"),
    ),
)

MIGRATING = (
    Mistake("input", lambda: server().input(), AttributeError, ("no attribute 'input'", "`session.input`")),
    Mistake("output", lambda: client(URL).output(), AttributeError, ("no attribute 'output'", "`session.output`")),
    Mistake(
        "event_handler",
        lambda: server().event_handler("on_client_connected"),
        AttributeError,
        ("no attribute 'event_handler'", "transport.events()", "`Connected`"),
    ),
    Mistake("a client's connect", lambda: client(URL).connect(), AttributeError, ("async with transport.session()",)),
    Mistake(
        "an adapter's connect",
        lambda: WebSocketAgentAdapter(URL, RawPCMProtocol()).connect(),
        tt.LocalProtocolError,
        ("WebSocketAgentAdapter.connect() cannot own the tasks", "async with adapter:"),
    ),
    Mistake(
        "add_workers",
        lambda: any_attribute(WorkerRunner(), "add_workers"),
        AttributeError,
        ("no attribute 'add_workers'", "runner.add_worker(one)"),
    ),
    Mistake(
        "a worker's add_workers",
        lambda: any_attribute(Worker("one"), "add_workers"),
        AttributeError,
        ("no attribute 'add_workers'", "runner.add_worker(one)"),
    ),
    Mistake("setup", lambda: server().setup(any_), AttributeError, ("no attribute 'setup'", "ends with its block")),
    Mistake("PipelineTask", import_of("PipelineTask"), ImportError, ("Pipeline([...]).run(session.input",)),
    Mistake("PipelineParams", import_of("PipelineParams"), ImportError, ("allow_interruptions=True",)),
    Mistake("FrameProcessor", import_of("FrameProcessor"), ImportError, ("async def stage(input, output)",)),
    Mistake("OutputAudioRawFrame", import_of("OutputAudioRawFrame"), ImportError, ("`AudioFrame`",)),
    Mistake(
        "FastAPIWebsocketTransport", import_of("FastAPIWebsocketTransport"), ImportError, ("`AsgiWebsocketTransport",)
    ),
    Mistake(
        "queue_frames",
        lambda: any_attribute(Pipeline([]), "queue_frames"),
        AttributeError,
        ("no attribute 'queue_frames'", "await session.output.send(frame)"),
    ),
    Mistake(
        "remote_address",
        lambda: in_a_session(lambda session: session.remote_address),
        AttributeError,
        ("no attribute 'remote_address'", "`session.peer`"),
    ),
    Mistake(
        "a raw send",
        lambda: in_a_session(lambda session: session.send("hello")),
        AttributeError,
        ("no attribute 'send'", "session.output.send_raw"),
    ),
    Mistake(
        "a session's input called",
        lambda: in_a_session(lambda session: session.input()),
        TypeError,
        ("Inbox cannot be used so", "`session.input` and `session.output`"),
    ),
    Mistake("input_name", lambda: server(input_name="ears"), TypeError, ("takes no 'input_name'", "`session.id`")),
    Mistake(
        "a line's ids",
        lambda: TwilioFrameSerializer(stream_sid="MZ1", call_sid="CA1"),  # type: ignore[call-arg]
        TypeError,
        ("TwilioFrameSerializer takes no 'stream_sid'", "hang_up=TwilioHangUp"),
    ),
)


def any_attribute(thing: object, name: str) -> object:
    return getattr(thing, name)


@pytest.mark.parametrize("mistake", [*MISTAKES, *MIGRATING], ids=lambda mistake: mistake.name)
async def test_a_mistake_is_told_with_what_to_do(mistake: Mistake) -> None:
    """It raises, at once, an error with every word that is needed to mend it."""
    with trio.fail_after(10), pytest.raises(BaseException) as raised:  # noqa: PT012 - some are async
        if mistake.commit is on_asyncio:
            await trio.to_thread.run_sync(on_asyncio)
        done = mistake.commit()
        if inspect.isawaitable(done):
            await done
    error = raised.value
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    assert isinstance(error, mistake.error), repr(error)
    missing = [words for words in mistake.says if words not in str(error)]
    assert not missing, f"{missing} not in: {error}"


def test_there_are_at_least_twenty_five() -> None:
    assert len(MISTAKES) >= 25
    names = [mistake.name for mistake in (*MISTAKES, *MIGRATING)]
    assert len(names) == len(set(names))


async def test_a_handler_that_says_nothing_of_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    """A plain function without annotations is found out in the first call; that call ends, and the next, each told."""
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(server().serve, loose)
        for _ in range(2):
            async with client(f"ws://127.0.0.1:{ready.port}", CLIENT).session() as session:
                assert [frame async for frame in session.input] == []
        nursery.cancel_scope.cancel()
    assert caplog.text.count("handler loose is a plain function: write `async def loose(session)`") == 2


def test_names_that_are_only_asked_for_are_not_there() -> None:
    """hasattr, getattr with a default and dir know nothing of the names that moved."""
    transport = server()
    assert not hasattr(transport, "input")
    assert getattr(transport, "event_handler", None) is None
    assert "input" not in dir(transport)
    assert not hasattr(tt, "nothing_of_that_name")
