"""SignalWire: see ``lines/twilio.py``."""

from .lines.twilio import SignalWireFrameSerializer as SignalWireFrameSerializer

__all__ = ["SignalWireFrameSerializer"]
