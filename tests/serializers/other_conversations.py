"""Calls from start to stop, byte for byte, of the providers that do not speak as Twilio does.

``In`` and ``Out`` are as in ``conversations.py``; ``Owed`` is what the dialect answers by itself to the line before.
"""

from tests.serializers.conversations import (
    EARLY,
    MALFORMED_MARKS,
    MALFORMED_MEDIA,
    PCM,
    PCM_B64,
    RTVI,
    ULAW,
    ULAW_AUDIO,
    In,
    Out,
    at,
)
from tests.serializers.genesys_conversation import GENESYS
from tests.serializers.scripts import Owed, Script, audio
from trio_transports.frames import (
    AudioFrame,
    BotStoppedSpeakingFrame,
    DTMFFrame,
    EndFrame,
    InterruptionFrame,
    JSONValue,
    MarkFrame,
    MessageFrame,
    StartFrame,
    TextFrame,
    TranscriptionFrame,
)
from trio_transports.serializers.asterisk import AsteriskFrameSerializer
from trio_transports.serializers.azure import AzureFrameSerializer
from trio_transports.serializers.jambonz import JambonzFrameSerializer
from trio_transports.serializers.relay import RelayFrameSerializer
from trio_transports.serializers.signalwire import SignalWireFrameSerializer
from trio_transports.serializers.sinch import SinchFrameSerializer
from trio_transports.serializers.wavix import WavixFrameSerializer

SIGNALWIRE = Script(
    name="signalwire",
    provider="signalwire",
    make=SignalWireFrameSerializer,
    lines=[
        In('{"event":"connected","protocol":"Call","version":"0.2.0"}'),
        In(
            '{"event":"start","sequenceNumber":"1","start":{"streamSid":"b5c7","callSid":"c1","accountSid":"a1",'
            '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-l16","sampleRate":24000,"channels":1}},'
            '"streamSid":"b5c7"}',
            (
                StartFrame(
                    stream_id="b5c7",
                    call_id="c1",
                    account_id="a1",
                    audio_in_sample_rate=24000,
                    audio_out_sample_rate=24000,
                ),
            ),
        ),
        In(
            '{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"20",'
            f'"payload":"{PCM_B64}"}},"streamSid":"b5c7"}}',
            (at(audio(PCM, 24000), 20, 1),),
        ),
        Out(audio(PCM, 24000), (f'{{"event":"media","streamSid":"b5c7","media":{{"payload":"{PCM_B64}"}}}}',)),
        Out(InterruptionFrame(), ('{"event":"clear","streamSid":"b5c7"}',)),
        Out(MessageFrame(message={"a": 1})),
        In('{"event":"stop","streamSid":"b5c7"}', (EndFrame(),)),
    ],
    malformed=[*MALFORMED_MEDIA, *MALFORMED_MARKS, ('{"event":"media","media":{"payload":"AAAA"}}', "media.payload")],
    early=EARLY,
)

WAVIX = Script(
    name="wavix",
    provider="wavix",
    make=WavixFrameSerializer,
    lines=[
        In('{"event":"connected","event_time":"2024-01-15T10:30:00Z"}'),
        In(
            '{"event":"start","event_time":"2024-01-15T10:30:00Z","call_id":"abc","stream_id":"str-4",'
            '"stream_type":"twoway","channel":"both","sequence_number":1}',
            (StartFrame(stream_id="str-4", call_id="abc", audio_in_sample_rate=24000, audio_out_sample_rate=24000),),
        ),
        In(
            '{"event":"media","call_id":"abc","stream_id":"str-4","sequence_number":2,"media":{'
            f'"payload":"{PCM_B64}","track":"inbound","timestamp":160,"chunk":1}}}}',
            (at(audio(PCM, 24000), 160, 1),),
        ),
        Out(audio(PCM, 24000), (f'{{"event":"media","stream_id":"str-4","media":{{"payload":"{PCM_B64}"}}}}',)),
        Out(MarkFrame(mark="m1"), ('{"event":"mark","stream_id":"str-4","mark":{"name":"m1"}}',)),
        In('{"event":"mark","call_id":"abc","stream_id":"str-4","mark":{"name":"m1"}}', (MarkFrame(mark="m1"),)),
        Out(InterruptionFrame(), ('{"event":"clear","stream_id":"str-4"}',)),
        Out(MessageFrame(message={"a": 1})),
        In('{"event":"stop","call_id":"abc","stream_id":"str-4","sequence_number":100}', (EndFrame(),)),
    ],
    malformed=[*MALFORMED_MEDIA, *MALFORMED_MARKS],
    early=[
        *EARLY,
        ('{"event":"start","call_id":"abc"}', "stream_id"),
        ('{"event":"start","call_id":"abc","stream_id":"s","channel":"outbound"}', "channel"),
    ],
)

SINCH = Script(
    name="sinch",
    provider="sinch",
    make=SinchFrameSerializer,
    has_marks=False,
    lines=[
        In(
            '{"command":"connect","version":1,"callId":"call-1","applicationKey":"key","codec":"PCM",'
            '"sampleRate":16000,"callHeaders":{"x":"y"}}',
            (
                StartFrame(
                    call_id="call-1",
                    account_id="key",
                    audio_in_sample_rate=16000,
                    audio_out_sample_rate=16000,
                    parameters={"x": "y"},
                ),
            ),
        ),
        Owed(('{"command":"answer"}',)),
        In(PCM, (audio(PCM, 16000),)),
        Owed(()),
        Out(audio(PCM, 16000), (PCM,)),
        Out(InterruptionFrame(), ('{"command":"clear"}',)),
        Out(MarkFrame(mark="m")),
        Out(RTVI),
        Out(EndFrame()),
        In('{"command":"a-later-invention"}'),
    ],
    malformed=[
        ("{", "$"),
        ("[]", "$"),
        ("{}", "command"),
        ('{"command":5}', "command"),
        (b"abc", "$"),
    ],
    early=[
        (PCM, "$"),
        ('{"command":"connect","codec":"OPUS"}', "codec.encoding"),
        ('{"command":"connect","codec":"PCM","sampleRate":11025}', "codec.sampleRate"),
    ],
)

JAMBONZ_START = (
    '{"callSid":"c1","accountSid":"a1","direction":"inbound","from":"+15","to":"+16","callId":"x",'
    '"sampleRate":8000,"mixType":"mono"}'
)
JAMBONZ_TOLD: dict[str, JSONValue] = {
    "callSid": "c1",
    "accountSid": "a1",
    "direction": "inbound",
    "from": "+15",
    "to": "+16",
    "callId": "x",
    "sampleRate": 8000,
    "mixType": "mono",
}
JAMBONZ = Script(
    name="jambonz",
    provider="jambonz",
    make=JambonzFrameSerializer,
    lines=[
        In(
            JAMBONZ_START,
            (
                StartFrame(
                    call_id="c1",
                    account_id="a1",
                    from_number="+15",
                    to_number="+16",
                    audio_in_sample_rate=8000,
                    audio_out_sample_rate=8000,
                    parameters=JAMBONZ_TOLD,
                ),
            ),
        ),
        In(PCM, (audio(PCM, 8000),)),
        In(b""),
        Out(audio(PCM, 8000), (PCM,)),
        Out(MarkFrame(mark="m1"), ('{"type":"mark","data":{"name":"m1"}}',)),
        In('{"type":"mark","data":{"name":"m1","event":"playout"}}', (MarkFrame(mark="m1"),)),
        Out(InterruptionFrame(), ('{"type":"killAudio"}',)),
        In('{"event":"dtmf","dtmf":"5","duration":"1600"}', (DTMFFrame(digit="5"),)),
        In('{"type":"news","n":1}', (MessageFrame(message={"type": "news", "n": 1}),)),
        Out(MessageFrame(message={"type": "clearMarks"}), ('{"type":"clearMarks"}',)),
        Out(RTVI),
        Out(EndFrame(), ('{"type":"disconnect"}',)),
    ],
    malformed=[
        ("{", "$"),
        (b"abc", "$"),
        ('{"event":"dtmf"}', "dtmf"),
        ('{"event":"dtmf","dtmf":5}', "dtmf"),
        ('{"event":"dtmf","dtmf":"55"}', "dtmf"),
        ('{"type":"mark"}', "data"),
        ('{"type":"mark","data":{}}', "data.name"),
    ],
    early=[(PCM, "$"), ('{"callSid":"c1","sampleRate":11025}', "sampleRate")],
)

AZURE = Script(
    name="azure",
    provider="azure",
    make=AzureFrameSerializer,
    has_marks=False,
    lines=[
        In(
            '{"kind":"AudioMetadata","audioMetadata":{"subscriptionId":"sub","encoding":"PCM","sampleRate":16000,'
            '"channels":1,"length":640}}',
            (
                StartFrame(
                    audio_in_sample_rate=16000, audio_out_sample_rate=16000, parameters={"subscriptionId": "sub"}
                ),
            ),
        ),
        In(
            '{"kind":"AudioData","audioData":{"timestamp":"2026-11-28T04:00:00.000Z","participantRawID":"8:acs:1",'
            f'"data":"{PCM_B64}","silent":false}}}}',
            (at(audio(PCM, 16000), 0, 0),),
        ),
        In(
            '{"kind":"AudioData","audioData":{"timestamp":"2026-11-28T04:00:00.020Z","participantRawID":"8:acs:1",'
            f'"data":"{PCM_B64}","silent":true}}}}',
            (at(audio(PCM, 16000), 20, 0),),
        ),
        In(
            '{"kind":"AudioData","audioData":{"timestamp":"2026-11-28T04:00:00.020Z","participantRawID":"8:acs:2",'
            f'"data":"{PCM_B64}","silent":true}}}}'
        ),
        Out(
            audio(PCM, 16000),
            (f'{{"Kind":"AudioData","AudioData":{{"Data":"{PCM_B64}"}},"StopAudio":null}}',),
        ),
        Out(InterruptionFrame(), ('{"Kind":"StopAudio","AudioData":null,"StopAudio":{}}',)),
        Out(MarkFrame(mark="m")),
        Out(MessageFrame(message={"a": 1})),
        In('{"kind":"DtmfData","dtmfData":{"data":"#"}}', (DTMFFrame(digit="#"),)),
        In('{"kind":"TranscriptionData"}'),
        Out(EndFrame()),
    ],
    malformed=[
        ("{", "$"),
        ("{}", "kind"),
        ('{"kind":"AudioData"}', "audioData"),
        ('{"kind":"AudioData","audioData":{}}', "audioData.data"),
        ('{"kind":"AudioData","audioData":{"data":"?"}}', "audioData.data"),
        ('{"kind":"AudioData","audioData":{"data":"AAAA"}}', "audioData.data"),
        ('{"kind":"AudioData","audioData":{"data":"","participantRawID":5}}', "audioData.participantRawID"),
        ('{"kind":"DtmfData","dtmfData":{"data":"12"}}', "dtmfData.data"),
    ],
    early=[
        ('{"kind":"AudioMetadata","audioMetadata":{"encoding":"OPUS"}}', "audioMetadata.encoding"),
        ('{"kind":"AudioMetadata","audioMetadata":{"sampleRate":8000}}', "audioMetadata.sampleRate"),
        ('{"kind":"AudioData","audioData":{"data":"AAA="}}', "audioData.data"),
    ],
)


def asterisk(plain: bool) -> Script:
    def event(name: str, **members: str) -> str:
        if plain:
            return " ".join([name, *(f"{key}:{value}" for key, value in members.items())])
        inner = "".join(f',"{key}":"{value}"' for key, value in members.items())
        return f'{{"event":"{name}"{inner}}}'

    def command(name: str, correlation_id: str | None = None) -> str:
        if plain:
            return name if correlation_id is None else f"{name} {correlation_id}"
        return (
            f'{{"command":"{name}"' + ("" if correlation_id is None else f',"correlation_id":"{correlation_id}"') + "}"
        )

    start = (
        "MEDIA_START connection_id:m1 channel:WebSocket/m1/0x5 channel_id:17.1 format:ulaw optimal_frame_size:8"
        if plain
        else '{"event":"MEDIA_START","connection_id":"m1","channel":"WebSocket/m1/0x5","channel_id":"17.1",'
        '"format":"ulaw","optimal_frame_size":8,"ptime":20,"channel_variables":{"X":"y"}}'
    )
    return Script(
        name="asterisk-plain" if plain else "asterisk",
        provider="asterisk",
        make=lambda: AsteriskFrameSerializer(answers=True),
        lines=[
            In(
                start,
                (
                    StartFrame(
                        call_id="17.1",
                        account_id="m1",
                        audio_in_sample_rate=8000,
                        audio_out_sample_rate=8000,
                        parameters={} if plain else {"X": "y"},
                    ),
                ),
            ),
            Owed((command("ANSWER"),)),
            In(ULAW, (ULAW_AUDIO,)),
            Out(ULAW_AUDIO, (ULAW,)),
            Out(AudioFrame(audio=ULAW_AUDIO.audio[:10], sample_rate=8000), (ULAW[:5] + b"\xff" * 3,)),
            Out(MarkFrame(mark="m-1"), (command("MARK_MEDIA", "m-1"),)),
            In(event("MEDIA_MARK_PROCESSED", correlation_id="m-1"), (MarkFrame(mark="m-1"),)),
            Out(InterruptionFrame(), (command("FLUSH_MEDIA"),)),
            In(event("DTMF_END", digit="#"), (DTMFFrame(digit="#"),)),
            In(event("MEDIA_XOFF")),
            In(event("MEDIA_XON")),
            In(event("QUEUE_DRAINED"), (MessageFrame(message={"event": "QUEUE_DRAINED"}),)),
            In(event("A_LATER_INVENTION")),
            Out(MessageFrame(message={"command": "GET_STATUS"}), (command("GET_STATUS"),)),
            Out(EndFrame(), (command("HANGUP"),)),
        ],
        malformed=[
            ("{", "$"),
            ('{"event":5}', "event"),
            ("MEDIA_MARK_PROCESSED", "correlation_id"),
            (event("DTMF_END", digit="12"), "digit"),
            ('{"event":"DTMF_END"}', "digit"),
        ],
        early=[
            (ULAW, "$"),
            ('{"event":"MEDIA_START","format":"opus"}', "format"),
            ("MEDIA_START channel:x format:g729", "format"),
            ('{"event":"MEDIA_START"}', "format"),
        ],
    )


RELAY = Script(
    name="relay",
    provider="relay",
    make=RelayFrameSerializer,
    packet_ms=None,
    has_marks=False,
    lines=[
        In(
            '{"type":"setup","sessionId":"VX1","accountSid":"AC1","callSid":"CA1","from":"+15","to":"+16",'
            '"direction":"inbound","customParameters":{"user":"ada"}}',
            (
                StartFrame(
                    stream_id="VX1",
                    call_id="CA1",
                    account_id="AC1",
                    from_number="+15",
                    to_number="+16",
                    parameters={"user": "ada"},
                ),
            ),
        ),
        In('{"type":"prompt","voicePrompt":"Hi","lang":"en-US","last":true}', (TranscriptionFrame(text="Hi"),)),
        In(
            '{"type":"prompt","voicePrompt":"H","lang":"en-US","last":false}',
            (MessageFrame(message={"type": "prompt", "voicePrompt": "H", "lang": "en-US", "last": False}),),
        ),
        Out(TextFrame(text="Hello "), ('{"type":"text","token":"Hello ","last":false}',)),
        Out(BotStoppedSpeakingFrame(), ('{"type":"text","token":"","last":true}',)),
        In('{"type":"dtmf","digit":"1"}', (DTMFFrame(digit="1"),)),
        In(
            '{"type":"interrupt","utteranceUntilInterrupt":"Hel","durationUntilInterruptMs":460}',
            (
                MessageFrame(
                    message={
                        "type": "interrupt",
                        "utteranceUntilInterrupt": "Hel",
                        "durationUntilInterruptMs": 460,
                    }
                ),
                InterruptionFrame(),
            ),
        ),
        In('{"type":"error","description":"x"}', (MessageFrame(message={"type": "error", "description": "x"}),)),
        Out(InterruptionFrame()),
        Out(DTMFFrame(digit="9"), ('{"type":"sendDigits","digits":"9"}',)),
        Out(
            MessageFrame(message={"type": "play", "source": "https://x/y.mp3", "loop": 1}),
            ('{"type":"play","source":"https://x/y.mp3","loop":1}',),
        ),
        Out(AudioFrame(audio=PCM, sample_rate=24000)),
        In('{"type":"a-later-invention"}'),
        Out(EndFrame(reason="agent"), ('{"type":"end","handoffData":"agent"}',)),
    ],
    malformed=[
        ("{", "$"),
        ("{}", "type"),
        ('{"type":"prompt"}', "voicePrompt"),
        ('{"type":"prompt","voicePrompt":"x","last":1}', "last"),
        ('{"type":"dtmf","digit":"x"}', "digit"),
    ],
    early=[('{"type":"setup","from":5}', "from")],
)

SCRIPTS = [SIGNALWIRE, WAVIX, SINCH, JAMBONZ, AZURE, asterisk(plain=False), asterisk(plain=True), RELAY, GENESYS]
