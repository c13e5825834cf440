"""The bus: messages between workers in one process, over Redis, and over a WebSocket proxy."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from ..wire.accepting.callers import CallerCounts as CallerCounts
    from .answering import JobRequest as JobRequest
    from .answering import job as job
    from .asking import JobContext as JobContext
    from .asking import JobGroupContext as JobGroupContext
    from .bridging import LIFECYCLE_FRAMES as LIFECYCLE_FRAMES
    from .bridging import bridge as bridge
    from .bus import Bus as Bus
    from .codec.binary import BUS_SUBPROTOCOL as BUS_SUBPROTOCOL
    from .codec.binary import BinaryMessageSerializer as BinaryMessageSerializer
    from .codec.frames import UnknownTypeError as UnknownTypeError
    from .codec.json import JSONMessageSerializer as JSONMessageSerializer
    from .codec.json import MessageSerializer as MessageSerializer
    from .frame_worker import BridgedCall as BridgedCall
    from .frame_worker import FrameWorker as FrameWorker
    from .jobs import JobCancelledError as JobCancelledError
    from .jobs import JobError as JobError
    from .jobs import JobEvent as JobEvent
    from .jobs import JobGroupError as JobGroupError
    from .jobs import JobTimeoutError as JobTimeoutError
    from .jobs import WorkerGoneError as WorkerGoneError
    from .local import LocalBus as LocalBus
    from .messages import LIFECYCLE_MESSAGES as LIFECYCLE_MESSAGES
    from .messages import BusActivateWorkerMessage as BusActivateWorkerMessage
    from .messages import BusAddWorkerMessage as BusAddWorkerMessage
    from .messages import BusCancelMessage as BusCancelMessage
    from .messages import BusCancelWorkerMessage as BusCancelWorkerMessage
    from .messages import BusDataMessage as BusDataMessage
    from .messages import BusDeactivateWorkerMessage as BusDeactivateWorkerMessage
    from .messages import BusEndMessage as BusEndMessage
    from .messages import BusEndWorkerMessage as BusEndWorkerMessage
    from .messages import BusFlushProgressMessage as BusFlushProgressMessage
    from .messages import BusFrame as BusFrame
    from .messages import BusFrameMessage as BusFrameMessage
    from .messages import BusGapMessage as BusGapMessage
    from .messages import BusJobCancelMessage as BusJobCancelMessage
    from .messages import BusJobRequestMessage as BusJobRequestMessage
    from .messages import BusJobResponseMessage as BusJobResponseMessage
    from .messages import BusJobResponseUrgentMessage as BusJobResponseUrgentMessage
    from .messages import BusJobStreamDataMessage as BusJobStreamDataMessage
    from .messages import BusJobStreamEndMessage as BusJobStreamEndMessage
    from .messages import BusJobStreamStartMessage as BusJobStreamStartMessage
    from .messages import BusJobUpdateMessage as BusJobUpdateMessage
    from .messages import BusJobUpdateRequestMessage as BusJobUpdateRequestMessage
    from .messages import BusJobUpdateUrgentMessage as BusJobUpdateUrgentMessage
    from .messages import BusLocalMessage as BusLocalMessage
    from .messages import BusMessage as BusMessage
    from .messages import BusOpaqueMessage as BusOpaqueMessage
    from .messages import BusSystemMessage as BusSystemMessage
    from .messages import BusTTSSpeakMessage as BusTTSSpeakMessage
    from .messages import BusWorkerErrorMessage as BusWorkerErrorMessage
    from .messages import BusWorkerLocalErrorMessage as BusWorkerLocalErrorMessage
    from .messages import BusWorkerReadyMessage as BusWorkerReadyMessage
    from .messages import BusWorkerRegistryMessage as BusWorkerRegistryMessage
    from .messages import CustomFrame as CustomFrame
    from .messages import FrameDirection as FrameDirection
    from .messages import FrameRole as FrameRole
    from .messages import JobStatus as JobStatus
    from .messages import Payload as Payload
    from .messages import WorkerReadyData as WorkerReadyData
    from .messages import WorkerRegistryEntry as WorkerRegistryEntry
    from .proxy.base import ProxySettings as ProxySettings
    from .proxy.client import WebSocketProxyClient as WebSocketProxyClient
    from .proxy.counters import ProxyStatistics as ProxyStatistics
    from .proxy.events import ProxyConnected as ProxyConnected
    from .proxy.events import ProxyDisconnected as ProxyDisconnected
    from .proxy.events import ProxyEvent as ProxyEvent
    from .proxy.server import WebSocketProxyServer as WebSocketProxyServer
    from .proxy.serving import serve_proxies as serve_proxies
    from .registry import WorkerRegistry as WorkerRegistry
    from .runner import WorkerRunner as WorkerRunner
    from .subscription import BusSubscription as BusSubscription
    from .subscription import SubscriptionStatistics as SubscriptionStatistics
    from .ui_messages import BusUICommandMessage as BusUICommandMessage
    from .ui_messages import BusUIDataMessage as BusUIDataMessage
    from .ui_messages import BusUIEventMessage as BusUIEventMessage
    from .ui_messages import BusUIJobCompletedMessage as BusUIJobCompletedMessage
    from .ui_messages import BusUIJobGroupCompletedMessage as BusUIJobGroupCompletedMessage
    from .ui_messages import BusUIJobGroupStartedMessage as BusUIJobGroupStartedMessage
    from .ui_messages import BusUIJobUpdateMessage as BusUIJobUpdateMessage
    from .worker import Worker as Worker

__all__ = [
    "BUS_SUBPROTOCOL",
    "LIFECYCLE_FRAMES",
    "LIFECYCLE_MESSAGES",
    "BinaryMessageSerializer",
    "BridgedCall",
    "Bus",
    "BusActivateWorkerMessage",
    "BusAddWorkerMessage",
    "BusCancelMessage",
    "BusCancelWorkerMessage",
    "BusDataMessage",
    "BusDeactivateWorkerMessage",
    "BusEndMessage",
    "BusEndWorkerMessage",
    "BusFlushProgressMessage",
    "BusFrame",
    "BusFrameMessage",
    "BusGapMessage",
    "BusJobCancelMessage",
    "BusJobRequestMessage",
    "BusJobResponseMessage",
    "BusJobResponseUrgentMessage",
    "BusJobStreamDataMessage",
    "BusJobStreamEndMessage",
    "BusJobStreamStartMessage",
    "BusJobUpdateMessage",
    "BusJobUpdateRequestMessage",
    "BusJobUpdateUrgentMessage",
    "BusLocalMessage",
    "BusMessage",
    "BusOpaqueMessage",
    "BusSubscription",
    "BusSystemMessage",
    "BusTTSSpeakMessage",
    "BusUICommandMessage",
    "BusUIDataMessage",
    "BusUIEventMessage",
    "BusUIJobCompletedMessage",
    "BusUIJobGroupCompletedMessage",
    "BusUIJobGroupStartedMessage",
    "BusUIJobUpdateMessage",
    "BusWorkerErrorMessage",
    "BusWorkerLocalErrorMessage",
    "BusWorkerReadyMessage",
    "BusWorkerRegistryMessage",
    "CallerCounts",
    "CustomFrame",
    "FrameDirection",
    "FrameRole",
    "FrameWorker",
    "JSONMessageSerializer",
    "JobCancelledError",
    "JobContext",
    "JobError",
    "JobEvent",
    "JobGroupContext",
    "JobGroupError",
    "JobRequest",
    "JobStatus",
    "JobTimeoutError",
    "LocalBus",
    "MessageSerializer",
    "Payload",
    "ProxyConnected",
    "ProxyDisconnected",
    "ProxyEvent",
    "ProxySettings",
    "ProxyStatistics",
    "SubscriptionStatistics",
    "UnknownTypeError",
    "WebSocketProxyClient",
    "WebSocketProxyServer",
    "Worker",
    "WorkerGoneError",
    "WorkerReadyData",
    "WorkerRegistry",
    "WorkerRegistryEntry",
    "WorkerRunner",
    "bridge",
    "job",
    "serve_proxies",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "..wire.accepting.callers": "CallerCounts",
            ".answering": "JobRequest job",
            ".asking": "JobContext JobGroupContext",
            ".bridging": "LIFECYCLE_FRAMES bridge",
            ".bus": "Bus",
            ".codec.binary": "BUS_SUBPROTOCOL BinaryMessageSerializer",
            ".codec.frames": "UnknownTypeError",
            ".codec.json": "JSONMessageSerializer MessageSerializer",
            ".frame_worker": "BridgedCall FrameWorker",
            ".jobs": "JobCancelledError JobError JobEvent JobGroupError JobTimeoutError WorkerGoneError",
            ".local": "LocalBus",
            ".messages": (
                "LIFECYCLE_MESSAGES BusActivateWorkerMessage BusAddWorkerMessage BusCancelMessage "
                "BusCancelWorkerMessage BusDataMessage BusDeactivateWorkerMessage BusEndMessage BusEndWorkerMessage "
                "BusFlushProgressMessage BusFrame BusFrameMessage BusGapMessage BusJobCancelMessage "
                "BusJobRequestMessage BusJobResponseMessage BusJobResponseUrgentMessage BusJobStreamDataMessage "
                "BusJobStreamEndMessage BusJobStreamStartMessage BusJobUpdateMessage BusJobUpdateRequestMessage "
                "BusJobUpdateUrgentMessage BusLocalMessage BusMessage BusOpaqueMessage BusSystemMessage "
                "BusTTSSpeakMessage BusWorkerErrorMessage BusWorkerLocalErrorMessage BusWorkerReadyMessage "
                "BusWorkerRegistryMessage CustomFrame FrameDirection FrameRole JobStatus Payload WorkerReadyData "
                "WorkerRegistryEntry"
            ),
            ".proxy.base": "ProxySettings",
            ".proxy.client": "WebSocketProxyClient",
            ".proxy.counters": "ProxyStatistics",
            ".proxy.events": "ProxyConnected ProxyDisconnected ProxyEvent",
            ".proxy.server": "WebSocketProxyServer",
            ".proxy.serving": "serve_proxies",
            ".registry": "WorkerRegistry",
            ".runner": "WorkerRunner",
            ".subscription": "BusSubscription SubscriptionStatistics",
            ".ui_messages": (
                "BusUICommandMessage BusUIDataMessage BusUIEventMessage BusUIJobCompletedMessage "
                "BusUIJobGroupCompletedMessage BusUIJobGroupStartedMessage BusUIJobUpdateMessage"
            ),
            ".worker": "Worker",
        },
    )
