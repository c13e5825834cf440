"""Proxies with peers that say what is not known here."""

import json
from collections.abc import Callable

import pytest
import trio
import trio.testing
from attrs import frozen

from tests.bus.proxies import JSON, MAKERS, data, on_the_bus, running, wire_pair
from trio_transports.bus import (
    BUS_SUBPROTOCOL,
    BinaryMessageSerializer,
    BusFrameMessage,
    BusJobCancelMessage,
    BusJobRequestMessage,
    BusMessage,
    BusOpaqueMessage,
    BusUICommandMessage,
    BusUIJobGroupStartedMessage,
    CustomFrame,
    JSONMessageSerializer,
    LocalBus,
    ProxySettings,
    UnknownTypeError,
)
from trio_transports.bus.names import MAX_NAME
from trio_transports.bus.proxy.base import Proxy
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import AudioFrame, DTMFFrame, TextFrame, TranscriptionFrame


def stranger(name: str, **members: object) -> str:
    return json.dumps({"__type__": name, "__data__": members})


def bot_speaking() -> str:
    """What a stock Pipecat bridge sends every 50 ms while the bot speaks."""
    return stranger(
        "pipecat.bus.messages.BusFrameMessage",
        source="far",
        target="near",
        frame={"__type__": "pipecat.frames.frames.BotSpeakingFrame", "__data__": {"id": 1, "name": "b"}},
        direction={"__type__": "pipecat.processors.frame_processor.FrameDirection", "__data__": "DOWNSTREAM"},
    )


@MAKERS
@pytest.mark.parametrize("subprotocol", [None, BUS_SUBPROTOCOL])
async def test_frames_that_are_not_known_end_no_link(
    make: Callable[..., Proxy],
    subprotocol: str | None,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """105 ``BotSpeakingFrame`` and then 10,000, nothing between them: counted, not malformed, and the link is open."""
    near, far = wire_pair(subprotocol)
    proxy = make(near)
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        for count in (105, 10_000):
            before = proxy.statistics().unknown
            for _ in range(count):
                await far.send(bot_speaking())
            await far.send(JSON.encode(data("far", "near")))
            assert await on_the_bus(reader) == [data("far", "near")]
            assert proxy.statistics().unknown - before == count
        assert proxy.statistics().malformed == 0
        assert proxy.is_connected
    assert len(caplog.records) == 0


@MAKERS
async def test_messages_that_are_not_known_end_no_link_either(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """An envelope with a name of somebody's own, and a value inside a payload: ignored and counted."""
    near, far = wire_pair()
    proxy = make(near, settings=ProxySettings(max_malformed=3))
    job = {"source": "far", "target": "near", "job_id": "j", "payload": {"x": {"__type__": "a.B", "__data__": {}}}}
    async with running(proxy):
        for _ in range(50):
            await far.send(stranger("acme.messages.Order", source="far", target="near", number=5))
            await far.send(stranger("pipecat.bus.messages.BusJobRequestMessage", **job))
        await trio.testing.wait_all_tasks_blocked()
        assert (proxy.statistics().unknown, proxy.statistics().malformed) == (100, 0)
        assert proxy.is_connected


@MAKERS
async def test_what_is_malformed_is_so_beside_what_is_not_known(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """Broken messages close the link after ``max_malformed`` in a row; a stranger's between them break no row."""
    near, far = wire_pair()
    proxy = make(near, settings=ProxySettings(max_malformed=3))
    large = stranger("acme.messages.Order", text="x" * 900_000)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.run, LocalBus())
            for _ in range(2):
                await far.send("garbage")
                await far.send(large)
                await far.send('{"__type__":"pipecat.bus.messages.BusDataMessage","__data__":{"source":5}}')
                await far.send(JSON.encode(data("far", "near")))  # only what can be read starts anew
                await trio.testing.wait_all_tasks_blocked()
            assert proxy.statistics().malformed == 4
            assert proxy.is_connected
            for _ in range(3):
                await far.send("garbage")
                await far.send(large)  # the proxy, and with it the nursery, ends
    assert (proxy.statistics().malformed, proxy.statistics().unknown) == (7, 4)


@MAKERS
@pytest.mark.parametrize("subprotocol", [None, BUS_SUBPROTOCOL])
async def test_a_name_from_elsewhere_has_so_many_letters_and_no_more(
    make: Callable[..., Proxy], subprotocol: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """Of a job, a bridge or a worker: what has a longer one is counted with what cannot be read, and not let in."""
    near, far = wire_pair(subprotocol)
    fits, too_long = "x" * MAX_NAME, "x" * (MAX_NAME + 1)
    serializer = BinaryMessageSerializer() if subprotocol else JSON
    voice = AudioFrame(audio=bytes(320), sample_rate=16000)
    proxy = make(near, settings=ProxySettings(max_malformed=10))
    async with running(proxy) as bus:
        reader = bus.subscribe("near", accepts=lambda message: message.target == "near")
        for name in (fits, too_long):
            for _ in range(2):
                for message in (
                    BusJobCancelMessage(source="far", target="near", job_id=name),
                    BusJobRequestMessage(source="far", target="near", job_id="j", job_name=name),
                    BusFrameMessage(source=name, target="near", frame=voice),
                    BusFrameMessage(source="far", target="near", bridge=name, frame=voice),
                ):
                    await far.send(serializer.encode(message))
            assert len(await on_the_bus(reader)) == (8 if name == fits else 0)
            assert proxy.statistics().malformed == (0 if name == fits else 8)
        assert proxy.is_connected


@MAKERS
async def test_a_strangers_words_pass_through_unchanged(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """With ``pass_unknown`` they cross a proxy byte for byte, in order with the rest, and leave by another one."""
    near, far = wire_pair()
    passing = JSONMessageSerializer(pass_unknown=True)
    proxy = make(near, serializer=passing)
    async with running(proxy) as bus:
        reader = bus.subscribe("reader")
        order = stranger("acme.messages.Order", source="far", target="near", nested={"x": [1, None, "\u00e9"]})
        for text in (bot_speaking(), order):
            await far.send(text)
            (message,) = await on_the_bus(reader)
            assert isinstance(message, BusOpaqueMessage)
            assert (message.source, message.target) == ("far", "near")
            assert passing.encode(message) == text.encode()
        back = order.replace("far", "x").replace("near", "far").replace('"x"', '"near"', 1)
        opaque = passing.decode(back)
        await bus.send(opaque)
        (data_,) = [await far.receive()]
        assert data_ == back.encode()
        assert (proxy.statistics().unknown, proxy.statistics().refused) == (0, 0)
        for wrong in (stranger("acme.messages.Order", target="near"), stranger("acme.messages.Order", source="near")):
            await far.send(wrong)
        await trio.testing.wait_all_tasks_blocked()
        assert (proxy.statistics().malformed, proxy.statistics().refused) == (1, 1)


@MAKERS
async def test_opaque_messages_without_a_target_pass_where_they_are_forwarded(
    make: Callable[..., Proxy], autojump_clock: trio.testing.MockClock
) -> None:
    """``forward_messages`` that names the class lets them in and out without a target; without it they are refused."""
    for forward, gets in (((BusOpaqueMessage,), 1), ((BusFrameMessage,), 0)):
        near, far = wire_pair()
        passing = JSONMessageSerializer(pass_unknown=True)
        async with running(make(near, serializer=passing, forward_messages=forward)) as bus:
            reader = bus.subscribe("reader")
            await far.send(stranger("acme.Order", source="far"))
            assert len(await on_the_bus(reader)) == gets
            await bus.send(passing.decode(stranger("acme.Order", source="near")))
            await trio.testing.wait_all_tasks_blocked()
            assert len(far._arrived) == gets


@pytest.mark.parametrize("name", ["BusAddWorkerMessage", "BusWorkerLocalErrorMessage", "BusLocalMessage"])
def test_what_never_leaves_a_process_is_not_passed_on(name: str) -> None:
    """No peer can have a message passed on that another's runner would take for one of its own process."""
    passing = JSONMessageSerializer(pass_unknown=True)
    for module in ("pipecat.bus.messages", "pipecat.bus", "elsewhere"):
        with pytest.raises(UnknownTypeError):
            passing.decode(stranger(f"{module}.{name}", source="a", target="b"))


@frozen(kw_only=True)
class Mood(CustomFrame):
    mood: str
    strength: float = 1.0
    raw: bytes = b""


def test_a_frame_of_the_applications_own_is_registered() -> None:
    """A ``CustomFrame`` is written and read by its name, in any role; one that is not registered is refused."""
    serializer = JSONMessageSerializer()
    message = BusFrameMessage(source="near", target="far", frame=Mood(mood="good", raw=b"\0\1"))
    with pytest.raises(LocalProtocolError, match=r"Mood is not registered: call register\(Mood, name\)"):
        serializer.encode(message)
    serializer.register(Mood, "acme.frames.Mood")
    for role in ("input", "output"):
        sent = BusFrameMessage(source="near", frame=Mood(mood="good", raw=b"\0\1"), role=role)
        written = serializer.encode(sent)
        assert json.loads(written)["__data__"]["frame"]["__type__"] == "acme.frames.Mood"
        assert serializer.decode(written) == sent
    with pytest.raises(UnknownTypeError):
        JSON.decode(serializer.encode(message))
    with pytest.raises(ValueError, match="already registered"):
        serializer.register(Mood, "acme.frames.Mood2")
    with pytest.raises(RemoteProtocolError, match="mood"):
        serializer.decode(serializer.encode(message).replace(b'"good"', b"5"))


def test_digits_are_written_as_pipecats_enum() -> None:
    """Each of Pipecat's twelve keys is its tagged enum, which it can read; its own plain form is read too."""
    names = {}
    for digit in "0123456789*#ABCD":
        message = BusFrameMessage(source="near", frame=DTMFFrame(digit=digit))
        written = JSON.encode(message)
        assert JSON.decode(written) == message
        frame = json.loads(written)["__data__"]["frame"]
        if digit in "ABCD":
            assert frame == {"__type__": "trio_transports.frames.DTMFFrame", "__data__": {"digit": digit}}
            continue
        key = frame["__data__"]["button"]
        assert key["__type__"] == "pipecat.audio.dtmf.types.KeypadEntry"
        names[digit] = key["__data__"]
        plain = written.replace(json.dumps(key, separators=(",", ":")).encode(), json.dumps(digit).encode())
        assert plain != written
        assert JSON.decode(plain) == message
    assert (names["0"], names["#"], names["*"], names["7"]) == ("ZERO", "POUND", "STAR", "SEVEN")
    unknown = b'{"__type__":"pipecat.audio.dtmf.types.KeypadEntry","__data__":"TEN"}'
    for wrong in (b'"E"', b'{"__type__":"a.B","__data__":"ONE"}', unknown, b"[]"):
        with pytest.raises(RemoteProtocolError):
            JSON.decode(plain.replace(b'"#"', wrong))


def test_texts_keep_what_pipecat_says_of_them() -> None:
    """``skip_tts`` is ``aloud`` turned round; a transcription that is not final is Pipecat's interim one."""
    quiet = BusFrameMessage(source="near", frame=TextFrame(text="x", aloud=False))
    assert json.loads(JSON.encode(quiet))["__data__"]["frame"]["__data__"] == {"text": "x", "skip_tts": True}
    guess = BusFrameMessage(source="near", frame=TranscriptionFrame(text="x", final=False, user_id="u"))
    frame = json.loads(JSON.encode(guess))["__data__"]["frame"]
    assert frame["__type__"] == "pipecat.frames.frames.InterimTranscriptionFrame"
    assert "final" not in frame["__data__"]
    assert [JSON.decode(JSON.encode(message)) for message in (quiet, guess)] == [quiet, guess]


def test_user_interface_messages_cross() -> None:
    """``BusUI*`` messages have Pipecat's names and fields, and any content."""
    for message in (
        BusUICommandMessage(source="a", target="b", command_name="show", payload=[1, {"b": b"\0"}, None]),
        BusUIJobGroupStartedMessage(source="a", job_id="j", workers=["x", "y"], label="l", at=5),
    ):
        written = JSON.encode(message)
        assert json.loads(written)["__type__"] == f"pipecat.bus.ui.messages.{type(message).__name__}"
        assert JSON.decode(written) == message


def test_what_json_cannot_hold_is_refused_wherever_it_stands() -> None:
    """NaN, a key that is no text, a number over 64 bits and nesting without end: never written as something else."""
    serializer = JSONMessageSerializer()
    serializer.register(Mood, "acme.frames.Mood")
    deep: object = []
    for _ in range(150):
        deep = [deep]
    wrong: list[BusMessage] = [
        BusFrameMessage(source="near", frame=Mood(mood="good", strength=float("nan"))),
        BusUICommandMessage(source="near", payload=float("inf")),
        BusUICommandMessage(source="near", payload={5: "x"}),
        BusUICommandMessage(source="near", payload=2**70),
        BusUICommandMessage(source="near", payload=deep),
        BusUICommandMessage(source="near", payload="\ud800"),
    ]
    for message in wrong:
        with pytest.raises(LocalProtocolError):
            serializer.encode(message)
    fine = BusUICommandMessage(source="near", payload=[None] * 200 + [[{}]] * 200)
    assert serializer.decode(serializer.encode(fine)) == fine
