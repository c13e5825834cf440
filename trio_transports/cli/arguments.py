"""What can be written after ``python -m trio_transports``, and the help that teaches it."""

import argparse
from typing import Final

from .. import __version__
from . import dialects
from .kinds import (
    CommandParser,
    Commands,
    channels,
    command,
    count,
    json_option,
    listen_options,
    seconds,
    serializer_options,
    url_options,
)
from .serving_arguments import completion, new, serve

PROGRAM: Final = "trio-transports"

_INTRODUCTION: Final = """\
Voice over WebSockets, on trio. Hear an echo bot, then write one of your own and serve it:

  %(prog)s serve                                    open the printed address in a browser
  %(prog)s new mybot                                writes a first bot with its test
  %(prog)s serve mybot/bot.py --reload              and serves it, anew after every change

Call any server without a browser, and look at it:

  %(prog)s call ws://127.0.0.1:8765/ws --in a.wav --out b.wav
  %(prog)s probe ws://127.0.0.1:8765/ws
  %(prog)s demo --self-test                         everything at once, in a few seconds
"""

_ENDING: Final = """\
Exit codes: 0 it worked, 1 it did not (network, peer or file), 2 the arguments are wrong, 130 interrupted.
"%(prog)s COMMAND --help" explains a command.
"""


def parser() -> argparse.ArgumentParser:
    main = CommandParser(
        prog=PROGRAM,
        description=_INTRODUCTION,
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    main.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    main.set_defaults(run=None)
    commands = main.add_subparsers(title="commands", metavar="COMMAND", parser_class=CommandParser)
    for add in (serve, new, _demo, _echo, _call, _probe, _inspect, _docs, completion):
        add(commands)
    return main


def _demo(commands: Commands) -> None:
    made = command(
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
    listen_options(made, port=8765)
    made.add_argument("--self-test", action="store_true", help="check the server with a real client, report, and exit")
    json_option(made, "the self-test's report as one JSON object")


def _echo(commands: Commands) -> None:
    made = command(
        commands,
        "echo",
        "a server that says back what it hears",
        "Every frame goes back to the client that sent it: audio in pace and at its own sample rate, the rest in\n"
        "order. A client that begins with something else than audio hears its audio at --rate.\n\n"
        "  %(prog)s --port 8766\n"
        "  %(prog)s --serializer telephone --host 0.0.0.0      callers of any provider hear themselves",
        "echo",
    )
    listen_options(made, port=8765)
    serializer_options(made, dialects.names())
    made.add_argument("--channels", type=channels, default=1, metavar="N", help="what it hears and says (%(default)s)")
    made.add_argument("--once", action="store_true", help="exit after the first client has gone")
    json_option(made, "one JSON object for each event")


def _call(commands: Commands) -> None:
    made = command(
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
    url_options(made)
    made.add_argument("--in", dest="source", metavar="WAV", required=True, help="what to say; - for standard input")
    made.add_argument(
        "--out", dest="recording", metavar="WAV", help="where to record what is heard; - for standard output"
    )
    made.add_argument("--capture", metavar="FILE", help="where to keep the raw messages received, for inspect")
    serializer_options(made, dialects.names(calls=True, phones=True))
    made.add_argument(
        "--tail",
        type=seconds,
        default=1.5,
        metavar="SECONDS",
        help="hang up after hearing nothing for so long (%(default)s)",
    )
    made.add_argument(
        "--limit",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="hang up so long after the file's end at last (%(default)s)",
    )
    made.add_argument("--quiet-ok", action="store_true", help="hearing nothing but silence is no failure")
    made.add_argument("--quiet", action="store_true", help="no level meters and no report")
    json_option(made, "the report as one JSON object")


def _probe(commands: Commands) -> None:
    made = command(
        commands,
        "probe",
        "measure a server: connecting, round trip, jitter, closing",
        "Works with any WebSocket server, since it measures with WebSocket pings. With --audio it also sends some\n"
        "seconds of tone as audio frames and looks at what comes back.\n\n"
        "  %(prog)s ws://127.0.0.1:8765/ws\n"
        "  %(prog)s ws://127.0.0.1:8766 --audio 2 --serializer json",
        "probe",
    )
    url_options(made)
    made.add_argument("--pings", type=count, default=20, metavar="N", help="how many (%(default)s)")
    made.add_argument("--interval", type=seconds, default=0.1, metavar="SECONDS", help="between two (%(default)s)")
    made.add_argument("--audio", type=seconds, default=0.0, metavar="SECONDS", help="also send so much audio")
    serializer_options(made, dialects.names(calls=True))
    json_option(made, "the report as one JSON object")


def _inspect(commands: Commands) -> None:
    made = command(
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
    serializer_options(made, dialects.names())
    made.add_argument("--wav", metavar="FILE", help="also write the audio in them to this file")
    json_option(made, "one JSON object for each message")


def _docs(commands: Commands) -> None:
    made = command(
        commands,
        "docs",
        "write the guides and the reference as one HTML page",
        "Every module that users import from, with each name, field and method in it, from the docstrings. The page\n"
        "has a search of its own and needs no network.\n\n"
        "  %(prog)s                      then open trio_transports.html\n"
        "  %(prog)s --out - | less       the page itself",
        "docs",
    )
    made.add_argument("--out", default="trio_transports.html", metavar="FILE", help="where to write it (%(default)s)")
    made.set_defaults(as_json=False)
