"""Hypothesis strategies: JSON values, frames, and messages that are nearly right."""

import json
from typing import Any

from hypothesis import strategies as st

from trio_transports import frames as f
from trio_transports.serializers import Message

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.one_of(st.just(""), texts)
ids = st.one_of(st.just(0), st.integers(0, 2**64 - 1))
numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -1, 1.0, -0.0, 1e16, 1e-5, 1e22, 5e-324, 1.7976931348623157e308, 2**53 + 1]),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
sample_rates = st.sampled_from([8000, 11025, 16000, 24000, 44100, 48000])
optional_texts = st.one_of(st.none(), texts)


@st.composite
def audio_frames(draw: st.DrawFn) -> f.AudioFrame:
    channels = draw(st.integers(1, 3))
    return f.AudioFrame(
        audio=draw(st.binary(max_size=40)) * 2 * channels,
        sample_rate=draw(sample_rates),
        num_channels=channels,
        pts=draw(st.one_of(st.none(), ids)),
        destination=draw(optional_texts),
        id=draw(ids),
        name=draw(names),
    )


plain_texts = st.builds(f.TextFrame, text=texts, id=ids, name=names)
text_frames = st.builds(f.TextFrame, text=texts, aloud=st.booleans(), id=ids, name=names)
transcriptions = st.builds(f.TranscriptionFrame, text=texts, user_id=texts, timestamp=texts, id=ids, name=names)
guesses = st.builds(f.TranscriptionFrame, text=texts, final=st.booleans(), user_id=texts)
messages = st.builds(f.MessageFrame, message=json_values, urgent=st.booleans())
interruptions = st.builds(f.InterruptionFrame, id=ids, name=names)
images = st.builds(
    f.ImageFrame,
    image=st.binary(max_size=20),
    size=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
    format=st.sampled_from(["RGB", "RGBA", "JPEG"]),
    destination=optional_texts,
)
starts = st.builds(
    f.StartFrame,
    stream_id=optional_texts,
    call_id=optional_texts,
    account_id=optional_texts,
    from_number=optional_texts,
    to_number=optional_texts,
    audio_in_sample_rate=st.one_of(st.none(), sample_rates),
    audio_out_sample_rate=st.one_of(st.none(), sample_rates),
    parameters=st.dictionaries(texts, json_values, max_size=3),
)
times = st.one_of(st.none(), st.floats(0, 1e9))
wire_frames: st.SearchStrategy[f.Frame] = st.one_of(
    audio_frames(),
    text_frames,
    transcriptions,
    guesses,
    messages,
    interruptions,
    images,
    st.builds(f.SpriteFrame, images=st.lists(images, max_size=3)),
    starts,
    st.builds(f.DTMFFrame, digit=st.sampled_from(f.DTMF_DIGITS)),
    st.builds(f.EndFrame, reason=optional_texts),
    st.builds(f.CancelFrame, reason=optional_texts),
    st.builds(f.MarkFrame, mark=texts),
    st.builds(f.UserStartedSpeakingFrame, at_s=times),
    st.builds(f.UserStoppedSpeakingFrame, at_s=times),
    st.builds(f.BotStartedSpeakingFrame, destination=optional_texts),
    st.builds(f.BotStoppedSpeakingFrame, destination=optional_texts),
)
calls = st.dictionaries(texts, json_values, max_size=3)
application_frames: st.SearchStrategy[f.Frame] = st.one_of(
    st.builds(f.RequestFrame, name=texts, data=json_values, id=texts),
    st.builds(f.ResponseFrame, id=texts, name=texts, data=json_values, error=optional_texts),
    st.builds(f.FunctionCallFrame, name=texts, call_id=texts, arguments=calls),
    st.builds(
        f.FunctionResultFrame, name=texts, call_id=texts, arguments=calls, result=json_values, cancelled=st.booleans()
    ),
    st.builds(f.ContextFrame, content=json_values, role=texts, runs=st.booleans(), aloud=st.booleans()),
    st.builds(f.FileFrame, format=texts, data=st.one_of(st.none(), st.binary(max_size=9)), url=optional_texts),
    st.builds(f.UIFrame, kind=texts, data=json_values),
    st.builds(f.ErrorFrame, error=texts, fatal=st.booleans()),
    st.builds(f.MetricsFrame, metrics=calls),
    st.builds(f.AudioLevelFrame, level=st.floats(0, 1), speaker=st.sampled_from(["user", "bot"])),
    st.builds(f.UserMutedFrame, muted=st.booleans()),
    st.builds(f.BotThinkingFrame, thinking=st.booleans()),
)
wire_frames = st.one_of(wire_frames, application_frames)
any_frames = st.one_of(
    wire_frames,
    st.builds(f.MixerControlFrame, enabled=st.booleans()),
    st.builds(f.FilterControlFrame, enabled=st.booleans()),
    # What only a careless caller makes: text that is not Unicode, numbers that fit nowhere, objects that are no JSON.
    st.builds(f.TextFrame, text=st.text(max_size=5), id=st.integers(), name=st.text(max_size=5)),
    st.builds(f.MessageFrame, message=st.sampled_from([{1: 2}, 2**64, float("nan"), b"", "\ud800", [object()]])),
    st.builds(f.MarkFrame, mark=st.text(max_size=5)),
    st.builds(f.AudioFrame, audio=st.just(b"abcd"), sample_rate=st.integers(1), num_channels=st.sampled_from([1, 2])),
)

odd_values: st.SearchStrategy[Any] = st.one_of(
    json_values,
    st.sampled_from(["8000", "", "1", 1, 0, -1, True, None, [], {}, 8000.0, 2**63, "=", "QQ", "QQ==", "QQ\n==", "é"]),
)


@st.composite
def mutated_json(draw: st.DrawFn, samples: list[str]) -> str:
    """A valid message with one place in it changed, removed, renamed or wrapped."""
    root: Any = {"": json.loads(draw(st.sampled_from(samples)))}
    places: list[tuple[Any, Any]] = []
    pending: list[Any] = [root]
    while pending:
        node = pending.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                pending.append(node[key])
    node, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "rename", "wrap", "deepen"])):
        case "replace":
            node[key] = draw(odd_values)
        case "remove" if node is not root:
            del node[key]
        case "rename" if isinstance(node, dict) and node is not root:
            node[draw(texts)] = node.pop(key)
        case "wrap":
            node[key] = draw(st.sampled_from([[node[key]], {"x": node[key]}]))
        case _:
            text = json.dumps(root[""])
            depth = draw(st.sampled_from([100, 127, 128, 129, 2000]))
            return text[:-1] + ',"deep":' + "[" * depth + "]" * depth + "}" if text.endswith("}") else text
    return json.dumps(root[""])


@st.composite
def mutated_bytes(draw: st.DrawFn, samples: list[Message]) -> Message:
    """A valid message with bytes changed, removed, repeated or added."""
    sample = draw(st.sampled_from(samples))
    data = bytearray(sample.encode() if isinstance(sample, str) else sample)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        piece = bytes(data[at : at + draw(st.integers(0, 4))])
        data[at : at + len(piece)] = draw(st.one_of(st.just(b""), st.just(piece * 2), st.binary(max_size=4)))
    return data.decode("utf-8", "replace") if isinstance(sample, str) else bytes(data)
