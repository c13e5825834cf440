"""Wavix: see ``lines/wavix.py``."""

from .lines.wavix import WavixFrameSerializer as WavixFrameSerializer

__all__ = ["WavixFrameSerializer"]
