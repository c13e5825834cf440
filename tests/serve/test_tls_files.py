"""What is wrong with the files of ``--tls`` is told with the file and what to do."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from trio_transports.serve.tls_files import TLSFilesError, check_tls_files


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A certificate and its key, another's key, the key with a passphrase, one cut in half, and what is no PEM."""
    issued, other = (trustme.CA().issue_cert("localhost") for _ in range(2))
    key = issued.private_key_pem.bytes()
    locked = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    chain = issued.cert_chain_pems[0].bytes()
    written = {
        "cert": chain,
        "key": key,
        "other": other.private_key_pem.bytes(),
        "locked": locked,
        "half a key": key[: len(key) // 2],
        "half a cert": chain[: len(chain) // 2],
        "noise": b"\x00\x01\x02",
        "empty": b"",
    }
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in (*written, "missing")} | {"folder": str(tmp_path)}


def test_good_ones_pass(files: dict[str, str]) -> None:
    """Twice."""
    for _ in range(2):
        check_tls_files(files["cert"], files["key"])


@pytest.mark.parametrize(
    ("cert", "key", "says"),
    [
        ("missing", "key", "the certificate {missing} cannot be read: No such file or directory"),
        ("cert", "missing", "the key {missing} cannot be read: No such file or directory"),
        ("folder", "key", "the certificate {folder} cannot be read: Is a directory"),
        ("key", "cert", "{key} has no certificate in it .*the wrong way round: --tls CERT.pem KEY.pem"),
        ("noise", "key", "{noise} has no certificate in it .* PEM"),
        ("empty", "key", "{empty} has no certificate in it .* PEM"),
        ("cert", "noise", "{noise} has no private key in it"),
        ("cert", "cert", "{cert} has no private key in it"),
        ("cert", "other", "{other} is not the key of the certificate in {cert}"),
        ("cert", "locked", "the key {locked} has a passphrase.*'openssl pkey -in {locked} "),
        ("cert", "half a key", "{half a key} cannot be used: .*are they whole"),
        ("half a cert", "key", "{half a cert} and .* cannot be used: .*are they whole"),
    ],
)
def test_what_is_wrong_is_told(files: dict[str, str], cert: str, key: str, says: str) -> None:
    """The file, what is wrong with it, and what to do; nothing asks a terminal for a passphrase."""
    with pytest.raises(TLSFilesError, match=says.format(**files)) as caught:
        check_tls_files(files[cert], files[key])
    assert str(caught.value).startswith("--tls: ")
    assert not isinstance(caught.value, ssl.SSLError)
