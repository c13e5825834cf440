"""Calls from start to stop, byte for byte, as each provider holds them.

``IN`` lines are what the provider sends, with the frames they give; ``OUT`` lines are frames, with what is sent.
The audio is the same in all: eight samples that mu-law and A-law carry without loss, so that both ways can be compared.
"""

from collections.abc import Callable, Sequence

from attrs import evolve, field, frozen

from trio_transports.audio.g711 import alaw_to_pcm, ulaw_to_pcm
from trio_transports.frames import (
    AudioFrame,
    DTMFFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MarkFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
)
from trio_transports.serializers import Message
from trio_transports.serializers.exotel import ExotelFrameSerializer
from trio_transports.serializers.plivo import PlivoFrameSerializer
from trio_transports.serializers.protocol import CallSerializer
from trio_transports.serializers.telnyx import TelnyxFrameSerializer
from trio_transports.serializers.twilio import TwilioFrameSerializer
from trio_transports.serializers.vonage import VonageFrameSerializer


@frozen
class In:
    message: Message
    frames: tuple[Frame, ...] = ()


@frozen
class Out:
    frame: Frame
    messages: tuple[Message, ...] = ()


@frozen(kw_only=True)
class Conversation:
    """``malformed`` are messages of the provider's with one thing wrong, and the place that the error must name.

    Those in ``early`` are wrong only before the start message.
    """

    provider: str
    make: Callable[[], CallSerializer]
    lines: Sequence[In | Out]
    malformed: Sequence[tuple[Message, str]] = field(default=())
    early: Sequence[tuple[Message, str]] = field(default=())

    @property
    def received(self) -> list[Message]:
        return [line.message for line in self.lines if isinstance(line, In)]


ULAW = bytes([0xFF, 0x7E, 0x00, 0x80, 0x12, 0xA5, 0x5A, 0xE7])
ULAW_B64 = "/34AgBKlWuc="
ALAW = bytes([0xD5, 0x55, 0x00, 0x80, 0x12, 0xA5, 0x5A, 0xE7])
ALAW_B64 = "1VUAgBKlWuc="
PCM = bytes([0, 0, 1, 0, 255, 255, 0, 128, 255, 127, 232, 3, 24, 252, 57, 48])
PCM_B64 = "AAABAP//AID/f+gDGPw5MA=="


def at(frame: AudioFrame, ms: int, number: int) -> AudioFrame:
    """The same audio as a packet that says when it was spoken, and which one it is."""
    return evolve(frame, pts=ms * 1_000_000, id=number)


ULAW_AUDIO = AudioFrame(audio=ulaw_to_pcm(ULAW), sample_rate=8000)
ALAW_AUDIO = AudioFrame(audio=alaw_to_pcm(ALAW), sample_rate=8000)
CUSTOM = MessageFrame(message={"event": "custom", "n": 1.5, "text": "é"})
CUSTOM_TEXT = '{"event":"custom","n":1.5,"text":"é"}'
RTVI = MessageFrame(message={"label": "rtvi-ai", "type": "bot-ready", "id": "1"})

# What no line carries, whoever the provider is.
SILENT = [Out(RTVI), Out(TextFrame(text="not for a telephone")), Out(DTMFFrame(digit="1")), Out(EndFrame())]

# What is wrong with any of the JSON dialects' messages, whoever the provider is.
MALFORMED: list[tuple[Message, str]] = [
    ("", "$"),
    ("{", "$"),
    ("null", "$"),
    ("[]", "$"),
    ('"media"', "$"),
    ("{}", "event"),
    ('{"event":null}', "event"),
    ('{"event":5}', "event"),
    ('{"event":["media"]}', "event"),
    ('{"event":{"media":{}}}', "event"),
    (b"\xff\xfe", "$"),
]
MALFORMED_MEDIA: list[tuple[Message, str]] = [
    *MALFORMED,
    ('{"event":"media"}', "media"),
    ('{"event":"media","media":null}', "media"),
    ('{"event":"media","media":"//8="}', "media"),
    ('{"event":"media","media":["//8="]}', "media"),
    ('{"event":"media","media":{}}', "media.payload"),
    ('{"event":"media","media":{"payload":null}}', "media.payload"),
    ('{"event":"media","media":{"payload":8}}', "media.payload"),
    ('{"event":"media","media":{"payload":"//8"}}', "media.payload"),
    ('{"event":"media","media":{"payload":"//8=="}}', "media.payload"),
    ('{"event":"media","media":{"payload":"/_8="}}', "media.payload"),
    ('{"event":"media","media":{"payload":"//8=\\n"}}', "media.payload"),
    ('{"event":"media","media":{"payload":" //8="}}', "media.payload"),
    ('{"event":"media","media":{"payload":"é"}}', "media.payload"),
    ('{"event":"media","media":{"payload":"//8=","track":1}}', "media.track"),
    ('{"event":"media","media":{"payload":"//8=","track":null}}', "media.track"),
    ('{"event":"media","media":{"payload":"?","track":"outbound"}}', "media.payload"),
    ('{"event":"dtmf"}', "dtmf"),
    ('{"event":"dtmf","dtmf":"1"}', "dtmf"),
    ('{"event":"dtmf","dtmf":{}}', "dtmf.digit"),
    ('{"event":"dtmf","dtmf":{"digit":1}}', "dtmf.digit"),
    ('{"event":"dtmf","dtmf":{"digit":""}}', "dtmf.digit"),
    ('{"event":"dtmf","dtmf":{"digit":"12"}}', "dtmf.digit"),
    ('{"event":"dtmf","dtmf":{"digit":"E"}}', "dtmf.digit"),
]
EARLY: list[tuple[Message, str]] = [('{"event":"media","media":{"payload":"//8="}}', "media.payload")]
MALFORMED_STARTS: list[tuple[Message, str]] = [
    ('{"event":"start"}', "start"),
    ('{"event":"start","start":[]}', "start"),
]
MALFORMED_MARKS: list[tuple[Message, str]] = [
    ('{"event":"mark"}', "mark"),
    ('{"event":"mark","mark":"greeting"}', "mark"),
    ('{"event":"mark","mark":{}}', "mark.name"),
    ('{"event":"mark","mark":{"name":null}}', "mark.name"),
]
LONG = "x" * 257

TWILIO_START = (
    '{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1",'
    '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    '"customParameters":{"user":"ada","n":"2"}},"streamSid":"MZ1"}'
)
TWILIO = Conversation(
    provider="twilio",
    make=TwilioFrameSerializer,
    lines=[
        Out(InterruptionFrame()),
        In('{"event":"connected","protocol":"Call","version":"1.0.0"}'),
        In(
            TWILIO_START,
            (
                StartFrame(
                    stream_id="MZ1",
                    call_id="CA1",
                    account_id="AC1",
                    audio_in_sample_rate=8000,
                    audio_out_sample_rate=8000,
                    parameters={"user": "ada", "n": "2"},
                ),
            ),
        ),
        In(
            '{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"1","timestamp":"5",'
            f'"payload":"{ULAW_B64}"}},"streamSid":"MZ1"}}',
            (at(ULAW_AUDIO, 5, 1),),
        ),
        In(f'{{"event":"media","media":{{"track":"outbound","payload":"{ULAW_B64}"}},"streamSid":"MZ1"}}'),
        In('{"event":"media","media":{"track":"inbound","payload":""},"streamSid":"MZ1"}'),
        Out(ULAW_AUDIO, (f'{{"event":"media","streamSid":"MZ1","media":{{"payload":"{ULAW_B64}"}}}}',)),
        Out(AudioFrame(audio=b"", sample_rate=8000)),
        Out(MarkFrame(mark="greeting"), ('{"event":"mark","streamSid":"MZ1","mark":{"name":"greeting"}}',)),
        In(
            '{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"greeting"}}',
            (MarkFrame(mark="greeting"),),
        ),
        Out(InterruptionFrame(), ('{"event":"clear","streamSid":"MZ1"}',)),
        In(
            '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"#"}}',
            (DTMFFrame(digit="#"),),
        ),
        In('{"event":"a-later-invention","streamSid":"MZ1"}'),
        Out(CUSTOM),
        *SILENT,
        In(
            '{"event":"stop","sequenceNumber":"6","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}',
            (EndFrame(),),
        ),
    ],
    malformed=[
        *MALFORMED_MEDIA,
        *MALFORMED_MARKS,
        *MALFORMED_STARTS,
        ('{"event":"start","start":{}}', "start.streamSid"),
        ('{"event":"start","start":{"streamSid":null}}', "start.streamSid"),
        ('{"event":"start","start":{"streamSid":""}}', "start.streamSid"),
        (f'{{"event":"start","start":{{"streamSid":"{LONG}"}}}}', "start.streamSid"),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":7}}', "start.callSid"),
        ('{"event":"start","start":{"streamSid":"MZ1","customParameters":[]}}', "start.customParameters"),
    ],
    early=EARLY,
)


def telnyx_start(encoding: str) -> str:
    return (
        '{"event":"start","sequence_number":"1","stream_id":"ST1","start":{"user_id":"U1","call_control_id":"v2:CC1",'
        '"call_session_id":"CS1","from":"+13122010094","to":"+13122123456","client_state":"aGk=",'
        f'"custom_parameters":{{"user":"ada"}},"media_format":{{"encoding":"{encoding}","sample_rate":8000,"channels":1}}}}}}'
    )


def telnyx(encoding: str, payload: str, audio: AudioFrame) -> Conversation:
    return Conversation(
        provider=f"telnyx-{encoding}",
        make=lambda: TelnyxFrameSerializer(send_encoding=encoding),
        lines=[
            Out(InterruptionFrame()),
            In('{"event":"connected","version":"1.0.0"}'),
            In(
                telnyx_start(encoding),
                (
                    StartFrame(
                        stream_id="ST1",
                        call_id="v2:CC1",
                        account_id="U1",
                        from_number="+13122010094",
                        to_number="+13122123456",
                        audio_in_sample_rate=8000,
                        audio_out_sample_rate=8000,
                        parameters={"client_state": "aGk=", "user": "ada"},
                    ),
                ),
            ),
            In(
                '{"event":"media","sequence_number":"4","stream_id":"ST1","media":{"track":"inbound","chunk":"2",'
                f'"timestamp":"20","payload":"{payload}"}}}}',
                (at(audio, 20, 2),),
            ),
            In(f'{{"event":"media","media":{{"track":"outbound","payload":"{payload}"}}}}'),
            Out(audio, (f'{{"event":"media","media":{{"payload":"{payload}"}}}}',)),
            Out(AudioFrame(audio=b"", sample_rate=8000)),
            Out(MarkFrame(mark="greeting"), ('{"event":"mark","mark":{"name":"greeting"}}',)),
            In(
                '{"event":"mark","sequence_number":"5","stream_id":"ST1","mark":{"name":"greeting"}}',
                (MarkFrame(mark="greeting"),),
            ),
            Out(InterruptionFrame(), ('{"event":"clear"}',)),
            In(
                '{"event":"dtmf","stream_id":"ST1","occurred_at":"2024-09-10T10:00:00.0Z","sequence_number":"5",'
                '"dtmf":{"digit":"*"}}',
                (DTMFFrame(digit="*"),),
            ),
            In(
                '{"event":"error","stream_id":"ST1","payload":{"code":100002,"title":"unknown_error","detail":""}}',
                (
                    MessageFrame(
                        message={
                            "event": "error",
                            "stream_id": "ST1",
                            "payload": {"code": 100002, "title": "unknown_error", "detail": ""},
                        }
                    ),
                ),
            ),
            Out(CUSTOM, (CUSTOM_TEXT,)),
            *SILENT,
            In(
                '{"event":"stop","sequence_number":"6","stream_id":"ST1",'
                '"stop":{"user_id":"U1","call_control_id":"v2:CC1"}}',
                (EndFrame(),),
            ),
        ],
        malformed=[
            *MALFORMED_MEDIA,
            *MALFORMED_MARKS,
            ('{"event":"start","start":{}}', "stream_id"),
            ('{"event":"start","stream_id":"ST1"}', "start"),
            ('{"event":"start","stream_id":"ST1","start":[]}', "start"),
            ('{"event":"start","stream_id":1,"start":{}}', "stream_id"),
            (f'{{"event":"start","stream_id":"{LONG}","start":{{}}}}', "stream_id"),
            ('{"event":"start","stream_id":"ST1","start":{"from":1}}', "start.from"),
            ('{"event":"start","stream_id":"ST1","start":{"media_format":"PCMU"}}', "start.media_format"),
            (telnyx_start("FLAC"), "start.media_format.encoding"),
            (telnyx_start(""), "start.media_format.encoding"),
        ],
        early=EARLY,
    )


PLIVO_START = (
    '{"event":"start","sequenceNumber":1,"start":{"callId":"CALL1","streamId":"PL1","accountId":"MA1",'
    '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000}},'
    '"extra_headers":"userId=12345;sessionId=abc"}'
)
PLIVO = Conversation(
    provider="plivo",
    make=PlivoFrameSerializer,
    lines=[
        Out(InterruptionFrame()),
        In(
            PLIVO_START,
            (
                StartFrame(
                    stream_id="PL1",
                    call_id="CALL1",
                    account_id="MA1",
                    audio_in_sample_rate=8000,
                    audio_out_sample_rate=8000,
                    parameters={
                        "extra_headers": "userId=12345;sessionId=abc",
                        "userId": "12345",
                        "sessionId": "abc",
                    },
                ),
            ),
        ),
        In(
            '{"event":"media","sequenceNumber":2,"streamId":"PL1","media":{"track":"inbound","timestamp":"1",'
            f'"chunk":1,"payload":"{ULAW_B64}"}}}}',
            (at(ULAW_AUDIO, 1, 1),),
        ),
        Out(
            ULAW_AUDIO,
            (
                '{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,'
                f'"payload":"{ULAW_B64}"}},"streamId":"PL1"}}',
            ),
        ),
        Out(AudioFrame(audio=b"", sample_rate=8000)),
        Out(MarkFrame(mark="greeting"), ('{"event":"checkpoint","streamId":"PL1","name":"greeting"}',)),
        In('{"event":"playedStream","streamId":"PL1","name":"greeting"}', (MarkFrame(mark="greeting"),)),
        In('{"event":"played","streamId":"PL1","name":"greeting"}', (MarkFrame(mark="greeting"),)),
        Out(InterruptionFrame(), ('{"event":"clearAudio","streamId":"PL1"}',)),
        In('{"event":"clearedAudio","sequenceNumber":9,"streamId":"PL1"}'),
        In(
            '{"event":"dtmf","sequenceNumber":3,"streamId":"PL1",'
            '"dtmf":{"track":"inbound","digit":"0","timestamp":"12"}}',
            (DTMFFrame(digit="0"),),
        ),
        Out(CUSTOM, (CUSTOM_TEXT,)),
        *SILENT,
        In('{"event":"stop","streamId":"PL1"}', (EndFrame(),)),
    ],
    malformed=[
        *MALFORMED_MEDIA,
        *MALFORMED_STARTS,
        ('{"event":"playedStream"}', "name"),
        ('{"event":"playedStream","name":{}}', "name"),
        ('{"event":"start","start":{}}', "start.streamId"),
        ('{"event":"start","start":{"streamId":1}}', "start.streamId"),
        ('{"event":"start","start":{"streamId":""}}', "start.streamId"),
        ('{"event":"start","start":{"streamId":"PL1","callId":[]}}', "start.callId"),
    ],
    early=EARLY,
)

EXOTEL_START = (
    '{"event":"start","sequence_number":1,"stream_sid":"EX1","start":{"stream_sid":"EX1","call_sid":"C1",'
    '"account_sid":"exo1","from":"+9180","to":"+9120","custom_parameters":{"user":"ada"},'
    '"media_format":{"encoding":"base64","sample_rate":"8000","bit_rate":"128kbps"}}}'
)


def exotel(rate: int) -> Conversation:
    start = EXOTEL_START.replace('"sample_rate":"8000"', f'"sample_rate":"{rate}"')
    audio = AudioFrame(audio=PCM, sample_rate=rate)
    return Conversation(
        provider=f"exotel-{rate}",
        make=ExotelFrameSerializer,
        lines=[
            Out(InterruptionFrame()),
            In('{"event":"connected"}'),
            In(
                start,
                (
                    StartFrame(
                        stream_id="EX1",
                        call_id="C1",
                        account_id="exo1",
                        from_number="+9180",
                        to_number="+9120",
                        audio_in_sample_rate=rate,
                        audio_out_sample_rate=rate,
                        parameters={"user": "ada"},
                    ),
                ),
            ),
            In(
                '{"event":"media","sequence_number":2,"stream_sid":"EX1","media":{"chunk":1,"timestamp":"100",'
                f'"payload":"{PCM_B64}"}}}}',
                (at(audio, 100, 1),),
            ),
            Out(audio, (f'{{"event":"media","stream_sid":"EX1","media":{{"payload":"{PCM_B64}"}}}}',)),
            Out(AudioFrame(audio=b"", sample_rate=rate)),
            Out(MarkFrame(mark="greeting"), ('{"event":"mark","stream_sid":"EX1","mark":{"name":"greeting"}}',)),
            In('{"event":"mark","stream_sid":"EX1","mark":{"name":"greeting"}}', (MarkFrame(mark="greeting"),)),
            Out(InterruptionFrame(), ('{"event":"clear","stream_sid":"EX1"}',)),
            In(
                '{"event":"dtmf","sequence_number":3,"stream_sid":"EX1","dtmf":{"duration":"100","digit":"7"}}',
                (DTMFFrame(digit="7"),),
            ),
            In('{"event":"clear","stream_sid":"EX1"}'),
            Out(CUSTOM, (CUSTOM_TEXT,)),
            *SILENT,
            In(
                '{"event":"stop","sequence_number":4,"stream_sid":"EX1",'
                '"stop":{"call_sid":"C1","account_sid":"exo1","reason":"callended"}}',
                (EndFrame(),),
            ),
        ],
        malformed=[
            *MALFORMED_MEDIA,
            *MALFORMED_MARKS,
            *MALFORMED_STARTS,
            ('{"event":"media","media":{"payload":"AAAA"}}', "media.payload"),  # three bytes
            ('{"event":"start","start":{}}', "start.stream_sid"),
            ('{"event":"start","start":{"stream_sid":5}}', "start.stream_sid"),
            ('{"event":"start","start":{"stream_sid":"EX1","to":5}}', "start.to"),
            ('{"event":"start","start":{"stream_sid":"EX1","media_format":[]}}', "start.media_format"),
        ],
        early=EARLY,
    )


def vonage(rate: int) -> Conversation:
    audio = AudioFrame(audio=PCM, sample_rate=rate)
    return Conversation(
        provider=f"vonage-{rate}",
        make=VonageFrameSerializer,
        lines=[
            In(
                f'{{"event":"websocket:connected","content-type":"audio/l16;rate={rate}","caller":"447700900000",'
                '"extra":{"n":1}}',
                (
                    StartFrame(
                        audio_in_sample_rate=rate,
                        audio_out_sample_rate=rate,
                        parameters={"caller": "447700900000", "extra": {"n": 1}},
                    ),
                ),
            ),
            In(PCM, (audio,)),
            In(b""),
            Out(audio, (PCM,)),
            Out(AudioFrame(audio=b"", sample_rate=rate)),
            Out(MarkFrame(mark="greeting"), ('{"action":"notify","payload":{"mark":"greeting"}}',)),
            In('{"event":"websocket:notify","payload":{"mark":"greeting"}}', (MarkFrame(mark="greeting"),)),
            In(
                '{"event":"websocket:notify","payload":{"reply":7}}',
                (MessageFrame(message={"event": "websocket:notify", "payload": {"reply": 7}}),),
            ),
            Out(InterruptionFrame(), ('{"action":"clear"}',)),
            In('{"event":"websocket:cleared"}'),
            In('{"event":"websocket:dtmf","digit":"5","duration":260}', (DTMFFrame(digit="5"),)),
            In('{"event":"websocket:dtmf","digit":0,"duration":260}', (DTMFFrame(digit="0"),)),
            In('{"event":"websocket:dtmf","dtmf":{"digit":"#"}}', (DTMFFrame(digit="#"),)),
            In('{"event":"websocket:dtmf","dtmf":"*"}', (DTMFFrame(digit="*"),)),
            In('{"event":"websocket:a-later-invention"}'),
            Out(CUSTOM, (CUSTOM_TEXT,)),
            *SILENT,
        ],
        malformed=[
            *(wrong for wrong in MALFORMED if isinstance(wrong[0], str)),
            ('{"event":"websocket:dtmf"}', "digit"),
            ('{"event":"websocket:dtmf","digit":55}', "digit"),
            ('{"event":"websocket:dtmf","digit":5.0}', "digit"),
            ('{"event":"websocket:dtmf","digit":true}', "digit"),
            ('{"event":"websocket:dtmf","dtmf":{}}', "digit"),
            ('{"event":"websocket:dtmf","dtmf":[5]}', "digit"),
            ('{"event":"websocket:dtmf","digit":"55"}', "digit"),
            ('{"event":"websocket:connected","content-type":1}', "content-type"),
            ('{"event":"websocket:connected","content-type":"audio/l16"}', "content-type"),
            ('{"event":"websocket:connected","content-type":"audio/l16;rate=44100"}', "content-type"),
            ('{"event":"websocket:connected","content-type":"audio/opus;rate=16000"}', "content-type"),
            ('{"event":"websocket:connected","content-type":"audio/l16;rate=999999999999"}', "content-type"),
        ],
        early=[(PCM, "$")],
    )


CONVERSATIONS = [
    TWILIO,
    telnyx("PCMU", ULAW_B64, ULAW_AUDIO),
    telnyx("PCMA", ALAW_B64, ALAW_AUDIO),
    PLIVO,
    exotel(8000),
    exotel(24000),
    vonage(8000),
    vonage(16000),
    vonage(24000),
]
