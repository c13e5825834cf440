"""What the hang-up callables refuse when they are made, before any call."""

import sys

import pytest

from trio_transports.errors import TransportError
from trio_transports.telephony import HangUpFailed, PlivoHangUp, TelnyxHangUp, TwilioHangUp


def test_twilio_hosts() -> None:
    """Without edge and region the plain host; with both, the host of that edge and region."""
    assert TwilioHangUp("AC1", "t").base_url == "https://api.twilio.com"
    assert TwilioHangUp("AC1", "t", edge="dublin", region="ie1").base_url == "https://api.dublin.ie1.twilio.com"


def test_an_edge_needs_a_region() -> None:
    """One without the other is no host of Twilio's."""
    with pytest.raises(ValueError, match="go together"):
        TwilioHangUp("AC1", "t", edge="dublin")
    with pytest.raises(ValueError, match="go together"):
        TwilioHangUp("AC1", "t", region="ie1")


def test_credentials_are_required() -> None:
    """An empty or missing credential is refused at construction, by the field's name."""
    with pytest.raises(ValueError, match=r"TwilioHangUp\.auth_token must not be empty"):
        TwilioHangUp("AC1", "")
    with pytest.raises(TypeError, match=r"TelnyxHangUp\.api_key must be a str, not NoneType"):
        TelnyxHangUp(None)  # type: ignore[arg-type]  # what an unset environment variable gives
    with pytest.raises(ValueError, match=r"PlivoHangUp\.auth_id must not be empty"):
        PlivoHangUp("", "t")


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "ftp://h", "https://", "https://u:pw@h", "https://h?x", "h://h"]
)
def test_a_base_url_that_cannot_work_is_refused(url: str) -> None:
    """So is one with credentials in it, which are not repeated."""
    with pytest.raises(ValueError, match=r"TelnyxHangUp\.base_url must") as caught:
        TelnyxHangUp("k", base_url=url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan"), True, "4"])
def test_a_deadline_is_a_positive_number(timeout_s: float) -> None:
    """Nothing waits for ever."""
    with pytest.raises(ValueError, match=r"PlivoHangUp\.timeout_s must be a number of seconds above 0"):
        PlivoHangUp("a", "b", timeout_s=timeout_s)


def test_the_repr_hides_credentials() -> None:
    """Tokens and keys are not shown."""
    shown = repr([TwilioHangUp("AC1", "hidden"), TelnyxHangUp("hidden"), PlivoHangUp("MA1", "hidden")])
    assert "AC1" in shown
    assert "hidden" not in shown


def test_without_the_extra_construction_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing package is found out when the server is set up, not when the first call ends."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(
        ImportError, match=r"TelnyxHangUp needs the 'http' extra: pip install 'trio-transports\[http\]'"
    ):
        TelnyxHangUp("k")


def test_a_failure_is_one_of_the_librarys_errors() -> None:
    """So ``except TransportError`` catches it."""
    assert issubclass(HangUpFailed, TransportError)
