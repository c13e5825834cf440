"""A call of Genesys from open to closed, byte for byte, and the messages that it is made of."""

from tests.serializers.conversations import (
    RTVI,
    ULAW,
    ULAW_AUDIO,
    In,
    Out,
    at,
)
from tests.serializers.scripts import Owed, Script
from trio_transports.frames import (
    DTMFFrame,
    EndFrame,
    InterruptionFrame,
    JSONValue,
    MessageFrame,
    StartFrame,
    TextFrame,
)
from trio_transports.serializers.genesys import GenesysFrameSerializer

GENESYS_ID = "e160e428-53b2-487c-977d-96989bf5c99d"


def client(kind: str, seq: int, serverseq: int, parameters: str = "{}", position: str = "PT0S") -> str:
    return (
        f'{{"version":"2","id":"{GENESYS_ID}","type":"{kind}","seq":{seq},"serverseq":{serverseq},'
        f'"position":"{position}","parameters":{parameters}}}'
    )


def server(kind: str, seq: int, clientseq: int, parameters: str = "{}") -> str:
    return (
        f'{{"version":"2","seq":{seq},"clientseq":{clientseq},"id":"{GENESYS_ID}","type":"{kind}",'
        f'"parameters":{parameters}}}'
    )


def offered(*media: str) -> str:
    return (
        '{"organizationId":"org","conversationId":"090eaa2f-72fa-480a-83e0-8667ff89c0ec",'
        '"participant":{"id":"883efee8-3d6c-4537-b500-6d7ca4b92fa0","ani":"+15","aniName":"Ada","dnis":"+16"},'
        f'"media":[{",".join(media)}],"language":"en-US","inputVariables":{{"a":"b"}}}}'
    )


def medium(encoding: str, *channels: str) -> str:
    names = ",".join(f'"{channel}"' for channel in channels)
    return f'{{"type":"audio","format":"{encoding}","channels":[{names}],"rate":8000}}'


STEREO, EXTERNAL = medium("PCMU", "external", "internal"), medium("PCMU", "external")
GENESYS_OPEN = client("open", 1, 0, offered(STEREO, EXTERNAL))
PING = client("ping", 2, 1, '{"rtt":"PT0.02S"}')
DISCARDED = '{"start":"PT0.001S","discarded":"PT1.5S"}'


def told(kind: str, seq: int, serverseq: int, parameters: dict[str, JSONValue]) -> MessageFrame:
    return MessageFrame(
        message={
            "version": "2",
            "id": GENESYS_ID,
            "type": kind,
            "seq": seq,
            "serverseq": serverseq,
            "position": "PT0S",
            "parameters": parameters,
        }
    )


GENESYS = Script(
    name="genesys",
    provider="genesys",
    make=GenesysFrameSerializer,
    packet_ms=200,
    has_marks=False,
    lines=[
        In(
            GENESYS_OPEN,
            (
                StartFrame(
                    stream_id=GENESYS_ID,
                    call_id="090eaa2f-72fa-480a-83e0-8667ff89c0ec",
                    account_id="org",
                    from_number="+15",
                    to_number="+16",
                    audio_in_sample_rate=8000,
                    audio_out_sample_rate=8000,
                    parameters={
                        "organizationId": "org",
                        "conversationId": "090eaa2f-72fa-480a-83e0-8667ff89c0ec",
                        "language": "en-US",
                        "inputVariables": {"a": "b"},
                        "aniName": "Ada",
                    },
                ),
            ),
        ),
        Owed((server("opened", 1, 1, f'{{"startPaused":false,"media":[{EXTERNAL}]}}'),)),
        In(ULAW, (at(ULAW_AUDIO, 0, 0),)),
        In(ULAW, (at(ULAW_AUDIO, 1, 0),)),
        Out(ULAW_AUDIO, (ULAW,)),
        In(PING),
        Owed((server("pong", 2, 2),)),
        Out(
            InterruptionFrame(),
            (server("event", 3, 2, '{"entities":[{"type":"barge_in","data":{}}]}'),),
        ),
        In(client("dtmf", 3, 2, '{"digit":"4"}'), (DTMFFrame(digit="4"),)),
        In(
            client("discarded", 4, 3, DISCARDED),
            (told("discarded", 4, 3, {"start": "PT0.001S", "discarded": "PT1.5S"}),),
        ),
        In(ULAW, (at(ULAW_AUDIO, 1502, 0),)),
        In(client("paused", 5, 3), (told("paused", 5, 3, {}),)),
        In(client("resumed", 6, 3), (told("resumed", 6, 3, {}),)),
        In(client("update", 7, 3, '{"language":"de"}'), (told("update", 7, 3, {"language": "de"}),)),
        Owed((server("updated", 4, 7),)),
        In(client("a-later-invention", 8, 3)),
        In(
            client("error", 9, 3, '{"code":429,"message":"slow"}'),
            (told("error", 9, 3, {"code": 429, "message": "slow"}),),
        ),
        Out(RTVI),
        Out(TextFrame(text="nothing")),
        Out(
            MessageFrame(
                message={
                    "type": "disconnect",
                    "parameters": {"reason": "completed", "outputVariables": {"intent": "pay"}},
                }
            ),
            (server("disconnect", 5, 9, '{"reason":"completed","outputVariables":{"intent":"pay"}}'),),
        ),
        Out(EndFrame()),
        In(client("close", 10, 5, '{"reason":"disconnect"}'), (EndFrame(reason="disconnect"),)),
        Owed((server("closed", 6, 10),)),
    ],
    malformed=[("{", "$"), ("[]", "$"), ("{}", "type"), ('{"type":5}', "type"), ("x" * 65_537, "$")],
    early=[
        (ULAW, "$"),
        (client("ping", 1, 0), "type"),
        (client("open", 2, 0, offered(EXTERNAL)), "seq"),
        (client("open", 1, 1, offered(EXTERNAL)), "serverseq"),
        (client("open", 1, 0, offered(medium("OPUS", "external"))), "parameters.media"),
        (client("open", 1, 0, "[]"), "parameters"),
        (GENESYS_OPEN.replace('"version":"2"', '"version":"1"'), "version"),
        (GENESYS_OPEN.replace(f'"id":"{GENESYS_ID}"', '"id":5'), "id"),
    ],
)
