"""The tracks of a session's audio as the parameters describe them, with all that each of them owns."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import final

from attrs import define, field

from ..audio.loudness import Volume
from ..audio.pacing import Schedule
from ..frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame
from ..params import TransportParams
from ..params.checks import check_quick
from ..serializers.protocol import FrameSerializer, Message, per_session
from .blend import Blend
from .departure import Departure
from .gap import Gap
from .intake import Intake
from .outbox import WireOutbox
from .packer import Packer
from .playback import Playback
from .player import Player
from .settings import TrackSettings, mixer_for
from .speech import Speech
from .statistics import Counters
from .taps import Tap
from .track import Track


@final
@define
class TrackMaker:
    """What the tracks of one session share."""

    _params: TransportParams
    _serializer: FrameSerializer
    _outbox: WireOutbox
    _counters: Counters
    _listening: Sequence[Tap]
    _noticed: Callable[[BotStartedSpeakingFrame | BotStoppedSpeakingFrame], None]
    _place_mark: Callable[[Player], Sequence[Message]] | None
    _runs: Iterator[int] = field(factory=partial(count, 1), init=False)

    def track(self, name: str | None) -> Track:
        """Make the track of one destination."""
        params, settings = self._params, TrackSettings.of(self._params, self._serializer)
        out_filter = None
        if params.audio_out_filter is not None:
            out_filter = per_session(params.audio_out_filter)
            check_quick(out_filter, type(params).__name__)  # of what a factory makes it was not known before
        schedule = Schedule(
            settings.format.sample_rate, lead_s=params.audio_out_lead_ms / 1000, catch_up_s=params.catch_up_ms / 1000
        )
        mixer = mixer_for(name, params.audio_out_mixer)
        departure = Departure(
            name,
            Blend(mixer, Volume(params.audio_out_volume)),
            Packer(self._serializer, name, settings.add_wav_header, settings.packet_bytes),
            self._outbox,
            self._place_mark,
            self._listening,
        )
        return Track(
            schedule,
            departure,
            Intake(schedule, self._counters, out_filter),
            Playback(self._runs),
            Speech(name, self._noticed),
            Gap(settings, schedule, mixer is not None),
            self._counters,
        )
