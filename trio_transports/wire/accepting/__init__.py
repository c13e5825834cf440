"""Everything about letting callers in: listeners, admission, limits, refusals, and leaving."""

from .leaving import Leaving as Leaving
