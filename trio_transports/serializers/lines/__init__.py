"""Telephone lines: one serializer for all, and for each provider one short file with its messages and its table."""

from .line import Line as Line
from .serializer import LineSerializer as LineSerializer
