"""What one session consists of: each part is made once, after those that it calls."""

from typing import final

from attrs import frozen

from ..params import TransportParams
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FrameSerializer, per_session
from .closing import Closing
from .inbound import Inbound
from .inbox import Inbox
from .outbound import Outbound
from .output import Output
from .settings import analyzer_for
from .state import Life
from .statistics import Counters


@final
@frozen(eq=False)
class Parts:
    """Everything one session consists of. Nothing runs yet when it is made."""

    params: TransportParams
    life: Life
    counters: Counters
    serializer: FrameSerializer
    inbox: Inbox
    outbound: Outbound
    closing: Closing
    inbound: Inbound
    output: Output

    @classmethod
    def of(cls, params: TransportParams) -> "Parts":
        life, counters = Life(), Counters()
        serializer = per_session(params.serializer) if params.serializer is not None else JSONFrameSerializer()
        inbox = Inbox(
            params.audio_in_max_queue_secs, counters, params.audio_in_stream_on_start, max_bytes=params.max_unread_bytes
        )
        outbound = Outbound(params, serializer, counters, life, inbox.put_notice)
        closing = Closing(life, outbound)
        inbound = Inbound(
            params,
            serializer,
            inbox,
            counters,
            filter=per_session(params.audio_in_filter) if params.audio_in_filter is not None else None,
            analyzer=analyzer_for(params),
            close=closing.now,
            interrupt=outbound.interrupt,
            notice=outbound.notice,
            mark_played=outbound.marks.played,
            peer_stopped=outbound.marks.peer_stopped,
        )
        output = Output(life, outbound, closing, inbound.control_filter)
        return cls(params, life, counters, serializer, inbox, outbound, closing, inbound, output)
