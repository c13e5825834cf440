"""Protocols ready to use. Pipecat's needs the extra ``protobuf`` and is imported by its full path."""

from .elevenlabs import ElevenLabsAgentProtocol as ElevenLabsAgentProtocol
from .gemini_live import GeminiLiveProtocol as GeminiLiveProtocol
from .json_audio import JSONAudioProtocol as JSONAudioProtocol
from .openai_realtime import OpenAIRealtimeProtocol as OpenAIRealtimeProtocol
from .raw import RawPCMProtocol as RawPCMProtocol
from .twilio import TwilioMediaStreamProtocol as TwilioMediaStreamProtocol

__all__ = [
    "ElevenLabsAgentProtocol",
    "GeminiLiveProtocol",
    "JSONAudioProtocol",
    "OpenAIRealtimeProtocol",
    "RawPCMProtocol",
    "TwilioMediaStreamProtocol",
]
