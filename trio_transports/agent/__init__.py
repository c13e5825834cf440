"""A caller for voice agents: bring your own protocol, or take one of ``agent.protocols``."""

from .adapter import WebSocketAgentAdapter as WebSocketAgentAdapter
from .capabilities import AdapterCapabilities as AdapterCapabilities
from .capabilities import UnsupportedCapability as UnsupportedCapability
from .channel import ChunkChannel as ChunkChannel
from .chunk import AGENT_FORMAT as AGENT_FORMAT
from .chunk import AudioChunk as AudioChunk
from .chunk import WholeSamples as WholeSamples
from .chunk import silent_chunk as silent_chunk
from .events import AgentEvent as AgentEvent
from .events import AgentFault as AgentFault
from .events import AgentHungUp as AgentHungUp
from .events import AgentMessage as AgentMessage
from .events import CallerSpeechStarted as CallerSpeechStarted
from .events import CallerSpeechStopped as CallerSpeechStopped
from .events import PlaybackCleared as PlaybackCleared
from .events import Reply as Reply
from .events import Transcript as Transcript
from .events import TurnEnded as TurnEnded
from .outcomes import AgentConnectionLost as AgentConnectionLost
from .outcomes import AgentFinished as AgentFinished
from .outcomes import AgentOutcome as AgentOutcome
from .outcomes import AgentSilent as AgentSilent
from .outcomes import AgentUnreachable as AgentUnreachable
from .protocol import WebSocketProtocol as WebSocketProtocol
from .realtime import realtime as realtime
from .recording import ConversationRecording as ConversationRecording
from .turn import Answer as Answer
from .turn import TurnRules as TurnRules

__all__ = [
    "AGENT_FORMAT",
    "AdapterCapabilities",
    "AgentConnectionLost",
    "AgentEvent",
    "AgentFault",
    "AgentFinished",
    "AgentHungUp",
    "AgentMessage",
    "AgentOutcome",
    "AgentSilent",
    "AgentUnreachable",
    "Answer",
    "AudioChunk",
    "CallerSpeechStarted",
    "CallerSpeechStopped",
    "ChunkChannel",
    "ConversationRecording",
    "PlaybackCleared",
    "Reply",
    "Transcript",
    "TurnEnded",
    "TurnRules",
    "UnsupportedCapability",
    "WebSocketAgentAdapter",
    "WebSocketProtocol",
    "WholeSamples",
    "realtime",
    "silent_chunk",
]
