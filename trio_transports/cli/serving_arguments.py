"""The arguments of ``serve`` and of what goes with it."""

from .kinds import Commands, command, count, json_option, listen_options, public_url, seconds


def serve(commands: Commands) -> None:
    made = command(
        commands,
        "serve",
        "serve a bot to browsers, telephones and Pipecat's clients",
        "BOT is MODULE:HANDLER or a file such as bot.py, whose async function bot(session) is the handler; without\n"
        "it an echo bot is served. One port has the bot's page, /ws for callers of any dialect, /start for Pipecat's\n"
        "clients, /answer/PROVIDER for telephone providers, /health and /metrics.\n\n"
        "  %(prog)s                                  the built-in echo bot, on this machine only\n"
        "  %(prog)s bot.py --reload                  while you write it\n"
        "  %(prog)s bot:bot --host 0.0.0.0 --workers 4 --public-url https://bot.example --params bot.toml\n\n"
        "SIGTERM and Ctrl-C let calls finish, for --drain seconds; the second one ends it at once. SIGHUP replaces\n"
        "the --workers one after another without losing a call.",
        "serving",
    )
    made.add_argument("target", metavar="BOT", nargs="?", help="MODULE:HANDLER, or a file (the built-in echo bot)")
    listen_options(made, port=8765)
    made.add_argument(
        "--workers", type=count, metavar="N", help="processes on one address (without it: this process itself)"
    )
    made.add_argument("--reload", action="store_true", help="load the bot anew when a file below this folder changes")
    made.add_argument("--params", metavar="FILE.toml", help="the transport's parameters")
    made.add_argument("--tls", nargs=2, metavar=("CERT.pem", "KEY.pem"), help="serve https:// and wss://")
    made.add_argument(
        "--drain",
        type=seconds,
        default=20.0,
        metavar="SECONDS",
        help="how long calls may finish; with --reload no time (%(default)g)",
    )
    made.add_argument(
        "--public-url", type=public_url, metavar="URL", help="what callers call this server, behind a proxy"
    )
    made.add_argument(
        "--host-name",
        dest="host_names",
        action="append",
        default=[],
        metavar="NAME",
        help="a name it may be reached by, besides addresses and localhost; may be repeated; * for any",
    )
    made.add_argument(
        "--allow-origin",
        dest="allowed_origins",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin call too, such as https://app.example; may be repeated",
    )
    made.add_argument(
        "--max-sessions", type=count, default=64, metavar="N", help="calls at once in each process (%(default)s)"
    )
    made.add_argument("--show-sessions", action="store_true", help="show everybody on the page who else is here")
    made.add_argument(
        "--otel",
        action="store_true",
        help="make OpenTelemetry spans of calls and turns (extra otel); BOT's module sets up where to",
    )
    made.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        metavar="LEVEL",
        help="debug (each frame has a line), info, warning or error (%(default)s)",
    )
    json_option(made, "one JSON object for each event")


def new(commands: Commands) -> None:
    made = command(
        commands,
        "new",
        "write a first bot with its test",
        "Makes a folder with bot.py, which answers what it hears, test_bot.py, which calls it without sockets, and\n"
        "params.toml. Nothing that is there is written over.\n\n"
        "  %(prog)s mybot\n"
        "  trio-transports serve mybot/bot.py --params mybot/params.toml\n"
        "  pytest mybot",
        "new",
    )
    made.add_argument("name", metavar="NAME", help="the folder to make")
    json_option(made, "the files that were written as one JSON object")


def completion(commands: Commands) -> None:
    made = command(
        commands,
        "completion",
        "print a script that completes commands and options in a shell",
        '  eval "$(%(prog)s bash)"                    for this shell; put it into ~/.bashrc for all\n'
        '  eval "$(%(prog)s zsh)"\n'
        "  %(prog)s fish | source",
        "completion",
    )
    made.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")
    made.set_defaults(as_json=False)
