"""All targets by name."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz import decoders, ports
from tests.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in (*decoders.targets(), *ports.targets())}
