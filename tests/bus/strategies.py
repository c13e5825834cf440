"""Hypothesis strategies: bus messages of every kind."""

from typing import Any

from hypothesis import strategies as st

from tests.serializers.strategies import ids, json_values, names, optional_texts, texts, wire_frames
from trio_transports import bus

TAGS = {"__type__", "__data__"}


def _not_a_typed_value(value: object) -> bool:
    if isinstance(value, dict):
        return not value.keys() >= TAGS and all(map(_not_a_typed_value, value.values()))
    return not isinstance(value, list) or all(map(_not_a_typed_value, value))


base: dict[str, st.SearchStrategy[Any]] = {"source": texts, "target": optional_texts, "id": ids, "name": names}
values = st.one_of(json_values.filter(_not_a_typed_value), st.binary(max_size=20))
payloads = st.one_of(st.none(), st.dictionaries(texts, values, max_size=3))
entries = st.builds(
    bus.WorkerRegistryEntry,
    name=texts,
    parent=optional_texts,
    active=st.booleans(),
    bridged=st.booleans(),
    started_at=st.one_of(st.none(), st.floats(0, 1e10)),
)
frame_messages = st.builds(
    bus.BusFrameMessage,
    **base,
    frame=wire_frames,
    direction=st.sampled_from(["DOWNSTREAM", "UPSTREAM"]),
    bridge=optional_texts,
    role=st.sampled_from(["input", "output"]),
)
messages: st.SearchStrategy[bus.BusMessage] = st.one_of(
    frame_messages,
    st.builds(bus.BusDataMessage, **base),
    st.builds(bus.BusSystemMessage, **base),
    st.builds(bus.BusTTSSpeakMessage, **base, text=texts, append_to_context=st.booleans()),
    st.builds(bus.BusActivateWorkerMessage, **base, args=payloads),
    st.builds(bus.BusEndMessage, **base, reason=optional_texts),
    st.builds(bus.BusWorkerRegistryMessage, **base, runner=texts, workers=st.lists(entries, max_size=3)),
    st.builds(
        bus.BusJobResponseMessage,
        **base,
        job_id=texts,
        status=st.sampled_from(["completed", "cancelled", "failed", "error"]),
        response=payloads,
    ),
)
