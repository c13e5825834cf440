"""Voice activity: who is speaking, and since when."""

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
