"""Vonage: see ``lines/vonage.py``."""

from .lines.vonage import VonageFrameSerializer as VonageFrameSerializer

__all__ = ["VonageFrameSerializer"]
