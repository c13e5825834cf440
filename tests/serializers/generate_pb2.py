"""Make ``frames_pb2.py`` and ``frames_pb2.pyi`` from ``frames.proto``: ``python -m tests.serializers.generate_pb2``.

Use grpcio-tools 1.71.2 (protoc 29): its code runs on protobuf 5.29 and on every later one so far, while that of a
newer protoc refuses to load on an older protobuf.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
PROTO = "trio_transports/serializers/frames.proto"


def generate() -> dict[str, str]:
    """The text of each generated file, by its path from the root of the repository."""
    with TemporaryDirectory() as folder:
        command = ["-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}", f"--pyi_out={folder}", PROTO]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
        paths = (path for path in sorted(Path(folder).rglob("frames_pb2.py*")) if path.is_file())
        texts = {str(path.relative_to(folder)): path.read_text("utf-8") for path in paths}
    # protoc leaves the mapping in a constructor's signature bare, which strict type checking refuses.
    return {path: text.replace("_Mapping]", "_Mapping[str, object]]") for path, text in texts.items()}


if __name__ == "__main__":
    for path, text in generate().items():
        (ROOT / path).write_text(text, "utf-8")
        print("wrote", path)
