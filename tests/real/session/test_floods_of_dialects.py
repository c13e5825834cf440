"""Floods beside those of JSON, protobuf and packed: a line's, RTVI's, of what is kept raw; several peers at once."""

from collections.abc import Mapping, Sequence

import pytest
import trio

from tests.real.session.test_floods import (
    DEAF,
    ENGINES,
    JSON,
    JSON_FLOODS,
    MEGABYTE,
    RTVI,
    TELEPHONE,
    filled,
    flood,
    flooded,
    overrun,
)
from trio_transports.serializers.lines.line import LINE_MESSAGE_BYTES
from trio_transports.serializers.protocol import Message

pytestmark = pytest.mark.alone

PEERS = 4
PEER_BYTES = 24 * MEGABYTE
"""``max_unread_bytes``, a minute of queued audio, and some copies of the message at hand."""
LINE_ROOM = LINE_MESSAGE_BYTES - 200
START = (
    '{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":%s,'
    '"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}'
)
BEGIN = START % "{}"


def media(payload: str, track: str = "inbound") -> str:
    return f'{{"event":"media","streamSid":"MZ1","media":{{"track":"{track}","payload":"{payload}"}}}}'


def members(most: int) -> str:
    """An object of many members."""
    count = min(4900, most // 10)
    return "{" + ",".join(f'"{number:04x}":0' for number in range(count)) + "}"


TELEPHONE_FLOODS: Mapping[str, Sequence[Message]] = {
    "audio": [BEGIN, *[media("/w" + "//" * (LINE_ROOM // 2 - 1))] * 400],
    "packets of next to nothing": [BEGIN, *[media("/w==")] * 20_000],
    "broken audio": [BEGIN, *[media("/" * (LINE_ROOM - 3))] * 90],
    "starts with parameters": [START % members(LINE_ROOM)] * 150,
    "keys": [BEGIN, *['{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"1"}}'] * 3000],
    "marks": [BEGIN, *['{"event":"mark","streamSid":"MZ1","mark":{"name":"%s"}}' % ("m" * LINE_ROOM)] * 300],
    "empty lists": [BEGIN, *[filled('{"event":"media","media":[', "[]", "]}", LINE_ROOM)] * 90],
    "what nobody knows": [BEGIN, *['{"event":"' + "x" * LINE_ROOM + '"}'] * 400],
}


def rtvi(kind: str, data: str) -> str:
    return f'{{"label":"rtvi-ai","type":"{kind}","id":"1","data":{data}}}'


READY = rtvi("client-ready", '{"version":"1.0.0","about":{"library":"flood"}}')
LONG = "x" * 900_000
RTVI_FLOODS: Mapping[str, Sequence[Message]] = {
    "questions": [
        READY,
        *[rtvi("client-message", '{"t":"q","d":["' + LONG + '",' + ",".join(["[]"] * 3000) + "]}")] * 45,
    ],
    "empty lists": [READY, *[rtvi("client-message", filled('{"t":"q","d":[', "[]", "]}", MEGABYTE - 200))] * 8],
    "words": [READY, *[rtvi("send-text", '{"content":"' + LONG + '"}')] * 45],
    "audio": [READY, *[rtvi("raw-audio", '{"base64Audio":"%s","sampleRate":16000}' % ("AAAA" * 250_000))] * 40],
    "batches": [
        READY,
        *[rtvi("raw-audio-batch", filled('{"sampleRate":16000,"base64AudioBatch":[', '"AAA="', "]}", 7000))] * 90,
    ],
    "too large batches": [
        READY,
        *[rtvi("raw-audio-batch", filled('{"sampleRate":16000,"base64AudioBatch":[', '"AAA="', "]}", MEGABYTE - 200))]
        * 8,
    ],
    "keys": [READY, *[rtvi("dtmf", '{"keys":"%s"}' % ("1" * 100))] * 1000],
    "what it is again and again": [rtvi("client-ready", '{"version":"1.0.0","about":' + members(40_000) + "}")] * 90,
}

DEAF_FLOODS: Mapping[str, Sequence[Message]] = {
    "large texts": ["x" * (MEGABYTE - 20)] * 100,
    "large bytes": [bytes(MEGABYTE - 20)] * 100,
    "small ones": ["{}"] * 30_000,
    "what counts as frames too": ['{"type":"text","text":"' + "x" * 100_000 + '"}'] * 300,
}


async def below_64_megabytes(door: int, floods: Mapping[str, Sequence[Message]]) -> None:
    report: list[str] = []
    with trio.fail_after(200):
        async with flooded("direct") as server:
            await flood(server.ports[door], ["{}"])
            start_bytes = (await server.tells())["bytes"]
            wrong = await overrun(server, start_bytes, door, floods, report)
    print("\n".join(report))
    assert wrong == []


@pytest.mark.parametrize(
    ("door", "floods"),
    [(TELEPHONE, TELEPHONE_FLOODS), (RTVI, RTVI_FLOODS), (DEAF, DEAF_FLOODS)],
    ids=["telephone", "rtvi", "raw messages"],
)
async def test_of_other_dialects(door: int, floods: Mapping[str, Sequence[Message]]) -> None:
    """Below 64 MB, and no step too long: what a line and an RTVI client can say, and messages that are kept unread."""
    await below_64_megabytes(door, floods)


async def test_call_after_call() -> None:
    """Nothing of a call stays behind: the same floods again, six times, are below 64 MB too."""
    floods = {f"{name}, {time}": RTVI_FLOODS[name] for time in range(1, 7) for name in ("words", "audio")}
    await below_64_megabytes(RTVI, floods)


@pytest.mark.parametrize("engine", ENGINES)
async def test_of_several_peers(engine: str) -> None:
    """Four peers at once, each with more than may be kept: each takes its own share, and no step takes long."""
    report: list[str] = []
    floods = {name: JSON_FLOODS[name][:8] for name in ("documents within the bounds", "audio")}
    with trio.fail_after(200):
        async with flooded(engine) as server:
            await flood(server.ports[JSON], ["{}"])
            start_bytes = (await server.tells())["bytes"]
            wrong = await overrun(server, start_bytes, JSON, floods, report, peers=PEERS, most_bytes=PEERS * PEER_BYTES)
    print("\n".join(report))
    assert wrong == []
