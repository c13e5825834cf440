"""Putting a session's pieces together: each is made once, and knows the others only through what it calls."""

from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import final
from uuid import uuid4

import trio
from attrs import frozen

from ..audio.format import AudioFormat
from ..audio.mixer import AudioMixer
from ..audio.pacing import Schedule
from ..frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame, Frame
from ..params import MixerSource, TransportParams, WebsocketClientParams
from ..serializers.json import JSONFrameSerializer
from ..serializers.protocol import FixedChunk, FrameSerializer, Notices, per_session
from ..vad.analyzer import VADAnalyzer
from ..wire.protocol import Wire
from .clock import Clock
from .farewell import Farewell
from .inbound import Inbound
from .inbox import Inbox
from .marks import DrainMarks
from .outbox import Outbox
from .output import Output
from .session import Session
from .state import Life
from .statistics import Counters
from .track import NO_AUDIO, Track, TrackSettings

DEFAULT_SAMPLE_RATE = 24000


@final
@frozen(eq=False)
class Parts:
    """Everything one session consists of."""

    life: Life
    counters: Counters
    serializer: FrameSerializer
    inbox: Inbox
    inbound: Inbound
    output: Output
    outbox: Outbox
    clock: Clock
    farewell: Farewell
    wire: Wire

    def session(self, close: Callable[[int, str], Awaitable[None]]) -> Session:
        return Session(
            id=uuid4().hex[:12],
            input=self.inbox,
            output=self.output,
            serializer=self.serializer,
            peer=self.wire.peer,
            life=self.life,
            counters=self.counters,
            inbound=self.inbound,
            started_at_s=trio.current_time(),
            close=close,
            now_s=trio.current_time,
            late_resets=lambda: sum(track.schedule.late_resets for track in self.clock.tracks),
        )


def assemble(wire: Wire, params: TransportParams, *, close: Callable[[int, str], None]) -> Parts:
    """Make the pieces of one session; nothing runs yet."""
    reconnect = params.reconnect if isinstance(params, WebsocketClientParams) else None
    max_stale_s = inf if reconnect is None else reconnect.max_queued_audio_secs
    life, counters = Life(), Counters()
    serializer = per_session(params.serializer) if params.serializer is not None else JSONFrameSerializer()
    inbox = Inbox(params.audio_in_max_queue_secs, counters, audio_is_on=params.audio_in_stream_on_start)
    clock = Clock(tracks=(), timers=())
    outbox = Outbox(
        counters,
        send_timeout_s=params.send_timeout,
        close_timeout_s=params.close_timeout,
        wire=wire,
        on_room=clock.tick,
        on_written=lambda: output.wrote(),
    )

    def notice(frame: Frame) -> None:
        if not isinstance(serializer, Notices):
            return
        messages = serializer.notice(frame)
        if not isinstance(frame, BotStoppedSpeakingFrame):
            outbox.put_replies(messages)
            return
        for message in messages:  # after the last of the speech, which may wait to be written still
            outbox.put(message, lambda _: None, NO_AUDIO)

    def tell(frame: BotStartedSpeakingFrame | BotStoppedSpeakingFrame) -> None:
        inbox.put_notice(frame)
        notice(frame)

    tracks = {
        name: Track(
            name=name,
            format=output_format(params, serializer),
            settings=track_settings(params, serializer),
            schedule=Schedule(
                output_format(params, serializer).sample_rate,
                lead_s=params.audio_out_lead_ms / 1000,
                catch_up_s=params.catch_up_ms / 1000,
            ),
            mixer=mixer_for(name, params.audio_out_mixer),
            serializer=serializer,
            outbox=outbox,
            counters=counters,
            tell=tell,
        )
        for name in (None, *params.audio_out_destinations)
    }
    clock.tracks = tuple(tracks.values())
    marks = DrainMarks(serializer, outbox, lambda: any(track.has_played for track in tracks.values()))
    farewell = Farewell(clock, outbox, marks, close)
    output = Output(
        life,
        serializer,
        tracks,
        clock,
        outbox,
        counters,
        control_filter=lambda frame: inbound.control_filter(frame),
        shape=lambda: (output_format(params, serializer), track_settings(params, serializer)),
        params=params,
        max_stale_s=max_stale_s,
        marks=marks,
        farewell=farewell,
    )
    inbound = Inbound(
        params,
        serializer,
        inbox,
        counters,
        filter=per_session(params.audio_in_filter) if params.audio_in_filter is not None else None,
        analyzer=analyzer_for(params),
        close=close,
        interrupt=output.interrupt_now,
        notice=notice,
        mark_played=marks.played,
        peer_stopped=marks.peer_stopped,
    )
    return Parts(life, counters, serializer, inbox, inbound, output, outbox, clock, farewell, wire)


def output_format(params: TransportParams, serializer: FrameSerializer) -> AudioFormat:
    """What leaves: the dialect's own format, else what the parameters ask for."""
    native = serializer.audio_format
    if native is not None:
        return native
    return AudioFormat(params.audio_out_sample_rate or DEFAULT_SAMPLE_RATE, params.audio_out_channels)


def track_settings(params: TransportParams, serializer: FrameSerializer) -> TrackSettings:
    return TrackSettings(
        chunk_ms=(serializer.chunk_ms if isinstance(serializer, FixedChunk) else None)
        or 10 * params.audio_out_10ms_chunks,
        add_wav_header=params.add_wav_header,
        packet_bytes=params.fixed_audio_packet_size,
        auto_silence=params.audio_out_auto_silence,
        silence_grace_s=params.silence_grace_ms / 1000,
        silence_max_s=inf if params.silence_max_secs is None else params.silence_max_secs,
        partial_flush_s=params.partial_flush_ms / 1000,
    )


def mixer_for(name: str | None, mixers: MixerSource | Mapping[str | None, MixerSource] | None) -> AudioMixer | None:
    if mixers is None:
        return None
    if isinstance(mixers, Mapping):
        return per_session(mixers[name]) if name in mixers else None
    return per_session(mixers) if name is None else None


def analyzer_for(params: TransportParams) -> VADAnalyzer | None:
    if not params.vad_enabled:
        return None
    if params.vad_analyzer is not None:
        return per_session(params.vad_analyzer)
    from ..vad.energy import EnergyVADAnalyzer

    return EnergyVADAnalyzer()
