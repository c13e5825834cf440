"""Connections: one protocol, and an engine behind it in each module."""

from .peer import Peer as Peer
from .protocol import BytesLike as BytesLike
from .protocol import Wire as Wire

__all__ = ["BytesLike", "Peer", "Wire"]
