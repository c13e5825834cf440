"""A piece of an agent's speech, and the alignment that peers who cut samples in half make necessary."""

from typing import Final, final

from attrs import Attribute, define, evolve, field, frozen
from attrs.validators import ge, instance_of, optional

from .._documented import documented
from ..audio.format import AudioFormat

AGENT_FORMAT: Final = AudioFormat(24000)
"""What an adapter speaks unless told otherwise: 24 kHz mono."""


def _whole_samples(instance: "AudioChunk", _attribute: "Attribute[bytes]", value: object) -> None:
    if type(value) is not bytes:
        raise TypeError(f"AudioChunk.data must be bytes, not {type(value).__name__}: pass bytes(data)")
    if len(value) % (2 * instance.num_channels):
        raise ValueError(
            f"AudioChunk.data is {len(value)} bytes, which are not whole samples of {instance.format}: "
            "where a peer's messages may end inside a sample, pass them through WholeSamples.take first"
        )


@documented
@final
@frozen(init=False)
class AudioChunk:
    """PCM16 with what is known about it; whole samples, 24 kHz mono by default.

    ``channels`` is taken as another name of ``num_channels``.
    """

    sample_rate: int = field(default=AGENT_FORMAT.sample_rate, validator=[instance_of(int), ge(1)], kw_only=True)
    """Samples per second of each channel, in Hz."""
    num_channels: int = field(default=AGENT_FORMAT.num_channels, validator=[instance_of(int), ge(1)], kw_only=True)
    """1 for mono, 2 for stereo."""
    data: bytes = field(validator=_whole_samples, repr=lambda data: f"<{len(data)} bytes>")
    """The samples, as bytes; half a sample is a ValueError, which ``WholeSamples`` avoids."""
    transcript: str | None = field(default=None, validator=optional(instance_of(str)))
    """What is said in it; None where the protocol does not tell."""
    start_time: float | None = None
    """When it begins by the protocol's own word, in seconds; None where it says none."""
    end_time: float | None = None
    """When it ends by the protocol's own word, in seconds; None where it says none."""
    received_at: float | None = field(default=None, kw_only=True)
    """When its message arrived, by the adapter's clock in seconds; set by the adapter."""
    utterance: str | None = field(default=None, kw_only=True)
    """What it is a part of, by the protocol's own name: the item that ``encode_truncate`` shortens."""

    def __init__(
        self,
        data: bytes,
        transcript: str | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
        *,
        sample_rate: int = AGENT_FORMAT.sample_rate,
        num_channels: int | None = None,
        channels: int | None = None,
        received_at: float | None = None,
        utterance: str | None = None,
    ) -> None:
        if num_channels is None:
            num_channels = AGENT_FORMAT.num_channels if channels is None else channels
        elif channels is not None and channels != num_channels:
            raise ValueError(
                f"AudioChunk: {num_channels=} and {channels=} are the same thing: give one of them, or the same number"
            )
        self.__attrs_init__(
            data,
            transcript,
            start_time,
            end_time,
            sample_rate=sample_rate,
            num_channels=num_channels,
            received_at=received_at,
            utterance=utterance,
        )

    @property
    def format(self) -> AudioFormat:
        """Sample rate and channels as one value."""
        return AudioFormat(self.sample_rate, self.num_channels)

    @property
    def channels(self) -> int:
        """The same as ``num_channels``, by the name that other audio libraries use."""
        return self.num_channels

    @property
    def duration_seconds(self) -> float:
        """How long it plays, in seconds."""
        return len(self.data) / self.format.bytes_per_second

    def with_audio(self, data: bytes, audio_format: AudioFormat) -> "AudioChunk":
        """Make the same chunk with other PCM, as after a change of rate."""
        return evolve(self, data=data, sample_rate=audio_format.sample_rate, num_channels=audio_format.num_channels)


def silent_chunk(duration_seconds: float, audio_format: AudioFormat = AGENT_FORMAT) -> AudioChunk:
    """Make a chunk of silence of that length.

    ``audio_format`` is 24 kHz mono unless told otherwise.
    """
    return AudioChunk(
        audio_format.silence(audio_format.samples_in(duration_seconds)),
        sample_rate=audio_format.sample_rate,
        num_channels=audio_format.num_channels,
    )


@documented
@final
@define(eq=False)
class WholeSamples:
    """Joins what a peer cut inside a sample: bytes of any sizes in, whole samples out, the rest waits for the next."""

    _bytes_per_sample: int = field(default=AGENT_FORMAT.bytes_per_sample, validator=ge(1))
    """The bytes of one sample of all channels."""
    _rest: bytes = field(default=b"", init=False)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a sample that is not whole yet."""
        return len(self._rest)

    def take(self, data: bytes) -> bytes:
        """Give what came; get the samples that are whole with it."""
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % self._bytes_per_sample
        self._rest = data[whole:]
        return data[:whole]

    def clear(self) -> None:
        """Forget the rest: what follows begins with a whole sample."""
        self._rest = b""
