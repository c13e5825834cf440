"""The checked-in protobuf code is what frames.proto gives."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.serializers.generate_pb2 import ROOT, generate


@pytest.mark.skipif(find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")
def test_the_generated_code_is_current() -> None:
    """Running the generator again changes nothing."""
    generated = generate()
    assert sorted(Path(path).name for path in generated) == ["frames_pb2.py", "frames_pb2.pyi"]
    for path, text in generated.items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path} is stale: python -m tests.serializers.generate_pb2"
