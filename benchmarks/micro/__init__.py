"""Microbenchmarks: one module for each area, each with ``figures(quick) -> list[Figure]``."""

from .timing import Figure as Figure
from .timing import microseconds as microseconds
