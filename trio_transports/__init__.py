"""Typed voice frames over WebSockets, on trio."""

from typing import TYPE_CHECKING

from ._lazy import lazily

if TYPE_CHECKING:
    from .audio.format import AudioFormat as AudioFormat
    from .errors import ConnectionClosed as ConnectionClosed
    from .errors import HandshakeRejected as HandshakeRejected
    from .errors import LocalProtocolError as LocalProtocolError
    from .errors import RemoteProtocolError as RemoteProtocolError
    from .errors import TransportError as TransportError
    from .frames import AudioFrame as AudioFrame
    from .frames import AudioLevelFrame as AudioLevelFrame
    from .frames import BotStartedSpeakingFrame as BotStartedSpeakingFrame
    from .frames import BotStoppedSpeakingFrame as BotStoppedSpeakingFrame
    from .frames import BotThinkingFrame as BotThinkingFrame
    from .frames import CancelFrame as CancelFrame
    from .frames import ContextFrame as ContextFrame
    from .frames import DTMFFrame as DTMFFrame
    from .frames import EndFrame as EndFrame
    from .frames import ErrorFrame as ErrorFrame
    from .frames import FileFrame as FileFrame
    from .frames import FilterControlFrame as FilterControlFrame
    from .frames import Frame as Frame
    from .frames import FunctionCallFrame as FunctionCallFrame
    from .frames import FunctionResultFrame as FunctionResultFrame
    from .frames import ImageFrame as ImageFrame
    from .frames import InterruptionFrame as InterruptionFrame
    from .frames import MarkFrame as MarkFrame
    from .frames import MessageFrame as MessageFrame
    from .frames import MetricsFrame as MetricsFrame
    from .frames import MixerControlFrame as MixerControlFrame
    from .frames import RequestFrame as RequestFrame
    from .frames import ResponseFrame as ResponseFrame
    from .frames import SpriteFrame as SpriteFrame
    from .frames import StartFrame as StartFrame
    from .frames import TextFrame as TextFrame
    from .frames import TranscriptionFrame as TranscriptionFrame
    from .frames import UIFrame as UIFrame
    from .frames import UserMutedFrame as UserMutedFrame
    from .frames import UserStartedSpeakingFrame as UserStartedSpeakingFrame
    from .frames import UserStoppedSpeakingFrame as UserStoppedSpeakingFrame
    from .frames import VolumeFrame as VolumeFrame
    from .params import AsgiWebsocketParams as AsgiWebsocketParams
    from .params import ReconnectPolicy as ReconnectPolicy
    from .params import TransportParams as TransportParams
    from .params import WebsocketClientParams as WebsocketClientParams
    from .params import WebsocketServerParams as WebsocketServerParams
    from .session.broadcast import EventsLost as EventsLost
    from .session.events import Connected as Connected
    from .session.events import Disconnected as Disconnected
    from .session.events import IdleTimeout as IdleTimeout
    from .session.events import PicturesNotCarried as PicturesNotCarried
    from .session.events import Reconnecting as Reconnecting
    from .session.events import ServerReady as ServerReady
    from .session.events import SessionTimeout as SessionTimeout
    from .session.session import Session as Session
    from .session.statistics import Statistics as Statistics
    from .transports.asgi import AsgiWebsocketTransport as AsgiWebsocketTransport
    from .transports.client import WebsocketClientTransport as WebsocketClientTransport
    from .transports.server import WebsocketServerTransport as WebsocketServerTransport

__all__ = [
    "AsgiWebsocketParams",
    "AsgiWebsocketTransport",
    "AudioFormat",
    "AudioFrame",
    "AudioLevelFrame",
    "BotStartedSpeakingFrame",
    "BotStoppedSpeakingFrame",
    "BotThinkingFrame",
    "CancelFrame",
    "Connected",
    "ConnectionClosed",
    "ContextFrame",
    "DTMFFrame",
    "Disconnected",
    "EndFrame",
    "ErrorFrame",
    "EventsLost",
    "FileFrame",
    "FilterControlFrame",
    "Frame",
    "FunctionCallFrame",
    "FunctionResultFrame",
    "HandshakeRejected",
    "IdleTimeout",
    "ImageFrame",
    "InterruptionFrame",
    "LocalProtocolError",
    "MarkFrame",
    "MessageFrame",
    "MetricsFrame",
    "MixerControlFrame",
    "PicturesNotCarried",
    "ReconnectPolicy",
    "Reconnecting",
    "RemoteProtocolError",
    "RequestFrame",
    "ResponseFrame",
    "ServerReady",
    "Session",
    "SessionTimeout",
    "SpriteFrame",
    "StartFrame",
    "Statistics",
    "TextFrame",
    "TranscriptionFrame",
    "TransportError",
    "TransportParams",
    "UIFrame",
    "UserMutedFrame",
    "UserStartedSpeakingFrame",
    "UserStoppedSpeakingFrame",
    "VolumeFrame",
    "WebsocketClientParams",
    "WebsocketClientTransport",
    "WebsocketServerParams",
    "WebsocketServerTransport",
    "__version__",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".audio.format": "AudioFormat",
            ".errors": "ConnectionClosed HandshakeRejected LocalProtocolError RemoteProtocolError TransportError",
            ".frames": (
                "AudioFrame AudioLevelFrame BotStartedSpeakingFrame BotStoppedSpeakingFrame BotThinkingFrame "
                "CancelFrame ContextFrame DTMFFrame EndFrame ErrorFrame FileFrame FilterControlFrame Frame "
                "FunctionCallFrame FunctionResultFrame ImageFrame InterruptionFrame MarkFrame MessageFrame "
                "MetricsFrame MixerControlFrame RequestFrame ResponseFrame SpriteFrame StartFrame TextFrame "
                "TranscriptionFrame UIFrame UserMutedFrame UserStartedSpeakingFrame UserStoppedSpeakingFrame "
                "VolumeFrame"
            ),
            ".params": (
                "AsgiWebsocketParams ReconnectPolicy TransportParams WebsocketClientParams WebsocketServerParams"
            ),
            ".session.broadcast": "EventsLost",
            ".session.events": (
                "Connected Disconnected IdleTimeout PicturesNotCarried Reconnecting ServerReady SessionTimeout"
            ),
            ".session.session": "Session",
            ".session.statistics": "Statistics",
            ".transports.asgi": "AsgiWebsocketTransport",
            ".transports.client": "WebsocketClientTransport",
            ".transports.server": "WebsocketServerTransport",
        },
        explained_by="._moved",
    )

__version__ = "0.1.0"
"""The version of this library, as the package index has it."""
