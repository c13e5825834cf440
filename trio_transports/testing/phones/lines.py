"""What each provider says on its WebSocket and takes, from the provider's end, written from its documentation.

One row for each provider: see ``line.py`` for what a row holds, and ``templates.py`` for its holes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from .browser import BrowserPage
from .line import LineWords, PhoneLine, ScriptedLine, Words

_CALLER, _CALLED = "+13120000001", "+13120000002"
_MEDIA: Final[Words] = {"track": "inbound", "chunk": "{chunk}", "timestamp": "{ms}", "payload": "{payload}"}


def _twilio(name: str, rate: int, code: str, announced: str) -> LineWords:
    """Twilio Media Streams, and who speaks as they do."""
    here: Words = {"streamSid": "{stream}"}
    return LineWords(
        name=name,
        rate=rate,
        codes={code: announced},
        opening=(
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {
                "event": "start",
                "sequenceNumber": "{seq}",
                "start": {
                    "accountSid": "AC00000000000000000000000000000001",
                    "streamSid": "{stream}",
                    "callSid": "{call}",
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "{announced}", "sampleRate": "{rate:n}", "channels": 1},
                    "customParameters": "{parameters:n}",
                },
                **here,
            },
        ),
        voice={"event": "media", "sequenceNumber": "{seq}", "media": _MEDIA, **here},
        key={
            "event": "dtmf",
            "sequenceNumber": "{seq}",
            "dtmf": {"track": "inbound_track", "digit": "{digit}"},
            **here,
        },
        played={"event": "mark", "sequenceNumber": "{seq}", "mark": {"name": "{mark}"}, **here},
        stop={
            "event": "stop",
            "sequenceNumber": "{seq}",
            "stop": {"accountSid": "AC00000000000000000000000000000001", "callSid": "{call}"},
            **here,
        },
        play={"event": "media", "media": {"payload": "{payload}"}, **here},
        mark={"event": "mark", "mark": {"name": "{mark}"}, **here},
        clear={"event": "clear", **here},
        refusal=f"{name.capitalize()} ends the stream (error 31924)",
    )


TWILIO: Final = _twilio("twilio", 8000, "PCMU", "audio/x-mulaw")
SIGNALWIRE: Final = _twilio("signalwire", 16000, "L16", "audio/x-l16")
TELNYX: Final = LineWords(
    name="telnyx",
    codes={"PCMU": "PCMU", "PCMA": "PCMA"},
    takes="PCMU",
    opening=(
        {"event": "connected", "version": "1.0.0"},
        {
            "event": "start",
            "sequence_number": "{seq}",
            "start": {
                "call_control_id": "{call}",
                "from": _CALLER,
                "to": _CALLED,
                "media_format": {"encoding": "{announced}", "sample_rate": "{rate:n}", "channels": 1},
            },
            "stream_id": "{stream}",
        },
    ),
    voice={"event": "media", "sequence_number": "{seq}", "media": _MEDIA, "stream_id": "{stream}"},
    key={"event": "dtmf", "sequence_number": "{seq}", "dtmf": {"digit": "{digit}"}, "stream_id": "{stream}"},
    played={"event": "mark", "sequence_number": "{seq}", "mark": {"name": "{mark}"}, "stream_id": "{stream}"},
    stop={"event": "stop", "sequence_number": "{seq}", "stop": {"call_control_id": "{call}"}, "stream_id": "{stream}"},
    play={"event": "media", "media": {"payload": "{payload}"}},
    mark={"event": "mark", "mark": {"name": "{mark}"}},
    clear={"event": "clear"},
)
PLIVO: Final = LineWords(
    name="plivo",
    codes={"PCMU": "audio/x-mulaw", "L16": "audio/x-l16"},
    opening=(
        {
            "event": "start",
            "sequenceNumber": "{seq:n}",
            "start": {
                "callId": "{call}",
                "streamId": "{stream}",
                "accountId": "MA0001",
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "{announced}", "sampleRate": "{rate:n}"},
            },
            "extra_headers": "{}",
        },
    ),
    voice={
        "event": "media",
        "sequenceNumber": "{seq:n}",
        "streamId": "{stream}",
        "media": {"track": "inbound", "timestamp": "{ms}", "chunk": "{chunk:n}", "payload": "{payload}"},
    },
    key={"event": "dtmf", "streamId": "{stream}", "dtmf": {"track": "inbound", "digit": "{digit}"}},
    played={"event": "playedStream", "streamId": "{stream}", "name": "{mark}"},
    stop={"event": "stop", "streamId": "{stream}"},
    play={
        "event": "playAudio",
        "media": {"contentType": "{announced}", "sampleRate": "{rate:n}", "payload": "{payload}"},
        "streamId": "{stream}",
    },
    mark={"event": "checkpoint", "name": "{mark}", "streamId": "{stream}"},
    clear={"event": "clearAudio", "streamId": "{stream}"},
)
EXOTEL: Final = LineWords(
    name="exotel",
    codes={"L16": "audio/x-raw", "PCMU": "audio/x-mulaw"},
    opening=(
        {"event": "connected"},
        {
            "event": "start",
            "sequence_number": "{seq:n}",
            "stream_sid": "{stream}",
            "start": {
                "stream_sid": "{stream}",
                "call_sid": "{call}",
                "account_sid": "account-0001",
                "from": "+910000000001",
                "to": "+910000000002",
                "media_format": {"encoding": "{announced}", "sample_rate": "{rate}", "bit_rate": "128kbps"},
            },
        },
    ),
    voice={
        "event": "media",
        "sequence_number": "{seq:n}",
        "stream_sid": "{stream}",
        "media": {"chunk": "{chunk:n}", "timestamp": "{ms}", "payload": "{payload}"},
    },
    key={"event": "dtmf", "stream_sid": "{stream}", "dtmf": {"duration": "100", "digit": "{digit}"}},
    played={"event": "mark", "stream_sid": "{stream}", "mark": {"name": "{mark}"}},
    stop={
        "event": "stop",
        "stream_sid": "{stream}",
        "stop": {"call_sid": "{call}", "account_sid": "account-0001", "reason": "callended"},
    },
    play={"event": "media", "stream_sid": "{stream}", "media": {"payload": "{payload}"}},
    mark={"event": "mark", "stream_sid": "{stream}", "mark": {"name": "{mark}"}},
    clear={"event": "clear", "stream_sid": "{stream}"},
)
VONAGE: Final = LineWords(
    name="vonage",
    rate=16000,
    codes={"L16": "audio/l16"},
    names_calls=False,
    opening=({"event": "websocket:connected", "content-type": "{announced};rate={rate}"},),
    key={"event": "websocket:dtmf", "digit": "{digit}", "duration": 260},
    played={"event": "websocket:notify", "payload": {"mark": "{mark}"}},
    mark={"action": "notify", "payload": {"mark": "{mark}"}},
    clear={"action": "clear"},
)
_GENESYS_SAYS: Final[Words] = {
    "version": "2",
    "id": "{stream}",
    "seq": "{seq:n}",
    "serverseq": "{seen:n}",
    "position": "PT0S",
}
GENESYS: Final = LineWords(
    name="genesys",
    codes={"PCMU": "PCMU", "L16": "L16"},
    numbered=True,
    opening=(
        {
            **_GENESYS_SAYS,
            "type": "open",
            "parameters": {
                "organizationId": "organization-0001",
                "conversationId": "{call}",
                "participant": {"id": "participant-0001", "ani": _CALLER, "aniName": "", "dnis": _CALLED},
                "media": [{"type": "audio", "format": "{announced}", "channels": ["external"], "rate": "{rate:n}"}],
                "inputVariables": "{parameters:n}",
            },
        },
    ),
    key={**_GENESYS_SAYS, "type": "dtmf", "parameters": {"digit": "{digit}"}},
    stop={**_GENESYS_SAYS, "type": "close", "parameters": {"reason": "end"}},
    answer={"type": "opened", "version": "2", "id": "{stream}"},
    clear={"type": "event", "parameters": {"entities": [{"type": "barge_in", "data": {}}]}, "id": "{stream}"},
    end={"type": "disconnect", "id": "{stream}"},
    max_bytes=65_536,
)
ASTERISK: Final = LineWords(
    name="asterisk",
    codes={"PCMU": "ulaw", "PCMA": "alaw", "L16": "slin"},
    opening=(
        {
            "event": "MEDIA_START",
            "connection_id": "{stream}",
            "channel": "WebSocket/{stream}/0x5",
            "channel_id": "{call}",
            "format": "{announced}",
            "optimal_frame_size": "{frame_bytes:n}",
        },
    ),
    key={"event": "DTMF_END", "digit": "{digit}"},
    played={"event": "MEDIA_MARK_PROCESSED", "correlation_id": "{mark}"},
    mark={"command": "MARK_MEDIA", "correlation_id": "{mark}"},
    clear={"command": "FLUSH_MEDIA"},
    end={"command": "HANGUP"},
    max_bytes=65_500,
    whole_frames=True,
)
RELAY: Final = LineWords(
    name="relay",
    carries_audio=False,
    opening=(
        {
            "type": "setup",
            "sessionId": "{stream}",
            "accountSid": "AC00000000000000000000000000000001",
            "callSid": "{call}",
            "from": _CALLER,
            "to": _CALLED,
            "direction": "inbound",
            "customParameters": "{parameters:n}",
        },
    ),
    words={"type": "prompt", "voicePrompt": "{text}", "lang": "en-US", "last": True},
    key={"type": "dtmf", "digit": "{digit}"},
    text={"type": "text", "token": "{text}", "last": "{last:n}"},
    end={"type": "end"},
)
AZURE: Final = LineWords(
    name="azure",
    rate=24000,
    codes={"L16": "PCM"},
    names_calls=False,
    opening=(
        {
            "kind": "AudioMetadata",
            "audioMetadata": {
                "subscriptionId": "{stream}",
                "encoding": "{announced}",
                "sampleRate": "{rate:n}",
                "channels": 1,
                "length": "{frame_bytes:n}",
            },
        },
    ),
    voice={
        "kind": "AudioData",
        "audioData": {
            "timestamp": "{time}",
            "participantRawID": "8:acs:1",
            "data": "{payload}",
            "silent": False,
        },
    },
    key={"kind": "DtmfData", "dtmfData": {"data": "{digit}"}},
    play={"Kind": "AudioData", "AudioData": {"Data": "{payload}"}, "StopAudio": None},
    clear={"Kind": "StopAudio", "AudioData": None, "StopAudio": {}},
    refusal="Azure has no use",
)
JAMBONZ: Final = LineWords(
    name="jambonz",
    rate=16000,
    codes={"L16": ""},
    opening=({"callSid": "{call}", "from": _CALLER, "to": _CALLED, "sampleRate": "{rate:n}", "mixType": "mono"},),
    key={"event": "dtmf", "dtmf": "{digit}", "duration": "200"},
    played={"type": "mark", "data": {"name": "{mark}", "event": "playout"}},
    mark={"type": "mark", "data": {"name": "{mark}"}},
    clear={"type": "killAudio"},
    end={"type": "disconnect"},
)
WAVIX: Final = LineWords(
    name="wavix",
    rate=24000,
    codes={"L16": ""},
    opening=(
        {"event": "connected", "event_time": "2026-01-15T10:30:00Z"},
        {
            "event": "start",
            "call_id": "{call}",
            "stream_id": "{stream}",
            "stream_type": "twoway",
            "channel": "inbound",
        },
    ),
    voice={
        "event": "media",
        "call_id": "{call}",
        "stream_id": "{stream}",
        "media": {"payload": "{payload}", "track": "inbound", "timestamp": "{ms:n}", "chunk": "{chunk:n}"},
    },
    key={"event": "dtmf", "stream_id": "{stream}", "dtmf": {"digit": "{digit}"}},
    played={"event": "mark", "call_id": "{call}", "stream_id": "{stream}", "mark": {"name": "{mark}"}},
    stop={"event": "stop", "call_id": "{call}", "stream_id": "{stream}"},
    play={"event": "media", "stream_id": "{stream}", "media": {"payload": "{payload}"}},
    mark={"event": "mark", "stream_id": "{stream}", "mark": {"name": "{mark}"}},
    clear={"event": "clear", "stream_id": "{stream}"},
    refusal="Wavix has no use",
)
SINCH: Final = LineWords(
    name="sinch",
    rate=16000,
    codes={"L16": "PCM"},
    opening=(
        {
            "command": "connect",
            "version": 1,
            "callId": "{call}",
            "applicationKey": "key-0001",
            "codec": "{announced}",
            "sampleRate": "{rate:n}",
        },
    ),
    answer={"command": "answer"},
    clear={"command": "clear"},
)

PROVIDERS: Final = (
    TWILIO,
    TELNYX,
    PLIVO,
    EXOTEL,
    VONAGE,
    SIGNALWIRE,
    GENESYS,
    ASTERISK,
    RELAY,
    AZURE,
    JAMBONZ,
    WAVIX,
    SINCH,
)
LINES: Final[Mapping[str, Callable[..., PhoneLine]]] = {
    **{row.name: partial(ScriptedLine, by=row) for row in PROVIDERS},
    "browser": BrowserPage,
}
"""The scripted callers that there are, by name: the telephone lines, and a page of one's own."""


def line_named(name: str, **changes: object) -> PhoneLine:
    """Make a caller of this provider; a ValueError tells which there are.

    ``changes`` are those fields of ``ScriptedLine`` that are not to be the usual ones: ``rate=24000``, ``code="PCMA"``,
    ``call_id="CA7"``, ``parameters={"name": "ann"}``, ``is_plain=True``.
    """
    try:
        make = LINES[name]
    except KeyError:
        raise ValueError(f"there is no scripted phone for {name!r}; there is one for {', '.join(LINES)}") from None
    return make(**changes)
