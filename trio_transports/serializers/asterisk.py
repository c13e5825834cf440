"""Asterisk: see ``lines/asterisk.py``."""

from .lines.asterisk import AsteriskFrameSerializer as AsteriskFrameSerializer

__all__ = ["AsteriskFrameSerializer"]
