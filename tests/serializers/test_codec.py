"""JSON text to values and back, the same with either library."""

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.strategies import json_values, mutated_bytes, numbers
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.serializers import Message, codec

ENGINES: dict[str, codec.Engine] = {"stdlib": codec.STDLIB}
if codec.ORJSON is not None:
    ENGINES["orjson"] = codec.ORJSON
quick = settings(max_examples=150, deadline=None)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    monkeypatch.setattr(codec, "parse", ENGINES[name][0])
    monkeypatch.setattr(codec, "write", ENGINES[name][1])
    return name


def with_each(action: Callable[[], object]) -> list[object]:
    """What ``action`` gives with each engine; an error of this library counts as a result."""
    results: list[object] = []
    before = codec.parse, codec.write
    try:
        for parse, write in ENGINES.values():
            codec.parse, codec.write = parse, write
            try:
                results.append(action())
            except (LocalProtocolError, RemoteProtocolError) as exc:
                results.append((type(exc), getattr(exc, "path", "")))
    finally:
        codec.parse, codec.write = before
    return results


def same(results: list[object]) -> bool:
    return len({repr(result) for result in results}) == 1


def test_orjson_is_here() -> None:
    """Both libraries are under test."""
    assert sorted(ENGINES) == ["orjson", "stdlib"], "install the extra 'fast'"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "Infinity",
        "-Infinity",
        "[NaN]",
        "1e400",
        "-1e400",
        "1" + "0" * 400,
        "1" * 5000,
        "01",
        "1.",
        ".5",
        "+1",
        "[1,]",
        '{"a":1,}',
        "{'a':1}",
        "[]x",
        "[] []",
        "\ufeff[]",
        '"\x00"',
        '"\n"',
        '"\\x"',
        '"\\u12"',
        '"\\ud800"',
        '"\\uDC00"',
        '"\\ud83d\\ud83d\\ude00"',
        '{"\\ud800":1}',
        '"a\ud800"',
        '"abc',
        "[" * 129 + "]" * 129,
        '{"a":' * 129 + "1" + "}" * 129,
        "[" * 100_000,
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf[]",
        "[]".encode("utf-16"),
        "[]".encode("utf-32"),
        b"[\x00]",
    ],
)
def test_what_is_not_json_is_refused(engine: str, text: Message) -> None:
    """Malformed text is a RemoteProtocolError that names the place it was given."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec.loads(text, path="message.data")
    assert caught.value.path == "message.data"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", float(-(2**63))),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1e2", 100.0),
        ("1E-400", 0.0),
        ('{"a":1,"a":2}', {"a": 2}),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\x7f\u2028"', "\x7f\u2028"),
        (b' {"\xc3\xa9": [null, true]}\r\n\t', {"é": [None, True]}),
    ],
)
def test_what_the_libraries_read_differently_reads_one_way(engine: str, text: Message, value: object) -> None:
    """Integers beyond 64 bits, repeated keys and escapes give one value, of one type."""
    assert repr(codec.loads(text)) == repr(value)


def test_depth_is_counted_the_same(engine: str) -> None:
    """128 levels are read and written, 129 are not."""
    deep: Any = 1
    for _ in range(codec.MAX_DEPTH):
        deep = {"a": deep}
    assert codec.loads(codec.dumps(deep)) == deep
    with pytest.raises(LocalProtocolError, match="nested deeper than 128"):
        codec.dumps([deep])


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": {"b": [1, b""]}}, "message.a.b[1]"),
        ({"a": {1: 2}}, "message.a"),
        ([2**64], "message[0]"),
        ([-(2**63) - 1], "message[0]"),
        (math.nan, "message"),
        ((0, math.inf), "message[1]"),
        ({"x": {1}}, "message.x"),
        ("\ud800", "message"),
        ({"\udfff": 1}, "message"),
        (np.int64(1), "message"),
    ],
)
def test_what_json_cannot_hold_is_refused(engine: str, value: object, where: str) -> None:
    """A value that would be lost or changed on its way is a LocalProtocolError that names the place."""
    with pytest.raises(LocalProtocolError) as caught:
        codec.dumps(value, path="message")
    assert str(caught.value).endswith(f"(at {where})")


def test_a_value_inside_itself_is_refused(engine: str) -> None:
    """A list that contains itself has no end and is refused."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(LocalProtocolError):
        codec.dumps(endless)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


def test_subclasses_of_json_types_are_written_as_those(engine: str) -> None:
    """Enums, ordered dicts, tuples and numpy floats are written as the JSON they stand for."""
    counts: defaultdict[str, object] = defaultdict(int, b=Level.LOW)
    value = [Colour.RED, OrderedDict(a=(1, 2)), counts, np.float64(0.5), {Colour.RED: 1}]
    assert codec.dumps(value) == '["red",{"a":[1,2]},{"b":1},0.5,{"red":1}]'


@quick
@given(json_values)
def test_both_write_the_same_bytes_and_read_them_back(value: object) -> None:
    """Any JSON value is written with the same bytes by both, and reads back with the same types."""
    written = with_each(lambda: codec.dumps(value))
    assert same(written)
    assert repr(codec.loads(str(written[0]))) == repr(value)
    assert same(with_each(lambda: codec.loads(str(written[0]))))


@quick
@given(st.one_of(numbers, st.floats(), st.integers()))
def test_both_write_numbers_alike(number: float) -> None:
    """Every number is written with the same digits by both, or refused by both."""
    assert same(with_each(lambda: codec.dumps(number)))


@quick
@given(st.text(max_size=20))
def test_both_write_text_alike(text: str) -> None:
    """Every str, also one that is not Unicode, is written with the same escapes by both, or refused by both."""
    assert same(with_each(lambda: codec.dumps({text: text})))


SAMPLES: list[Message] = [
    '{"a":[1,-2.5e3,true,null,"x\\u00e9\\ud83d\\ude00\\n"],"b":{}}',
    b'[0.1,12345678901234567890,"\xc3\xa9"]',
    json.dumps([[[[{"a": "b"}]]], 1e5, "\\"]),
]


@quick
@given(st.one_of(mutated_bytes(SAMPLES), st.binary(max_size=30), st.text(max_size=30), st.from_regex(r"-?[0-9.eE+-]+")))
def test_both_read_alike(message: Message) -> None:
    """Any bytes or text are read to the same value by both, or refused by both."""
    assert same(with_each(lambda: codec.loads(message)))


PARTS = codec.MAX_PARTS


@pytest.mark.parametrize(
    ("unit", "parts_each"),
    [("[]", 2), ("1", 1), ('""', 1), ("{}", 2), ('{"a":1}', 3), ("[[1]]", 3), ('"a,b:[{"', 1), (r'"\",\\"', 1)],
)
def test_the_parts_of_a_document_are_bounded(unit: str, parts_each: int, engine: str) -> None:
    """Just below MAX_PARTS a document is read; well above it is malformed, and what to do is said."""
    count = PARTS // parts_each - 1
    for text in (f"[{','.join([unit] * count)}]",):
        assert len(codec.loads(text)) == len(codec.loads(text.encode())) == count  # type: ignore[arg-type]
    large = f"[{','.join([unit] * 3 * PARTS)}]"
    for message in (large, large.encode()):
        with pytest.raises(RemoteProtocolError, match="send it in several messages"):
            codec.loads(message)


def test_text_may_hold_any_number_of_commas(engine: str) -> None:
    """What is inside a string is no part, with quotes and backslashes in it too."""
    prose = 'He said: "no, never", [and {went}, to C:\\temp\\], \\" ' * 5000
    text = codec.dumps({"text": prose})
    assert codec.loads(text) == codec.loads(text.encode()) == {"text": prose}
