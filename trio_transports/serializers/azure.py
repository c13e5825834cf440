"""Azure: see ``lines/azure.py``."""

from .lines.azure import AzureFrameSerializer as AzureFrameSerializer

__all__ = ["AzureFrameSerializer"]
