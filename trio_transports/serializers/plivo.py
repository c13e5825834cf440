"""Plivo: see ``lines/plivo.py``."""

from .lines.plivo import PlivoFrameSerializer as PlivoFrameSerializer

__all__ = ["PlivoFrameSerializer"]
