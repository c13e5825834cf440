"""Which name a frame is written under on the bus, and what each name is read as."""

import json
from base64 import b64encode

import pytest

from trio_transports.bus import BusFrameMessage, JSONMessageSerializer
from trio_transports.bus.messages import FrameRole
from trio_transports.errors import LocalProtocolError, RemoteProtocolError
from trio_transports.frames import (
    AudioFrame,
    CancelFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    ImageFrame,
    InterruptionFrame,
    MessageFrame,
    SpriteFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
)

PIPECAT, OWN = "pipecat.frames.frames.", "trio_transports.frames."
BYTES = {"__type__": "bytes", "__data__": b64encode(b"abcd").decode()}
AUDIO = {"audio": BYTES, "sample_rate": 8000, "num_channels": 1}
IMAGE = {"image": BYTES, "format": "PNG"}

audio = AudioFrame(audio=b"abcd", sample_rate=8000, id=7, pts=9, name="n", destination="d")
image = ImageFrame(image=b"abcd", size=(2, 1), format="RGB", destination="d")
said = {"text": "x", "user_id": "u", "timestamp": "t", "id": 7, "name": "n"}


def written(frame: Frame, role: FrameRole) -> dict[str, object]:
    """The document of such a message, as a serializer made now writes it."""
    serializer = JSONMessageSerializer()
    message = BusFrameMessage(source="s", frame=frame, role=role)
    data = serializer.encode(message)
    assert serializer.decode(data) == message
    document: dict[str, object] = json.loads(data)["__data__"]
    return document


def read(name: str, data: object) -> BusFrameMessage:
    direction = {"__type__": "pipecat.processors.frame_processor.FrameDirection", "__data__": "UPSTREAM"}
    content = {"source": "s", "frame": {"__type__": name, "__data__": data}, "direction": direction}
    document = {"__type__": "pipecat.bus.messages.BusFrameMessage", "__data__": content}
    message = JSONMessageSerializer().decode(json.dumps(document))
    assert isinstance(message, BusFrameMessage)
    assert (message.source, message.direction) == ("s", "UPSTREAM")
    return message


@pytest.mark.parametrize(
    ("frame", "incoming", "outgoing"),
    [
        (audio, "InputAudioRawFrame", "OutputAudioRawFrame"),
        (TextFrame(text="x", aloud=True, id=7, name="n"), "InputTextRawFrame", "TextFrame"),
        (TextFrame(text="x", aloud=False), "InputTextRawFrame", "TextFrame"),
        (TranscriptionFrame(**said, final=True), "TranscriptionFrame", "TranscriptionFrame"),  # type: ignore[arg-type]
        (TranscriptionFrame(text="x", final=False), *["InterimTranscriptionFrame"] * 2),
        (MessageFrame(message={"a": [1]}), "InputTransportMessageFrame", "OutputTransportMessageFrame"),
        (MessageFrame(message=1, urgent=True), "InputTransportMessageFrame", "OutputTransportMessageUrgentFrame"),
        (DTMFFrame(digit="0"), "InputDTMFFrame", "OutputDTMFFrame"),
        (DTMFFrame(digit="9"), "InputDTMFFrame", "OutputDTMFFrame"),
        (DTMFFrame(digit="*"), "InputDTMFFrame", "OutputDTMFFrame"),
        (DTMFFrame(digit="#"), "InputDTMFFrame", "OutputDTMFFrame"),
        (image, "InputImageRawFrame", "OutputImageRawFrame"),
        (SpriteFrame(images=(image, image)), "SpriteFrame", "SpriteFrame"),
        (InterruptionFrame(), "InterruptionFrame", "InterruptionFrame"),
        (UserStartedSpeakingFrame(), "UserStartedSpeakingFrame", "UserStartedSpeakingFrame"),
        (EndFrame(reason="r"), "EndFrame", "EndFrame"),
        (CancelFrame(reason="r"), "CancelFrame", "CancelFrame"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_frame_goes_under_pipecats_name(frame: Frame, incoming: str, outgoing: str) -> None:
    """One for each of the two roles, where there are two; else the role is written beside it, and read again."""
    for role, name in (("input", incoming), ("output", outgoing)):
        document = written(frame, role)  # type: ignore[arg-type]
        assert isinstance(document["frame"], dict)
        assert document["frame"]["__type__"] == PIPECAT + name
        assert document.get("role") == ("input" if role == "input" and incoming == outgoing else None)


@pytest.mark.parametrize("frame", [StartFrame(stream_id="x"), DTMFFrame(digit="A"), DTMFFrame(digit="D")])
@pytest.mark.parametrize("role", ["input", "output"])
def test_what_pipecat_does_not_know_goes_under_a_name_of_our_own(frame: Frame, role: FrameRole) -> None:
    document = written(frame, role)
    assert isinstance(document["frame"], dict)
    assert document["frame"]["__type__"] == OWN + type(frame).__name__


def test_what_is_no_frame_of_the_bus_is_not_written() -> None:
    with pytest.raises(LocalProtocolError, match="a str has no form on the bus"):
        JSONMessageSerializer().encode(BusFrameMessage(source="s", frame="no frame"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data", "frame", "role"),
    [
        *(
            (name, AUDIO, AudioFrame(audio=b"abcd", sample_rate=8000), role)
            for name, role in (
                ("OutputAudioRawFrame", "output"),
                ("TTSAudioRawFrame", "output"),
                ("SpeechOutputAudioRawFrame", "output"),
                ("InputAudioRawFrame", "input"),
                ("UserAudioRawFrame", "input"),
            )
        ),
        ("TextFrame", {"text": "x"}, TextFrame(text="x", aloud=True), "output"),
        ("LLMTextFrame", {"text": "x", "skip_tts": True}, TextFrame(text="x", aloud=False), "output"),
        ("InputTextRawFrame", {"text": "x", "skip_tts": False}, TextFrame(text="x", aloud=True), "input"),
        ("TranscriptionFrame", {"text": "x"}, TranscriptionFrame(text="x", final=True), "output"),
        ("InterimTranscriptionFrame", said, TranscriptionFrame(**said, final=False), "output"),  # type: ignore[arg-type]
        ("OutputTransportMessageFrame", {"message": [1]}, MessageFrame(message=[1]), "output"),
        ("OutputTransportMessageUrgentFrame", {"message": 1}, MessageFrame(message=1, urgent=True), "output"),
        ("InputTransportMessageFrame", {"message": 1, "urgent": True}, MessageFrame(message=1, urgent=True), "input"),
        ("OutputDTMFFrame", {"button": "5"}, DTMFFrame(digit="5"), "output"),
        ("OutputDTMFUrgentFrame", {"buttons": ["5"]}, DTMFFrame(digit="5"), "output"),
        ("InputDTMFFrame", {"button": "5"}, DTMFFrame(digit="5"), "input"),
        *(
            (name, IMAGE, ImageFrame(image=b"abcd", size=(0, 0), format="PNG"), role)
            for name, role in (
                ("OutputImageRawFrame", "output"),
                ("URLImageRawFrame", "output"),
                ("InputImageRawFrame", "input"),
                ("UserImageRawFrame", "input"),
            )
        ),
        ("OutputImageRawFrame", {"image": BYTES}, ImageFrame(image=b"abcd", size=(0, 0), format="RGB"), "output"),
    ],
)
def test_a_name_of_pipecats_is_read_as_a_frame_and_a_role(name: str, data: object, frame: Frame, role: str) -> None:
    message = read(PIPECAT + name, data)
    assert (message.frame, message.role) == (frame, role)


@pytest.mark.parametrize(
    ("name", "data", "path", "why"),
    [
        ("OutputDTMFFrame", {}, "buttons", "one key in a frame is wanted, not 1"),
        ("OutputDTMFFrame", {"buttons": []}, "buttons", "not 0"),
        ("OutputDTMFFrame", {"buttons": ["1", "2"]}, "buttons", "not 2"),
        ("OutputDTMFFrame", {"button": 5}, "button", "a key is wanted"),
        ("OutputDTMFFrame", {"button": {"__type__": "x", "__data__": "5"}}, "__type__", "not the type 'x'"),
        ("OutputDTMFFrame", {"button": {"__data__": "5"}}, "", "has the members __type__ and __data__"),
        ("OutputTransportMessageFrame", {"message": [{"__type__": "x", "__data__": 1}]}, "message.[0].__type__", "'x'"),
        ("SpriteFrame", {"images": [{"__type__": PIPECAT + "EndFrame", "__data__": {}}]}, "images[0]", "a EndFrame"),
        ("SpriteFrame", {"images": [{"__type__": "x", "__data__": {}}]}, "images[0].__type__", "'x'"),
        ("OutputAudioRawFrame", AUDIO | {"sample_rate": 0}, "", ""),
    ],
)
def test_what_is_no_such_frame_is_refused_with_its_place(name: str, data: object, path: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError) as info:
        read(PIPECAT + name, data)
    place = str(info.value.path)
    assert place.startswith("__data__.frame.__data__"), place
    assert why in str(info.value)
    assert path.replace(".[", "[") in place
