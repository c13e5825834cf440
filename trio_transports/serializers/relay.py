"""ConversationRelay of Twilio and of Telnyx: see ``lines/relay.py``."""

from .lines.relay import RelayFrameSerializer as RelayFrameSerializer

__all__ = ["RelayFrameSerializer"]
