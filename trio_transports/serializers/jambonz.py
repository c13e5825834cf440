"""Jambonz: see ``lines/jambonz.py``."""

from .lines.jambonz import JambonzFrameSerializer as JambonzFrameSerializer

__all__ = ["JambonzFrameSerializer"]
