"""Genesys AudioHook and Audio Connector: a protocol of transactions beside the audio."""

from .serializer import GenesysFrameSerializer as GenesysFrameSerializer
