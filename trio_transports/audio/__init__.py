"""Arithmetic on PCM: numpy only, no trio."""

from .format import AudioFormat as AudioFormat

__all__ = ["AudioFormat"]
