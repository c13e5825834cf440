"""Strictness between JSON values and attrs classes."""

import pickle
import tracemalloc
from binascii import b2a_base64
from collections.abc import Mapping
from copy import copy
from typing import Literal

import pytest
from attrs import Factory, evolve, field, frozen
from attrs.exceptions import FrozenInstanceError
from attrs.validators import ge
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame, JSONValue, checked_audio_frame
from trio_transports.serializers.announced import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, audio_frame
from trio_transports.serializers.codec import dumps, loads
from trio_transports.serializers.converters import (
    MAX_ITEMS,
    TaggedUnion,
    camel_case,
    from_base64,
    make_converter,
    quick_base64,
    to_base64,
)


@frozen(kw_only=True)
class Inner:
    count: int
    ratio: float = 0.5


@frozen(kw_only=True)
class Everything:
    text: str
    number: int = 0
    ratio: float = 0.0
    flag: bool = False
    data: bytes = b""
    maybe: str | None = None
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (0, "")
    names: list[str] = Factory(list)
    by_name: Mapping[str, Inner] = Factory(dict)
    free: JSONValue = None
    anything: object = None
    bounded: int = field(default=1, validator=ge(1))
    from_: str = ""


converter = make_converter()


def structure(value: object) -> Everything:
    return converter.structure(value, Everything)


@pytest.mark.parametrize(
    ("member", "value", "path"),
    [
        ("text", 1, "text"),
        ("text", None, "text"),
        ("text", ["a"], "text"),
        ("number", "8000", "number"),
        ("number", 8000.0, "number"),
        ("number", True, "number"),
        ("number", None, "number"),
        ("ratio", "0.5", "ratio"),
        ("ratio", True, "ratio"),
        ("flag", 1, "flag"),
        ("flag", 0, "flag"),
        ("flag", "true", "flag"),
        ("flag", None, "flag"),
        ("data", "QQ", "data"),
        ("data", "QQ==\n", "data"),
        ("data", "Q Q==", "data"),
        ("data", "QQ==QQ==", "data"),
        ("data", "=QQ=", "data"),
        ("data", "é", "data"),
        ("data", 5, "data"),
        ("maybe", 5, "maybe"),
        ("inner", [], "inner"),
        ("inner", {}, "inner.count"),
        ("inner", {"count": "1"}, "inner.count"),
        ("many", {"0": {"count": 1}}, "many"),
        ("many", "ab", "many"),
        ("many", [{"count": 1}, {"count": 1.0}], "many[1].count"),
        ("many", [{"count": 1}, 7], "many[1]"),
        ("pair", [1], "pair"),
        ("pair", [1, "a", 2], "pair"),
        ("pair", [1, 2], "pair[1]"),
        ("pair", {}, "pair"),
        ("names", "abc", "names"),
        ("names", ["a", 1], "names[1]"),
        ("by_name", [], "by_name"),
        ("by_name", {"x": 5}, "by_name.x"),
        ("by_name", {"x": {"count": None}}, "by_name.x.count"),
        ("by_name", {"a\nb": 1}, "by_name.a\\nb"),
        ("bounded", 0, "bounded"),
        ("from", 5, "from"),
    ],
)
def test_nothing_is_coerced(member: str, value: object, path: str) -> None:
    """A value of another type is a RemoteProtocolError with its place, never turned into the type wanted."""
    with pytest.raises(RemoteProtocolError) as caught:
        structure({"text": "", member: value})
    assert caught.value.path == path
    assert str(caught.value).endswith(f"(at {path})")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", [None, [], "text", 5, True])
def test_a_class_is_an_object(value: object) -> None:
    """Anything but a JSON object where a class is wanted is refused as a whole."""
    with pytest.raises(RemoteProtocolError, match="an object is wanted") as caught:
        structure(value)
    assert caught.value.path == ""


def test_a_missing_member_is_named() -> None:
    """A member without a default has to be there."""
    with pytest.raises(RemoteProtocolError, match=r"missing \(at text\)"):
        structure({"number": 1})


def test_round_trip() -> None:
    """What is written reads back; defaults are left out, names without the trailing underscore."""
    everything = Everything(
        text="é",
        number=2**64 - 1,
        ratio=1.5,
        flag=True,
        data=b"\0\xff",
        maybe="m",
        inner=Inner(count=1),
        many=(Inner(count=2, ratio=3.0),),
        pair=(1, "x"),
        names=["a"],
        by_name={"k": Inner(count=4)},
        free={"a": [None, 1]},
        anything=[1],
        bounded=3,
        from_="+1",
    )
    written = loads(dumps(converter.unstructure(everything)))
    assert written == {
        "text": "é",
        "number": 2**64 - 1,
        "ratio": 1.5,
        "flag": True,
        "data": "AP8=",
        "maybe": "m",
        "inner": {"count": 1},
        "many": [{"count": 2, "ratio": 3.0}],
        "pair": [1, "x"],
        "names": ["a"],
        "by_name": {"k": {"count": 4}},
        "free": {"a": [None, 1]},
        "anything": [1],
        "bounded": 3,
        "from": "+1",
    }
    assert structure(written) == everything
    assert converter.unstructure(Everything(text="")) == {"text": ""}


def test_an_int_is_a_float_where_one_is_wanted() -> None:
    """The one widening: JSON has a single kind of number, and 1 is how most peers write 1.0."""
    ratio = structure({"text": "", "ratio": 1}).ratio
    assert ratio == 1.0
    assert type(ratio) is float


def test_members_not_known_are_ignored() -> None:
    """A peer of a later version may send more."""
    assert structure({"text": "", "later": {"x": 1}, "from_": "not the name"}) == Everything(text="")


def test_an_error_says_nothing_of_the_value() -> None:
    """A huge or private value does not end up in the log by way of the error."""
    secret = "hunter2" * 1000
    for wrong in ({"text": {secret: secret}}, {"text": "", "number": secret}, {"text": "", "by_name": {secret: 1}}):
        with pytest.raises(RemoteProtocolError) as caught:
            structure(wrong)
        assert len(str(caught.value)) < 300


def test_many_wrong_items_cost_one_error() -> None:
    """The first wrong item ends the reading: a hostile list does not become a list of exceptions."""
    wrong = {"text": "", "many": [1] * MAX_ITEMS}
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match=r"many\[0\]"):
            structure(wrong)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


def test_camel_case() -> None:
    """Members can have names of the dialect's own making."""
    assert [camel_case(name) for name in ("stream_sid", "from_", "a_b_c2", "payload")] == [
        "streamSid",
        "from",
        "aBC2",
        "payload",
    ]


@frozen(kw_only=True)
class Ping:
    """A message without members."""


@frozen(kw_only=True)
class Pong:
    inner: Inner


union: TaggedUnion[Ping | Pong] = TaggedUnion(converter, tag="kind", kinds={"ping": Ping, "pong": Pong})


def test_a_union_is_told_apart_by_its_tag() -> None:
    """The tag says which class, and is written first."""
    assert union.structure({"kind": "pong", "inner": {"count": 1}}) == Pong(inner=Inner(count=1))
    assert list(union.unstructure(Pong(inner=Inner(count=1)))) == ["kind", "inner"]
    assert union.structure({"kind": "ping"}) == Ping()


def test_an_unknown_tag_is_none_and_not_remembered() -> None:
    """A tag that is not known is no error, and a peer that invents them for ever costs no memory."""
    before = len(union._structure)
    for number in range(1000):
        assert union.structure({"kind": f"invented-{number}"}) is None
    assert len(union._structure) == before


@pytest.mark.parametrize("value", [{}, {"kind": None}, {"kind": 5}, {"kind": ["ping"]}, {"kind": {}}])
def test_a_tag_is_a_string(value: dict[str, JSONValue]) -> None:
    """A tag that is missing, or cannot even be looked up, is refused with its place."""
    with pytest.raises(RemoteProtocolError) as caught:
        union.structure(value)
    assert caught.value.path == "kind"


@pytest.mark.parametrize("kind", ["audio", "nothing"])
def test_base64(kind: Literal["audio", "nothing"]) -> None:
    """Base64 has padding and no line breaks, however long it is."""
    data = bytes(range(256)) * 8 if kind == "audio" else b""
    assert "\n" not in to_base64(data)
    assert from_base64(to_base64(data)) == data


@pytest.mark.parametrize(
    ("audio", "rate", "channels", "path"),
    [
        (b"ab", 0, 1, "frame.sample_rate"),
        (b"ab", -8000, 1, "frame.sample_rate"),
        (b"ab", MIN_SAMPLE_RATE - 1, 1, "frame.sample_rate"),
        (b"ab", MAX_SAMPLE_RATE + 1, 1, "frame.sample_rate"),
        (b"ab", 8000, 0, "frame.num_channels"),
        (b"ab", 8000, -1, "frame.num_channels"),
        (b"ab" * (MAX_CHANNELS + 1), 8000, MAX_CHANNELS + 1, "frame.num_channels"),
        (b"abc", 8000, 1, "frame.audio"),
        (b"ab", 8000, 2, "frame.audio"),
    ],
)
def test_audio_that_is_none(audio: bytes, rate: int, channels: int, path: str) -> None:
    """A rate, a channel count or a size that no audio has is refused with its place."""
    with pytest.raises(RemoteProtocolError) as caught:
        audio_frame(audio, rate, channels, path="frame")
    assert caught.value.path == path


def test_a_frame_of_checked_values_is_like_any_other() -> None:
    """A frame made without checks is equal, hashes alike, is frozen, and can be copied, evolved and pickled."""
    made = AudioFrame(audio=b"abcd", sample_rate=8000, num_channels=2, pts=1, destination="d", id=7, name="n")
    checked = checked_audio_frame(b"abcd", 8000, 2, 1, "d", 7, "n")
    assert type(checked) is AudioFrame
    assert checked == made
    assert hash(checked) == hash(made)
    assert repr(checked) == repr(made)
    assert checked.duration_s == made.duration_s
    assert copy(checked) == pickle.loads(pickle.dumps(checked)) == made
    assert evolve(checked, pts=2) == evolve(made, pts=2)
    assert checked_audio_frame(b"ab", 8000) == AudioFrame(audio=b"ab", sample_rate=8000)
    with pytest.raises(FrozenInstanceError):
        checked.pts = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["", "AAE=", "AAEC", "Nhw7==", "Xw4W=", "AAE", "A AE=", "AAE=\n", "-_8=", "é", "AB==", "=", "A"]
)
def test_the_quick_base64_accepts_nothing_more(text: str) -> None:
    """Whichever library is there: what the hot path takes is what the strict one takes, and the same bytes."""
    try:
        quick: bytes | None = quick_base64(text)
    except ValueError:
        quick = None
    if quick is not None:
        assert from_base64(text) == quick


@given(data=st.binary(max_size=400))
def test_base64_is_the_same_text(data: bytes) -> None:
    """Written by either library it is the same text, and read again the same bytes."""
    text = to_base64(data)
    assert text == b2a_base64(data, newline=False).decode()
    assert quick_base64(text) == from_base64(text) == data
