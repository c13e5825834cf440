"""Twilio: see ``lines/twilio.py``."""

from .lines.twilio import TwilioFrameSerializer as TwilioFrameSerializer

__all__ = ["TwilioFrameSerializer"]
