"""What a user needs to test a bot without sockets, and a wire against its contract."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from ..wire.memory import MemoryWire as MemoryWire
    from ..wire.memory import memory_wire_pair as memory_wire_pair
    from .phones import FakeHangUp as FakeHangUp
    from .phones import ScriptedPhone as ScriptedPhone
    from .phones import phone_at as phone_at
    from .phones import phone_call as phone_call
    from .phones import speech_like as speech_like
    from .recorder import FrameRecorder as FrameRecorder
    from .recorder import Heard as Heard
    from .scripted import ScriptedPeer as ScriptedPeer
    from .scripted import memory_session as memory_session
    from .wires import check_wire as check_wire

__all__ = [
    "FakeHangUp",
    "FrameRecorder",
    "Heard",
    "MemoryWire",
    "ScriptedPeer",
    "ScriptedPhone",
    "check_wire",
    "memory_session",
    "memory_wire_pair",
    "phone_at",
    "phone_call",
    "speech_like",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "..wire.memory": "MemoryWire memory_wire_pair",
            ".phones": "FakeHangUp ScriptedPhone phone_at phone_call speech_like",
            ".recorder": "FrameRecorder Heard",
            ".scripted": "ScriptedPeer memory_session",
            ".wires": "check_wire",
        },
    )
