"""What the commands' arguments share: how a command is added, options that several have, and what values may be."""

import argparse
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn, TypeAlias

from .json_output import OBJECTS, in_words

RATES: Final = range(4000, 192_001)
CHANNELS: Final = range(1, 9)
"""A session works on audio within these."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class CommandParser(argparse.ArgumentParser):
    """One line for a mistake instead of the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"  # argparse gives the type no public name


def command(commands: Commands, name: str, summary: str, text: str, module: str) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name,
        help=summary,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.set_defaults(run=runner(module))
    if name in OBJECTS:
        made.epilog = in_words(name)
    return made


def runner(module: str) -> Callable[..., int]:
    """Import a command's module when it runs: help is quick, and nothing is loaded that is not used."""

    def run(**options: object) -> int:
        code: int = import_module(f".{module}", __package__).run(**options)
        return code

    return run


def listen_options(made: argparse.ArgumentParser, *, port: int) -> None:
    made.add_argument("--host", type=host, default="127.0.0.1", help="address to listen on (%(default)s)")
    made.add_argument(
        "--port", type=port_number, default=port, help="port to listen on, 0 for a free one (%(default)s)"
    )


def url_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("url", metavar="URL", help="ws://host:port/path or wss://host/path")
    made.add_argument(
        "--header",
        dest="headers",
        action="append",
        default=[],
        type=header,
        metavar="'NAME: VALUE'",
        help="send this header with the handshake; may be repeated",
    )
    made.add_argument("--ca-file", metavar="PEM", help="trust the certificates in this file, for wss://")
    made.add_argument(
        "--connect-timeout", type=seconds, default=10.0, metavar="SECONDS", help="give up connecting (%(default)s)"
    )


def serializer_options(made: argparse.ArgumentParser, choices: Sequence[str]) -> None:
    made.add_argument(
        "--serializer",
        choices=choices,
        default="json",
        metavar="NAME",
        help=f"how frames are written as messages: {', '.join(choices)} (%(default)s)",
    )
    made.add_argument(
        "--rate", type=rate, default=16000, metavar="HZ", help="sample rate of the serializer pcm (%(default)s)"
    )


def json_option(made: argparse.ArgumentParser, what: str) -> None:
    made.add_argument("--json", dest="as_json", action="store_true", help=f"print {what}")


def host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name or address of a host") from None
    return text


def port_number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def rate(text: str) -> int:
    if not text.isdecimal() or int(text) not in RATES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a sample rate: write a number from {RATES[0]} to {RATES[-1]}"
        )
    return int(text)


def channels(text: str) -> int:
    if not text.isdecimal() or int(text) not in CHANNELS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count of channels from {CHANNELS[0]} to {CHANNELS[-1]}")
    return int(text)


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def public_url(text: str) -> str:
    from ..playground.start import check_public_url

    try:
        check_public_url(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
    return text


def header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()) or not value.strip().isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()
