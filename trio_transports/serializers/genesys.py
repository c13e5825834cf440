"""Genesys AudioHook and Audio Connector: see ``lines/genesys/``."""

from .lines.genesys import GenesysFrameSerializer as GenesysFrameSerializer

__all__ = ["GenesysFrameSerializer"]
