"""Telephone lines: one serializer for all, and for each provider one short file with its messages and its table."""

from .serializer import LineSerializer as LineSerializer
