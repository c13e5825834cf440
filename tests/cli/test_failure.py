"""Which errors are told in a line, and which are left to be seen as what they are."""

import errno
import ssl

import pytest
import trio

from trio_transports.cli.failure import Failure, cannot_listen, failure_of, run
from trio_transports.errors import ConnectionClosed, HandshakeRejected, TransportError


@pytest.mark.parametrize(
    ("error", "told", "code"),
    [
        (Failure("as it is", exit_code=7), "as it is", 7),
        (ConnectionClosed(1011, "oops", initiator="remote"), "closed by the peer, code 1011: oops", 1),
        (HandshakeRejected(403, url="ws://x"), "refused by ws://x with HTTP status 403", 1),
        (ImportError("it needs the 'protobuf' extra: pip install ..."), "needs the 'protobuf' extra", 2),
        (ssl.SSLError(1, "bad certificate"), "TLS failed", 1),
        (ExceptionGroup("", [ExceptionGroup("", [TransportError("deep")])]), "deep", 1),
        (ExceptionGroup("", [TransportError("a"), ExceptionGroup("", [Failure("b"), TransportError("a")])]), "a; b", 1),
        (ExceptionGroup("", [Failure("a", exit_code=2), TransportError("b")]), "a; b", 2),
    ],
)
def test_expected_errors_become_failures(error: BaseException, told: str, code: int) -> None:
    """Each has its line and its exit code, out of groups too; what several tasks met is told once."""
    failure = failure_of(error)
    assert failure is not None
    assert told in str(failure)
    assert failure.exit_code == code


@pytest.mark.parametrize(
    "error",
    [KeyError("bug"), ImportError("no module named x"), ExceptionGroup("", [TransportError("a"), KeyError("b")])],
)
def test_the_programs_own_mistakes_are_not_hidden(error: BaseException) -> None:
    """What nobody expected keeps its traceback."""
    assert failure_of(error) is None


def test_a_failure_is_one_line() -> None:
    """Line breaks in what a server said do not break the line."""
    assert str(Failure("a\n  b\r\nc")) == "a b c"


def test_run_says_what_the_system_said() -> None:
    """The reason at the bottom of a chain of errors is in the line."""

    async def dial() -> None:
        try:
            raise OSError("all attempts failed") from ExceptionGroup("", [OSError(errno.ECONNREFUSED, "whatever")])
        except OSError as exc:
            raise TransportError("cannot connect to ws://x") from exc

    with pytest.raises(Failure, match="cannot connect to ws://x: Connection refused"):
        run(dial)


def test_run_gives_the_result_and_lets_bugs_through() -> None:
    """The value comes back; an unexpected exception comes out as itself."""

    async def seven() -> int:
        await trio.lowlevel.checkpoint()
        return 7

    async def bug() -> None:
        raise ZeroDivisionError

    assert run(seven) == 7
    with pytest.raises(ZeroDivisionError):
        run(bug)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EADDRINUSE, "is in use: stop what runs there, or choose another port with --port"),
        (errno.EACCES, "choose a port above 1023"),
        (errno.EADDRNOTAVAIL, "is not an address of this machine"),
        (errno.EMFILE, "cannot listen on h port 80: full"),
    ],
)
def test_why_a_server_cannot_listen(number: int, told: str) -> None:
    """Each reason comes with what to do about it."""
    assert told in str(cannot_listen(OSError(number, "full"), "h", 80))
