"""Telnyx: see ``lines/telnyx.py``."""

from .lines.telnyx import TelnyxFrameSerializer as TelnyxFrameSerializer

__all__ = ["TelnyxFrameSerializer"]
