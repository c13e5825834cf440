"""Every program of the README and the guides that serves, and what its callers say to it."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, final

from attrs import frozen

from tests import readme
from tests.bus.proxies import JSON, frame_message
from tests.real.leaving.programs import snippet
from trio_transports import AudioFrame, TextFrame
from trio_transports.serializers.protobuf import ProtobufFrameSerializer

DRAIN_S: Final = 1.0
"""Where a program lets its calls finish first: it says more, and that is made less here."""
PCM: Final = b"\1\2" * 320
AUDIO: Final = json.dumps({"type": "audio", "audio": b64encode(PCM).decode(), "sample_rate": 16000})
PROTOBUF: Final = ProtobufFrameSerializer()
FORMAT: Final = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
STARTED: Final = {"streamSid": "MZ1", "callSid": "CA7", "accountSid": "AC42", "mediaFormat": FORMAT}
TWILIO_START: Final = json.dumps({"event": "start", "streamSid": "MZ1", "start": STARTED})
TWILIO_AUDIO: Final = json.dumps(
    {"event": "media", "streamSid": "MZ1", "media": {"payload": b64encode(bytes(160)).decode()}}
)

Code = Callable[[Path], str]
"""A program with PORT in it, and with what it needs in that folder."""


def block(guide: str, number: int, main: str, *, was: str = "", now: str = "") -> Code:
    """A block of a guide that has no marker, on PORT; ``was`` stands in it, and becomes ``now``."""

    def code(_folder: Path) -> str:
        (text,) = [readme.unmarked(path)[number - 1] for path in readme.GUIDES if path.stem == guide]
        assert was in text
        return re.sub(r"\b(8765|8000)\b", "PORT", text.replace(was, now or was)) + f"\n{main}\n"

    return code


def command(*words: str) -> Code:
    """As at a shell, beside the README's bot."""

    def code(folder: Path) -> str:
        readme.write("bot", folder).rename(folder / "bot.py")
        line = [word.replace("FOLDER", str(folder)) for word in (*words, "--port", "PORT")]
        return f"import sys; from trio_transports.__main__ import main; sys.exit(main({line}))"

    return code


@final
@frozen(kw_only=True)
class Load:
    """What each caller says to a program: ``begins`` once, and ``says`` again and again."""

    code: Code
    path: str = "/"
    begins: tuple[str, ...] = ()
    says: tuple[str | bytes, ...] = (AUDIO,)
    is_answered: bool = True
    """While it talks; another program waits until it has said all."""
    drain_s: float = 0.0


LOADS: Final[dict[str, Load]] = {
    "first_server": Load(code=partial(snippet, "first_server"), is_answered=False),
    "server": Load(code=partial(snippet, "server")),
    "fastapi": Load(code=partial(snippet, "fastapi"), path="/ws"),
    "pipeline": Load(
        code=partial(snippet, "pipeline"),
        says=(*PROTOBUF.encode(TextFrame(text="hello")), *PROTOBUF.encode(AudioFrame(audio=PCM, sample_rate=16000))),
    ),
    "serializer": Load(code=partial(snippet, "serializer"), says=(PCM,)),
    "proxy": Load(
        code=partial(snippet, "proxy", main="serve"),
        says=(JSON.encode(frame_message("asking", "echo", TextFrame(text="hello"))),),
    ),
    "deploying 1": Load(code=block("deploying", 1, "run()", was="drain=30", now=f"drain={DRAIN_S}"), drain_s=DRAIN_S),
    "migrating 5": Load(
        code=block("migrating", 5, "import trio; trio.run(serve)"),
        path="/ws",
        begins=(TWILIO_START,),
        says=(TWILIO_AUDIO,),
    ),
    "serve bot.py": Load(
        code=command("serve", "FOLDER/bot.py", "--drain", str(DRAIN_S)), path="/ws", is_answered=False, drain_s=DRAIN_S
    ),
    "demo": Load(code=command("demo"), path="/ws", is_answered=False),
}
COMMANDS: Final = frozenset({"serve bot.py", "demo"})
