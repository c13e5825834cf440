"""What ``call`` and ``probe`` are told about the server to reach."""

import ssl
from collections.abc import Sequence

from ..wire.dialling import Address
from .failure import WRONG_ARGUMENTS, Failure


def parse_url(url: str) -> Address:
    try:
        return Address.parse(url)
    except ValueError as exc:
        raise Failure(str(exc), exit_code=WRONG_ARGUMENTS) from exc


def tls(address: Address, ca_file: str | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    if not address.is_secure:
        raise Failure("--ca-file is for wss:// addresses only", exit_code=WRONG_ARGUMENTS)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise Failure(f"--ca-file {ca_file}: {exc.strerror or exc}", exit_code=WRONG_ARGUMENTS) from exc


def header_map(headers: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    names = [name.lower() for name, _ in headers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Failure(f"--header {twice} is given twice", exit_code=WRONG_ARGUMENTS)
    return dict(headers) or None
