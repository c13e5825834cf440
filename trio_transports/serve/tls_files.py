"""The files of ``--tls``, looked at before anything is served with them: what is wrong, with which, and what to do.

Rules
1. A key with a passphrase is refused: nobody is there to type it, and OpenSSL would wait for somebody.
"""

import ssl
from pathlib import Path
from typing import Final

from ..errors import TransportError

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"


class TLSFilesError(TransportError):
    """TLS cannot be spoken with these files; the text names the one and says what to do."""


def check_tls_files(certificate: str, key: str) -> None:
    """Raise TLSFilesError unless they are a certificate and its key, both in PEM."""
    chain, private = _read(certificate, "certificate"), _read(key, "key")
    if _CERTIFICATE not in chain:
        swapped = _KEY in chain and _CERTIFICATE in private
        hint = "the two are the wrong way round: --tls CERT.pem KEY.pem" if swapped else "it must be PEM, in text"
        raise TLSFilesError(f"--tls: {certificate} has no certificate in it ({_CERTIFICATE.decode()}); {hint}")
    if _KEY not in private:
        raise TLSFilesError(
            f"--tls: {key} has no private key in it (-----BEGIN {_KEY.decode()}); it must be PEM, in text"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_nobody_types)
    except _Encrypted:
        raise TLSFilesError(
            f"--tls: the key {key} has a passphrase, and nobody is there to type it: take it off with "
            f"'openssl pkey -in {key} -out PLAIN.pem', and give that file to this server's user alone"
        ) from None
    except ssl.SSLError as exc:
        raise TLSFilesError(f"--tls: {_said(exc, certificate, key)}") from exc


class _Encrypted(Exception):
    """A passphrase is asked for; rule 1."""


def _nobody_types() -> str:
    raise _Encrypted


def _read(file: str, what: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        raise TLSFilesError(f"--tls: the {what} {file} cannot be read: {exc.strerror}") from exc


def _said(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of the certificate in {certificate}: give the two that were made together"
    return f"{certificate} and {key} cannot be used: {error.reason or error}; are they whole?"
