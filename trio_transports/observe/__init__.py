"""Seeing what happens: turns, what a server and its process count, metrics, traces, and recordings of calls.

``observe.prometheus`` and ``observe.tracing`` need an extra each, and are imported by their full path. Frames are
logged, one line each, by the logger ``trio_transports.frames`` at level DEBUG, where that is on when a session begins.
"""

from ..session.events import TurnTaken as TurnTaken
from .counters import ServerCounters as ServerCounters
from .figures import Histogram as Histogram
from .figures import ServerFigures as ServerFigures
from .figures import merged as merged
from .process import ProcessFigures as ProcessFigures
from .process import process_figures as process_figures
from .recorder import Recording as Recording
from .recorder import recorder as recorder

__all__ = [
    "Histogram",
    "ProcessFigures",
    "Recording",
    "ServerCounters",
    "ServerFigures",
    "TurnTaken",
    "merged",
    "process_figures",
    "recorder",
]
