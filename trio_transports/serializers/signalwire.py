"""SignalWire: see ``lines/twilio.py``."""

from .lines.twilio import SignalWireFrameSerializer as SignalWireFrameSerializer
