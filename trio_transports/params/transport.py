"""The parameters that every transport takes."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias

from attrs import Factory, field, frozen

from .._documented import documented
from .._moved import suggesting
from ..audio.filters import AudioFilter
from ..audio.mixer import AudioMixer
from ..serializers.protocol import FrameSerializer, check_bitrate, check_destinations, message_bytes_needed
from ..vad.analyzer import VADAnalyzer
from ..vad.turns import TurnAnalyzer
from ..video.pixels import PIXEL_FORMATS, PixelFormat
from ..video.shaping import MAX_PIXELS, PictureFit
from . import checks

SerializerSource: TypeAlias = FrameSerializer | Callable[[], FrameSerializer]
"""A serializer, or a class or function without arguments that makes one for each session."""
MixerSource: TypeAlias = AudioMixer | Callable[[], AudioMixer]
"""A mixer, or a class or function without arguments that makes one for each session."""
FilterSource: TypeAlias = AudioFilter | Callable[[], AudioFilter]
"""An audio filter, or a class or function without arguments that makes one for each session."""
AnalyzerSource: TypeAlias = VADAnalyzer | Callable[[], VADAnalyzer]
"""A voice activity analyzer, or a class or function without arguments that makes one for each session."""
TurnAnalyzerSource: TypeAlias = TurnAnalyzer | Callable[[], TurnAnalyzer]
"""A turn analyzer, or a class or function without arguments that makes one for each session."""
SessionTimeoutAction: TypeAlias = Literal["notify", "close"]
"""What ``session_timeout`` does: tell it, or close the call as well."""
PeerGoneAction: TypeAlias = Literal["continue", "cancel"]
"""What becomes of a handler whose peer has gone: it goes on, or is cancelled."""


@documented
@suggesting("params")
@frozen(kw_only=True)
class TransportParams:
    """What every transport takes."""

    audio_enabled: bool = field(default=False, validator=checks.flag)
    """Audio both ways: what ``audio_in_enabled`` and ``audio_out_enabled`` are, where they are not given themselves."""
    audio_out_enabled: bool = field(
        default=Factory(lambda self: self.audio_enabled, takes_self=True), validator=checks.flag
    )
    """Whether audio may be sent. While it is False, sending an ``AudioFrame`` raises ``LocalProtocolError`` at once,
    rather than leaving a bot silent without a word."""
    audio_out_sample_rate: int | None = field(default=None, validator=checks.sample_rate)
    """Samples per second, in Hz, of the audio that leaves; what is sent at another rate is resampled. None takes the
    dialect's own rate, else 24000. A dialect with a rate of its own, such as a telephone line's 8000, keeps it whatever
    is asked for."""
    audio_out_channels: int = field(default=1, validator=checks.number(least=1, whole=True))
    """Channels of the audio that leaves: 1 for mono, 2 for stereo. What is sent with another number is mixed up or
    down. Telephone lines are mono and stay so."""
    audio_out_bitrate: int = field(default=96000, validator=checks.number(least=1, whole=True))
    """Bits per second of each audio track where the dialect compresses audio: Opus, packed or on a telephone line.
    Speech is good from 24000 on. It changes nothing where plain samples or G.711 are sent."""
    audio_out_10ms_chunks: int = field(default=4, validator=checks.number(least=1, whole=True))
    """How many pieces of 10 ms make one audio message: 4 is 40 ms. Fewer bring the first sound sooner and react to an
    interruption sooner, and cost more CPU; more do the opposite. Dialects with a chunk of their own keep it
    (telephones: 20 ms; Exotel 100, Genesys 200)."""
    audio_out_mixer: MixerSource | Mapping[str | None, MixerSource] | None = field(
        default=None, validator=checks.mixers
    )
    """Mixes sounds under the bot's speech, such as music or an office: a mixer, or a mapping from destination to mixer
    (None is the default destination). Without one, nothing plays while the bot is silent. A mixer sends audio for as
    long as the call lasts."""
    audio_out_volume: float = field(default=1.0, validator=checks.volume)
    """How loud the bot's audio is: 1 as it was made, 0 silent, 10 at most. Above 1 loud speech may clip and sound
    harsh. A ``VolumeFrame`` changes it within a call."""
    audio_out_filter: FilterSource | None = field(
        default=None, validator=checks.members("start", "filter", "control", "stop")
    )
    """A filter for all audio that leaves, for instance ``HighPass()``. It runs in the path of each chunk, so it has to
    be quick; a slow one is refused, since what it makes would be late."""
    audio_out_destinations: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    """Names of further audio tracks, each paced by itself; frames choose theirs by ``destination``. A frame for a name
    that is not listed is an error, and so is a second track on a dialect that cannot name them."""
    audio_out_end_silence_secs: float = field(default=2, validator=checks.number(least=0))
    """Seconds of silence played after the last audio by ``output.end()`` and by an ``EndFrame``, so that a player or a
    telephone line does not swallow the last word. 0 sends none."""
    audio_out_auto_silence: bool = field(default=True, validator=checks.flag)
    """Fill gaps in the bot's speech with silence, in time, once audio has begun. Lines and players that expect a steady
    stream need it. False sends nothing in a gap: less traffic, for peers that keep their own time."""
    audio_out_max_queue_secs: float = field(default=60.0, validator=checks.number(above=0))
    """How many seconds of audio may wait on one track; then ``send`` waits for room. More lets a fast speech service
    run further ahead, at 2 bytes a sample of memory for each call."""
    audio_out_lead_ms: float = field(default=0, validator=checks.number(least=0))
    """How many milliseconds ahead of its time audio may leave. A lead rides out a stall of this process or of the
    network; but the peer has that much more to play after an interruption, where its dialect cannot clear it."""

    audio_in_enabled: bool = field(
        default=Factory(lambda self: self.audio_enabled, takes_self=True), validator=checks.flag
    )
    """Whether the peer's audio is listened to. While it is False, audio that comes is dropped before any work is done
    on it, and ``session.input`` has the other frames only."""
    audio_in_sample_rate: int | None = field(default=None, validator=checks.sample_rate)
    """Samples per second, in Hz, of the audio that the handler gets; what comes at another rate is resampled. None
    leaves it as it comes. Set it to what the speech recognizer wants, most often 16000."""
    audio_in_channels: int = field(default=1, validator=checks.number(least=1, whole=True))
    """Channels of the audio that the handler gets: 1 for mono, 2 for stereo. What comes with another number is mixed up
    or down."""
    audio_in_filter: FilterSource | None = field(
        default=None, validator=checks.members("start", "filter", "control", "stop")
    )
    """A filter for the caller's audio, ahead of voice activity and the handler, for instance ``NoiseSuppression()``. A
    slow one works in a thread, and adds its time to each answer."""
    audio_in_stream_on_start: bool = field(default=True, validator=checks.flag)
    """Whether audio reaches the handler from the beginning. False holds it back, and drops it, until
    ``session.input.start_audio()``: for a bot that greets before it listens."""
    audio_in_passthrough: bool = field(default=True, validator=checks.flag)
    """Whether the handler gets the caller's audio at all. False still lets filter and voice activity hear it: for a bot
    that reacts to speech and does not need the sound."""
    audio_in_max_queue_secs: float = field(default=5.0, validator=checks.number(above=0))
    """How many seconds of unread audio wait for a slow handler. Past it the oldest is dropped and counted
    (``audio_in_dropped_s``). More delays what the handler hears; less loses words when it pauses."""
    audio_in_jitter_ms: float = field(default=0, validator=checks.number(least=0))
    """Hold the peer's audio back by so many milliseconds to put it in order, space it evenly and conceal what is lost.
    0 is off and right for nearly all WebSockets. Each millisecond is one more before every answer; 60 helps a bad
    mobile line."""

    vad_enabled: bool = field(default=False, validator=checks.flag)
    """Listen for speech: ``UserStartedSpeakingFrame`` and ``UserStoppedSpeakingFrame`` come on ``session.input``. It
    needs ``audio_in_enabled``."""
    vad_analyzer: AnalyzerSource | None = field(default=None, validator=checks.members("start", "analyze", "stop"))
    """What tells speech from silence. None is the built-in one, which goes by loudness and costs next to nothing;
    ``SileroVADAnalyzer`` is a model that noise does not fool. It is copied for each session. It needs
    ``vad_enabled``."""
    vad_audio_passthrough: bool = field(default=True, validator=checks.flag)
    """Whether the handler gets the audio as well while voice activity is on. False leaves it the speech frames only:
    for a handler that records nothing and recognizes nothing."""
    turn_analyzer: TurnAnalyzerSource | None = field(default=None, validator=checks.members("is_complete"))
    """Says, beside voice activity, whether a pause ends the turn; until it does, the user has not stopped speaking.
    None takes every pause that voice activity sees for the end. It is asked in a worker thread, and needs
    ``vad_enabled``."""
    turn_max_pause_secs: float = field(default=2.0, validator=checks.number(above=0))
    """A pause of that many seconds ends the turn, whatever the turn analyzer says. Longer lets people think; it is also
    how long an answer is late when the analyzer is wrong."""
    allow_interruptions: bool = field(default=False, validator=checks.flag)
    """Whether the user's speech stops the bot by itself: queued audio is dropped and the peer's player cleared. It
    needs ``vad_enabled``. A bot that hears its own echo interrupts itself: then raise the analyzer's thresholds, or
    cancel echo at the caller."""

    video_in_enabled: bool = field(default=False, validator=checks.flag)
    """Whether the handler gets the peer's pictures. While it is False they are dropped as they come, and cost no more
    than their bytes."""
    video_in_color_format: PixelFormat | None = field(
        default=None, validator=checks.one_of(*PIXEL_FORMATS, optional=True)
    )
    """The peer's pictures as raw pixels of this format: JPEG, PNG and WEBP are decoded (extra ``video``) in a thread.
    None delivers them as they come, files unopened."""
    video_in_max_pixels: int = field(default=2 * 1024 * 1024, validator=checks.number(least=1, whole=True))
    """How many pixels a picture of the peer may have, or a sprite's together. A larger one is malformed and is never
    decoded. Each million takes 3 MB as RGB, for each picture that waits."""
    video_in_max_queue_pictures: int = field(default=3, validator=checks.number(least=1, whole=True))
    """How many pictures of the peer wait unread, and as many more to be decoded. Past it the oldest is dropped
    and counted (``pictures_in_dropped``). More is for a handler that wants every one, and sees them later."""
    video_out_enabled: bool = field(default=False, validator=checks.flag)
    """Whether pictures may be sent. While it is False, sending an ``ImageFrame`` or a ``SpriteFrame`` raises
    ``LocalProtocolError``."""
    video_out_is_live: bool = field(default=False, validator=checks.flag)
    """True shows each picture once, at its time, and drops and counts those that are late: a camera or an avatar. False
    shows a picture once and leaves it there, and a sprite's in turn, at ``video_out_framerate``."""
    video_out_width: int = field(default=1024, validator=checks.number(least=1, whole=True))
    """Width in pixels of the pictures that leave; others are scaled to fit, as ``video_out_fit`` says. Twice the width
    at twice the height is four times the work and the bytes; 16 Mi pixels is the most."""
    video_out_height: int = field(default=768, validator=checks.number(least=1, whole=True))
    """Height in pixels of the pictures that leave; others are scaled to fit, as ``video_out_fit`` says."""
    video_out_bitrate: int | None = field(default=None, validator=checks.number(least=1, optional=True, whole=True))
    """Bits per second that the pictures may take: the quality follows. None encodes at a fixed quality. It needs a
    codec that can lose detail, JPEG or WEBP."""
    video_out_framerate: int = field(default=30, validator=checks.number(least=1, most=1000, whole=True))
    """Pictures per second, 1000 at most, each at its time on one clock. A rate that the encoder cannot keep drops live
    pictures,
    which are counted, and costs a processor core all the same."""
    video_out_color_format: PixelFormat = field(default="RGB", validator=checks.one_of(*PIXEL_FORMATS))
    """How the pixels of raw pictures leave: RGB, RGBA, BGR, GRAY or YUV420 (half the bytes). Pictures in another format
    are converted. With ``video_out_codec`` they are brought to it before they are encoded: GRAY makes a grey JPEG."""
    video_out_codec: str | None = field(default=None, validator=checks.picture_codec)
    """Send pictures as files: JPEG, WEBP (small) or PNG (exact). It needs the extra ``video`` and works in a thread.
    None sends raw pixels, 2.4 MB for one picture of 1024 by 768."""
    video_out_destinations: tuple[str, ...] = field(default=(), converter=checks.as_tuple, validator=checks.names)
    """Names of further picture tracks, each with its own clock; frames choose theirs by ``destination``. It needs
    ``video_out_enabled`` and a dialect that can name destinations."""
    video_out_fit: PictureFit = field(default="letterbox", validator=checks.one_of("letterbox", "stretch"))
    """How a picture of other proportions fills its track: ``letterbox`` keeps its shape, with black beside it;
    ``stretch`` fills all, out of shape."""
    video_out_max_queue_bytes: int = field(default=32 * 1024 * 1024, validator=checks.number(least=1, whole=True))
    """How many bytes of memory may wait on one picture track; then ``send`` waits for room. As many of a sprite stay
    prepared for their next turn; what is beyond that is prepared anew for each. A raw picture of 1024 by 768 takes 2.4
    MB of it."""

    add_wav_header: bool = field(default=False, validator=checks.flag)
    """Put a WAV header before each audio message, for peers that expect one. To any other peer every header is a click.
    Headers on audio that comes in are taken off either way."""
    serializer: SerializerSource | None = field(default=None, validator=checks.members("encode", "decode"))
    """The dialect: how frames are written as messages. A client without one speaks protobuf where that extra is
    installed, else JSON; a server has to name one. ``DetectingFrameSerializer()`` tells callers apart by their first
    message. It is copied for each session."""
    fixed_audio_packet_size: int | None = field(
        default=None, validator=checks.number(least=2, optional=True, whole=True)
    )
    """Cut binary audio messages into packets of exactly this many bytes, for peers that want no other length. What
    fills no packet waits for more, and is completed with silence at the end of an utterance. None sends each chunk as
    it is."""

    session_timeout: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    """Seconds after which a call has lasted long enough: ``SessionTimeout`` is told, once, and
    ``session_timeout_action`` says what else. None is no limit, and a forgotten line costs money for ever."""
    session_timeout_action: SessionTimeoutAction = field(default="notify", validator=checks.one_of("notify", "close"))
    """``notify`` only tells ``SessionTimeout``, so that the bot can say goodbye; ``close`` closes with 1000 at once,
    and whatever is queued is lost."""
    on_peer_gone: PeerGoneAction = field(default="continue", validator=checks.one_of("continue", "cancel"))
    """``continue`` lets the handler finish its own work after the peer has gone; ``cancel`` cancels it. A handler that
    waits for something other than ``session.input`` may never notice the end: choose ``cancel`` for it."""
    idle_timeout: float | None = field(default=None, validator=checks.number(above=0, optional=True))
    """Seconds without a message from the peer after which the session is closed with 1001 and ``IdleTimeout`` told.
    None waits for ever. A browser with a muted microphone may send nothing: do not set it below a caller's silence
    there."""
    connect_timeout: float = field(default=10, validator=checks.number(above=0))
    """Seconds for the whole of making a connection: name, TCP, TLS, handshake, ``authorize``. Past it a client raises,
    and a server drops the caller."""
    send_timeout: float = field(default=10, validator=checks.number(above=0))
    """Seconds that one message may take to be written. Past it the peer has stopped reading and its connection is
    aborted; nobody else's call is held up. Less gives up slow mobile lines."""
    close_timeout: float = field(default=2, validator=checks.number(above=0))
    """Seconds for the goodbye: to send the close and wait for the peer's. Past it the connection is cut. A server that
    is stopped waits at least that long for peers that do not answer."""
    drain_timeout: float | None = field(default=None, validator=checks.number(least=0, optional=True))
    """Seconds that queued audio may take to leave before a close. None allows its own length and ``close_timeout``,
    which is what plays it all; 0 drops it."""
    ping_interval: float | None = field(default=20, validator=checks.number(above=0, optional=True))
    """Seconds between the pings that show whether the peer is alive. None sends none: then a peer that vanished is
    noticed only when something is written, or by ``idle_timeout``."""
    ping_timeout: float | None = field(default=20, validator=checks.number(above=0, optional=True))
    """Seconds within which a ping has to be answered; else the connection is lost. Below a few seconds a slow mobile
    line, or a phone that sleeps, is taken for dead."""
    max_message_bytes: int = field(
        default=Factory(lambda self: message_bytes_needed(self.serializer), takes_self=True),
        validator=checks.number(least=1, whole=True),
    )
    """The longest message, in bytes, that is taken; a longer one closes the connection with 1009. The default is what
    the dialect needs, 64 KiB on telephone lines. More lets one peer use that much more memory."""
    max_unread_bytes: int = field(default=4 * 1024 * 1024, validator=checks.number(least=1, whole=True))
    """How many bytes of memory may wait unread by the handler, by each subscriber to events or messages, and for
    sending. Past it the oldest audio is dropped; where there is none, the session closes with 1008."""
    max_malformed: int = field(default=100, validator=checks.number(least=1, whole=True))
    """How many malformed messages in a row end the session: 1007 for text, 1008 for bytes. Each is skipped and counted
    until then, so one bad message ends no call."""
    ssl_context: ssl.SSLContext | None = field(default=None, validator=checks.tls_context)
    """TLS: for a server its certificate (``wss://``), for a client whom it trusts. None: a server speaks plainly, a
    client of ``wss://`` trusts what the system trusts. Inside an ASGI app TLS is set up where the app is served, and
    this is refused."""

    silence_grace_ms: float = field(default=60, validator=checks.number(least=0))
    """How many milliseconds a gap in the bot's speech may last before silence fills it. Less fills gaps that a burst of
    audio is about to close, and adds their length to the delay."""
    silence_max_secs: float | None = field(default=2, validator=checks.number(least=0, optional=True))
    """Seconds of silence in a row with which a gap is filled; then nothing is sent until there is audio again. None
    fills for ever, which some lines ask for. 0 fills no gap."""
    catch_up_ms: float = field(default=400, validator=checks.number(least=0))
    """How many milliseconds of late audio may leave in one burst after this process stood still. Audio later than that
    moves the schedule instead and is counted (``late_resets``). More keeps the beat longer; some players drop such a
    burst."""
    partial_flush_ms: float = field(default=100, validator=checks.number(least=0))
    """Milliseconds after the last audio at which an unfilled last chunk is filled with silence and sent. Less cuts
    silence into speech that comes in small pieces; more delays the last syllable."""

    hang_up: Callable[..., Awaitable[object]] | None = field(default=None, validator=checks.async_callable)
    """``async def hang_up(session)``, called once when the session has ended, whoever ended it: ``TwilioHangUp(...)``
    and its like. Closing the WebSocket does not end a telephone call, which goes on costing without it. An error is
    logged."""
    hang_up_timeout: float = field(default=5, validator=checks.number(above=0))
    """Seconds that ``hang_up`` may take; past it, it is cancelled and that is logged. A server that is stopped waits
    that long for it."""

    def __attrs_post_init__(self) -> None:
        where = type(self).__name__
        if self.allow_interruptions and not self.vad_enabled:
            raise ValueError(
                f"{where}.allow_interruptions needs vad_enabled=True: the user's speech is what interrupts"
            )
        if self.vad_enabled and not self.audio_in_enabled:
            raise ValueError(f"{where}.vad_enabled needs audio_in_enabled=True: there is no audio to listen to")
        if self.vad_analyzer is not None and not self.vad_enabled:
            raise ValueError(f"{where}.vad_analyzer is given but vad_enabled is False: set vad_enabled=True")
        if self.turn_analyzer is not None and not self.vad_enabled:
            raise ValueError(f"{where}.turn_analyzer needs vad_enabled=True: it is asked when speech has stopped")
        if self.ping_interval is not None and self.ping_timeout is None:
            raise ValueError(f"{where}.ping_timeout must be set when ping_interval is: an unanswered ping needs an end")
        if isinstance(self.audio_out_mixer, Mapping):
            unknown = set(self.audio_out_mixer) - {None, *self.audio_out_destinations}
            if unknown:
                raise ValueError(
                    f"{where}.audio_out_mixer names destinations that audio_out_destinations lacks: "
                    + ", ".join(sorted(map(str, unknown)))
                )
        for name in ("audio_out_mixer", "audio_out_filter"):
            if getattr(self, name) is not None and not self.audio_out_enabled:
                raise ValueError(f"{where}.{name} needs audio_out_enabled=True")
        checks.check_quick(self.audio_out_filter, where)
        if self.video_out_bitrate is not None and (self.video_out_codec or "PNG").upper() == "PNG":
            raise ValueError(
                f"{where}.video_out_bitrate needs video_out_codec='JPEG' or 'WEBP': what loses nothing has no quality "
                "that could follow a bitrate"
            )
        if self.video_out_width * self.video_out_height > MAX_PIXELS:
            raise ValueError(
                f"{where}.video_out_width times video_out_height must be {MAX_PIXELS} at most, not "
                f"{self.video_out_width} x {self.video_out_height}"
            )
        if self.video_in_color_format is not None and not self.video_in_enabled:
            raise ValueError(f"{where}.video_in_color_format needs video_in_enabled=True: no picture is delivered")
        if self.video_out_destinations and not self.video_out_enabled:
            raise ValueError(f"{where}.video_out_destinations needs video_out_enabled=True")
        if self.add_wav_header and self.audio_out_channels > 2:
            raise ValueError(
                f"{where}.add_wav_header needs audio_out_channels of 1 or 2, not {self.audio_out_channels}"
            )
        check_bitrate(self.serializer, where, self.audio_out_bitrate)
        check_destinations(
            self.serializer,
            where,
            audio_out_destinations=self.audio_out_destinations,
            video_out_destinations=self.video_out_destinations,
        )
        if self.fixed_audio_packet_size is not None and self.add_wav_header:
            raise ValueError(f"{where}.fixed_audio_packet_size and add_wav_header exclude each other")
