"""Azure's audio: who of a meeting is heard, and when."""

import json

import pytest

from trio_transports.errors import RemoteProtocolError
from trio_transports.frames import AudioFrame, Frame
from trio_transports.serializers.azure import AzureFrameSerializer
from trio_transports.serializers.lines.azure import MAX_PARTICIPANTS


class TestAzure:
    def test_unmixed(self) -> None:
        """Each participant beside the caller has its own frames, a bounded number of them."""
        serializer = AzureFrameSerializer(tracks=("inbound", "others"))
        serializer.decode('{"kind":"AudioMetadata","audioMetadata":{"sampleRate":24000}}')

        def speaks(name: str) -> list[Frame]:
            data = {"data": "AAA=", "participantRawID": name}
            return list(serializer.decode(json.dumps({"kind": "AudioData", "audioData": data})))

        for _ in range(2):
            for number in range(MAX_PARTICIPANTS + 1):
                (frame,) = speaks(f"p{number}")
                assert isinstance(frame, AudioFrame)
                assert frame.destination == (f"p{number}" if number else None)
        with pytest.raises(RemoteProtocolError, match="16 participants"):
            speaks("one more")

    def test_who_is_not_heard_is_not_counted(self) -> None:
        """However many speak in a meeting: of the caller alone nothing is lost, and nobody is refused."""
        serializer = AzureFrameSerializer()
        serializer.decode('{"kind":"AudioMetadata","audioMetadata":{"sampleRate":24000}}')
        for _ in range(2):
            for number in range(3 * MAX_PARTICIPANTS):
                data = {"data": "AAA=", "participantRawID": f"p{number}" * (50 if number == 7 else 1)}
                frames = serializer.decode(json.dumps({"kind": "AudioData", "audioData": data}))
                assert len(frames) == (0 if number else 1)
        assert serializer._participants == set()

    @pytest.mark.parametrize(
        "refused",
        [
            {"data": "AAA=", "participantRawID": "x" * 300},
            {"data": "A", "participantRawID": "stranger", "timestamp": "2020-01-01T00:00:00Z"},
            {"data": "AA==", "participantRawID": "stranger", "timestamp": "2020-01-01T00:00:00Z"},
        ],
    )
    @pytest.mark.parametrize("has_started", [False, True])
    def test_what_was_refused_is_nobody(self, refused: dict[str, str], has_started: bool) -> None:
        """A refused packet, before the start too, says neither who the caller is nor when the stream began."""
        serializer = AzureFrameSerializer(tracks=("inbound", "others"))
        start = '{"kind":"AudioMetadata","audioMetadata":{"sampleRate":24000}}'
        if has_started:
            serializer.decode(start)
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                serializer.decode(json.dumps({"kind": "AudioData", "audioData": refused}))
        if not has_started:
            serializer.decode(start)
        data = {"data": "AAA=", "participantRawID": "caller", "timestamp": "2026-11-28T04:00:00Z"}
        (frame,) = serializer.decode(json.dumps({"kind": "AudioData", "audioData": data}))
        assert isinstance(frame, AudioFrame)
        assert (frame.pts, frame.destination) == (0, None)

    @pytest.mark.parametrize("timestamp", ["yesterday", "", 5, None, "2026-11-28T04:00:00", "2000-01-01T00:00:00Z"])
    def test_odd_times(self, timestamp: object) -> None:
        """A packet whose time cannot be read, or lies before the first, is heard without one."""
        serializer = AzureFrameSerializer()
        serializer.decode('{"kind":"AudioMetadata","audioMetadata":{"sampleRate":24000}}')
        for time, expected in (("2026-11-28T04:00:00.5Z", 0), (timestamp, None), ("2026-11-28T04:00:01Z", 500_000_000)):
            data = {"data": "AAA=", "timestamp": time}
            (frame,) = serializer.decode(json.dumps({"kind": "AudioData", "audioData": data}))
            assert isinstance(frame, AudioFrame)
            assert frame.pts == expected
