"""Wavix: see ``lines/wavix.py``."""

from .lines.wavix import WavixFrameSerializer as WavixFrameSerializer
