"""Parameters of the transports: keyword-only attrs values, checked when they are made.

Rules
1. A bad value is a ValueError or TypeError that names the class and the field and says what would be right.
2. A combination that cannot work is refused here, not found out in a call.
3. Names and defaults are those of the systems this library replaces, except ``add_wav_header``: False everywhere,
   since a header on every chunk is heard as a click.
4. What a session must not share (serializer, mixer, filter, analyzer) may be given as an object with ``fresh()``, a
   class, or a factory: ``per_session`` makes each session's own.
"""

from .reconnect import ReconnectPolicy as ReconnectPolicy
from .sides import AsgiWebsocketParams as AsgiWebsocketParams
from .sides import WebsocketClientParams as WebsocketClientParams
from .sides import WebsocketServerParams as WebsocketServerParams
from .transport import AnalyzerSource as AnalyzerSource
from .transport import FilterSource as FilterSource
from .transport import MixerSource as MixerSource
from .transport import PeerGoneAction as PeerGoneAction
from .transport import SerializerSource as SerializerSource
from .transport import SessionTimeoutAction as SessionTimeoutAction
from .transport import TransportParams as TransportParams
from .transport import TurnAnalyzerSource as TurnAnalyzerSource

__all__ = [
    "AnalyzerSource",
    "AsgiWebsocketParams",
    "FilterSource",
    "MixerSource",
    "PeerGoneAction",
    "ReconnectPolicy",
    "SerializerSource",
    "SessionTimeoutAction",
    "TransportParams",
    "TurnAnalyzerSource",
    "WebsocketClientParams",
    "WebsocketServerParams",
]
