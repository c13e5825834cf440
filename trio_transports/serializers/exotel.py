"""Exotel: see ``lines/exotel.py``."""

from .lines.exotel import ExotelFrameSerializer as ExotelFrameSerializer

__all__ = ["ExotelFrameSerializer"]
