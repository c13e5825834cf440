"""Play a recorded sound: a greeting when the call begins, or an announcement when something comes by."""

from collections.abc import Callable
from os import PathLike

import trio
from attrs import evolve

from ...audio.sound import Sound
from ...frames import AudioFrame, Frame
from ..stage import AsyncStage


def sound_frame(
    sound: "Sound | AudioFrame | str | PathLike[str]", *, utterance: str | None = None, interruptible: bool = True
) -> AudioFrame:
    """Make one frame of a sound, or of a WAV file."""
    if isinstance(sound, AudioFrame):
        return sound if interruptible else evolve(sound, interruptible=False)
    if not isinstance(sound, Sound):
        sound = Sound.from_wav(sound)
    return AudioFrame(
        audio=sound.pcm,
        sample_rate=sound.audio_format.sample_rate,
        num_channels=sound.audio_format.num_channels,
        utterance=utterance,
        interruptible=interruptible,
    )


def play(
    sound: "Sound | AudioFrame | str | PathLike[str]",
    when: Callable[[Frame], bool] | None = None,
    *,
    interruptible: bool = True,
) -> AsyncStage:
    """Make a stage that plays a sound (a WAV file's path, a ``Sound``, a frame) and passes everything on.

    Without ``when`` it is played once, first of all; with it, behind each frame for which ``when`` is true. The file is
    read here and not in the call. The output converts it to what its line speaks.

    ``interruptible=False`` has it played to its end, whoever speaks.
    """
    frame_of_sound = sound_frame(sound, interruptible=interruptible)

    async def play_stage(input: trio.abc.ReceiveChannel[Frame], output: trio.abc.SendChannel[Frame]) -> None:  # noqa: A002
        if when is None:
            await output.send(frame_of_sound)
        async for frame in input:
            await output.send(frame)
            if when is not None and when(frame):
                await output.send(frame_of_sound)

    return play_stage
