"""What can be written after ``python -m trio_transports``, and the help that teaches it."""

import argparse
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn, TypeAlias

from .. import __version__
from . import dialects

PROGRAM: Final = "trio-transports"
RATES: Final = range(4000, 192_001)
CHANNELS: Final = range(1, 9)
"""A session works on audio within these."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_INTRODUCTION: Final = """\
Voice over WebSockets, on trio. Start with the demo:

  %(prog)s demo                                     open the printed address in a browser
  %(prog)s demo --self-test                         the same without a browser, in a few seconds

Then try a server and a client against each other, in two terminals:

  %(prog)s echo --port 8766
  %(prog)s call ws://127.0.0.1:8766 --in a.wav --out b.wav
"""

_ENDING: Final = """\
Exit codes: 0 it worked, 1 it did not (network, peer or file), 2 the arguments are wrong, 130 interrupted.
"%(prog)s COMMAND --help" explains a command.
"""


class Parser(argparse.ArgumentParser):
    """One line for a mistake instead of the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    main = Parser(
        prog=PROGRAM,
        description=_INTRODUCTION,
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    main.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = main.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for add in (_demo, _echo, _call, _probe, _inspect, _docs):
        add(commands)
    return main


_Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # argparse gives the type no public name


def _command(commands: _Commands, name: str, summary: str, text: str, module: str) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name,
        help=summary,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(run=_runner(module))
    return made


def _runner(module: str) -> Callable[..., int]:
    """Import a command's module when it runs: help is quick, and nothing is loaded that is not used."""

    def run(**options: object) -> int:
        code: int = import_module(f".{module}", __package__).run(**options)
        return code

    return run


def _demo(commands: _Commands) -> None:
    made = _command(
        commands,
        "demo",
        "hear and see the library in a browser",
        "A page with a microphone (or sample speech) and an echo bot behind it: live waveforms, where speech was\n"
        "found, barge-in, round trip, jitter, and what the server counts. Needs nothing but the core packages.\n\n"
        "  %(prog)s                      then open http://127.0.0.1:8765\n"
        "  %(prog)s --self-test          talk to the same server from this process and report; exit 1 if it is bad\n\n"
        "Browsers allow a microphone only on https or on this machine's own address.",
        "serve_demo",
    )
    _listen(made, port=8765)
    made.add_argument("--self-test", action="store_true", help="check the server with a real client, report, and exit")
    _json(made, "the self-test's report as one JSON object")


def _echo(commands: _Commands) -> None:
    made = _command(
        commands,
        "echo",
        "a server that says back what it hears",
        "Every frame goes back to the client that sent it: audio in pace and at its own sample rate, the rest in\n"
        "order. A client that begins with something else than audio hears its audio at --rate.\n\n"
        "  %(prog)s --port 8766\n"
        "  %(prog)s --serializer telephone --host 0.0.0.0      callers of any provider hear themselves",
        "echo",
    )
    _listen(made, port=8765)
    _serializer(made, dialects.names())
    made.add_argument("--channels", type=_channels, default=1, metavar="N", help="what it hears and says (%(default)s)")
    made.add_argument("--once", action="store_true", help="exit after the first client has gone")
    _json(made, "one JSON object for each event")


def _call(commands: _Commands) -> None:
    made = _command(
        commands,
        "call",
        "play a WAV file to a server in real time and record the answer",
        "Connects, talks for as long as the file lasts, and hangs up when nothing more is heard. The recording has\n"
        "the file's own sample rate and channels. On a terminal both levels are shown while the call lasts.\n\n"
        "  %(prog)s ws://127.0.0.1:8765/ws --in question.wav --out answer.wav\n"
        '  %(prog)s wss://bot.example --serializer protobuf --header "Authorization: Bearer ..." --in a.wav\n'
        "  %(prog)s ws://127.0.0.1:8765/ws --serializer twilio --in a.wav    called as by Twilio\n"
        "  %(prog)s ws://127.0.0.1:8765/ws --serializer relay --in a.txt     text: a line for each turn\n"
        "  espeak-ng --stdout hello | %(prog)s ws://127.0.0.1:8765/ws --in - --out - | aplay",
        "call",
    )
    _url(made)
    made.add_argument("--in", dest="source", metavar="WAV", required=True, help="what to say; - for standard input")
    made.add_argument(
        "--out", dest="recording", metavar="WAV", help="where to record what is heard; - for standard output"
    )
    made.add_argument("--capture", metavar="FILE", help="where to keep the raw messages received, for inspect")
    _serializer(made, dialects.names(calls=True, phones=True))
    made.add_argument(
        "--tail",
        type=_seconds,
        default=1.5,
        metavar="SECONDS",
        help="hang up after hearing nothing for so long (%(default)s)",
    )
    made.add_argument(
        "--limit",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="hang up so long after the file's end at last (%(default)s)",
    )
    made.add_argument("--quiet-ok", action="store_true", help="hearing nothing but silence is no failure")
    made.add_argument("--quiet", action="store_true", help="no level meters and no report")
    _json(made, "the report as one JSON object")


def _probe(commands: _Commands) -> None:
    made = _command(
        commands,
        "probe",
        "measure a server: connecting, round trip, jitter, closing",
        "Works with any WebSocket server, since it measures with WebSocket pings. With --audio it also sends some\n"
        "seconds of tone as audio frames and looks at what comes back.\n\n"
        "  %(prog)s ws://127.0.0.1:8765/ws\n"
        "  %(prog)s ws://127.0.0.1:8766 --audio 2 --serializer json",
        "probe",
    )
    _url(made)
    made.add_argument("--pings", type=_count, default=20, metavar="N", help="how many (%(default)s)")
    made.add_argument("--interval", type=_seconds, default=0.1, metavar="SECONDS", help="between two (%(default)s)")
    made.add_argument("--audio", type=_seconds, default=0.0, metavar="SECONDS", help="also send so much audio")
    _serializer(made, dialects.names(calls=True))
    _json(made, "the report as one JSON object")


def _inspect(commands: _Commands) -> None:
    made = _command(
        commands,
        "inspect",
        "decode a file of captured messages",
        "Shows the frames in each message, and which messages are malformed (then the exit code is 1). The file has\n"
        "one message on each line: JSON text as it is, binary ones in base64 or hex, which is how call --capture\n"
        "writes them. A file that is not text is taken as one binary message.\n\n"
        "  %(prog)s capture.txt --serializer twilio\n"
        "  %(prog)s message.bin --serializer protobuf --json",
        "inspecting",
    )
    made.add_argument("file", metavar="FILE", help="the captured messages; - for standard input")
    _serializer(made, dialects.names())
    made.add_argument("--wav", metavar="FILE", help="also write the audio in them to this file")
    _json(made, "one JSON object for each message")


def _docs(commands: _Commands) -> None:
    made = _command(
        commands,
        "docs",
        "write the reference as one HTML page",
        "Every module that users import from, with each name, field and method in it, from the docstrings. The page\n"
        "has a search of its own and needs no network.\n\n"
        "  %(prog)s                      then open trio_transports.html\n"
        "  %(prog)s --out - | less       the page itself",
        "docs",
    )
    made.add_argument("--out", default="trio_transports.html", metavar="FILE", help="where to write it (%(default)s)")
    made.set_defaults(as_json=False)


def _listen(made: argparse.ArgumentParser, *, port: int) -> None:
    made.add_argument("--host", type=_host, default="127.0.0.1", help="address to listen on (%(default)s)")
    made.add_argument("--port", type=_port, default=port, help="port to listen on, 0 for a free one (%(default)s)")


def _url(made: argparse.ArgumentParser) -> None:
    made.add_argument("url", metavar="URL", help="ws://host:port/path or wss://host/path")
    made.add_argument(
        "--header",
        dest="headers",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="send this header with the handshake; may be repeated",
    )
    made.add_argument("--ca-file", metavar="PEM", help="trust the certificates in this file, for wss://")
    made.add_argument(
        "--connect-timeout", type=_seconds, default=10.0, metavar="SECONDS", help="give up connecting (%(default)s)"
    )


def _serializer(made: argparse.ArgumentParser, choices: Sequence[str]) -> None:
    made.add_argument(
        "--serializer",
        choices=choices,
        default="json",
        metavar="NAME",
        help=f"how frames are written as messages: {', '.join(choices)} (%(default)s)",
    )
    made.add_argument(
        "--rate", type=_rate, default=16000, metavar="HZ", help="sample rate of the serializer pcm (%(default)s)"
    )


def _json(made: argparse.ArgumentParser, what: str) -> None:
    made.add_argument("--json", dest="as_json", action="store_true", help=f"print {what}")


def _host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name or address of a host") from None
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _rate(text: str) -> int:
    if not text.isdecimal() or int(text) not in RATES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a sample rate: write a number from {RATES[0]} to {RATES[-1]}"
        )
    return int(text)


def _channels(text: str) -> int:
    if not text.isdecimal() or int(text) not in CHANNELS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count of channels from {CHANNELS[0]} to {CHANNELS[-1]}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()) or not value.strip().isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()
