"""What one session consists of: each part is made once, after those that it calls."""

from functools import partial
from typing import final

from attrs import frozen

from ..params import TransportParams
from ..serializers.protocol import FrameSerializer, Message, check_destinations, per_session, use_bitrate
from ..vad.turn_watch import TurnWatch
from .broadcast import Broadcast
from .closing import SessionClosing
from .delivery import Delivery
from .ears import Ears
from .eye import Eye
from .in_order import InOrder
from .inbound import Inbound
from .listening import Listening
from .malformed import Malformed
from .outbound import Outbound
from .output import Output
from .peer_words import PeerWords
from .settings import analyzer_for, turn_analyzer_for
from .sizes import message_size
from .state import Life
from .statistics import Counters
from .turn_asking import TurnAsking
from .turn_end import TurnEnd
from .unread import Unread
from .user_speech import UserSpeech


@final
@frozen(eq=False)
class Parts:
    """Everything one session consists of. Nothing runs yet when it is made."""

    params: TransportParams
    life: Life
    counters: Counters
    serializer: FrameSerializer
    unread: Unread
    outbound: Outbound
    closing: SessionClosing
    inbound: Inbound
    output: Output
    messages: Broadcast[Message]
    """The raw messages received, before any decoding; bounded in bytes, as every channel of unread things."""

    @classmethod
    def of(cls, params: TransportParams) -> "Parts":
        """Make the parts of one session and join them; nothing of it runs yet."""
        life, counters = Life(), Counters()
        serializer = per_session(params.serializer) if params.serializer is not None else _json()
        use_bitrate(serializer, type(params).__name__, params.audio_out_bitrate)
        check_destinations(  # what a factory makes was not known when the parameters were checked
            serializer,
            type(params).__name__,
            audio_out_destinations=params.audio_out_destinations,
            video_out_destinations=params.video_out_destinations,
        )
        unread = Unread(
            params.audio_in_max_queue_secs,
            counters,
            params.audio_in_stream_on_start,
            max_bytes=params.max_unread_bytes,
            max_pictures=params.video_in_max_queue_pictures,
        )
        outbound = Outbound(params, serializer, counters, life, unread.put_notice)
        closing = SessionClosing(life, outbound)
        inbound = _inbound(params, serializer, unread, counters, life, outbound, closing)
        output = Output(life, outbound, closing, inbound.ears.own.control_filter)
        messages: Broadcast[Message] = Broadcast(params.max_unread_bytes, message_size)
        return cls(params, life, counters, serializer, unread, outbound, closing, inbound, output, messages)


def _inbound(
    params: TransportParams,
    serializer: FrameSerializer,
    unread: Unread,
    counters: Counters,
    life: Life,
    outbound: Outbound,
    closing: SessionClosing,
) -> Inbound:
    ears, delivery = Ears(params, unread), Delivery(unread, closing.now, outbound.taps.each)
    malformed = Malformed(counters, closing.now, params.max_malformed)
    interrupt = outbound.interrupt if params.allow_interruptions else None
    tell = UserSpeech(ears, delivery, outbound.turn, outbound.notices.tell, interrupt).tell
    judge, turn_end, listening = turn_analyzer_for(params), None, None
    if judge is not None:
        watch = TurnWatch(max_pause_secs=params.turn_max_pause_secs)
        turn_end = TurnEnd(TurnAsking(judge), watch, tell, outbound.is_speaking)
    audio_filter = per_session(params.audio_in_filter) if params.audio_in_filter is not None else None
    analyzer = analyzer_for(params)
    if analyzer is not None:
        listening = Listening(analyzer, tell if turn_end is None else turn_end.take, turn_end)
    ears.hear_with(audio_filter, listening)
    words = PeerWords(
        ears,
        delivery,
        Eye(params, unread, counters, malformed),
        outbound.turn,
        turn_end,
        mark_played=outbound.marks.played,
        peer_stopped=partial(_peer_stopped, life, outbound),
    )
    in_order = InOrder.wanted(params, serializer, ears, counters)
    return Inbound(serializer, counters, malformed, delivery, unread.standby, ears, words, in_order)


def _peer_stopped(life: Life, outbound: Outbound) -> None:
    life.peer_stopped()
    outbound.marks.peer_stopped()


def _json() -> FrameSerializer:
    from ..serializers.json import JSONFrameSerializer  # with its converters: only who has no dialect of his own

    return JSONFrameSerializer()
