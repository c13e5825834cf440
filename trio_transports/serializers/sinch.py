"""Sinch: see ``lines/sinch.py``."""

from .lines.sinch import SinchFrameSerializer as SinchFrameSerializer

__all__ = ["SinchFrameSerializer"]
