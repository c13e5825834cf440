"""Voice activity: who is speaking, and since when."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from .analyzer import SlowStart as SlowStart
    from .analyzer import SpeechEvent as SpeechEvent
    from .analyzer import SpeechStarted as SpeechStarted
    from .analyzer import SpeechStopped as SpeechStopped
    from .analyzer import VADAnalyzer as VADAnalyzer
    from .analyzer import VADParams as VADParams
    from .energy import EnergyVADAnalyzer as EnergyVADAnalyzer
    from .turns import ProsodyTurnAnalyzer as ProsodyTurnAnalyzer
    from .turns import TurnAnalyzer as TurnAnalyzer

__all__ = [
    "EnergyVADAnalyzer",
    "ProsodyTurnAnalyzer",
    "SlowStart",
    "SpeechEvent",
    "SpeechStarted",
    "SpeechStopped",
    "TurnAnalyzer",
    "VADAnalyzer",
    "VADParams",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".analyzer": "SlowStart SpeechEvent SpeechStarted SpeechStopped VADAnalyzer VADParams",
            ".energy": "EnergyVADAnalyzer",
            ".turns": "ProsodyTurnAnalyzer TurnAnalyzer",
        },
    )
