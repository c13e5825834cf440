"""The documents that have a provider open its stream: read as the provider would."""

import json
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from trio_transports.telephony import exoml, ncco, plivo_xml, relay_twiml, texml, twiml

URL = "wss://voice.example.com/call?a=1&b=2"
ODD = {"name": 'a"b<c>&', "other": "é"}


def test_twiml() -> None:
    """Connect, Stream, its URL, and the parameters as they were."""
    stream = ElementTree.fromstring(twiml(URL, ODD).encode()).find("Connect/Stream")
    assert stream is not None
    assert stream.get("url") == URL
    assert {each.get("name"): each.get("value") for each in stream} == ODD


def test_relay() -> None:
    """ConversationRelay, with a greeting or without."""
    for greeting in (None, 'Hi "you"'):
        relay = ElementTree.fromstring(relay_twiml(URL, ODD, greeting=greeting).encode()).find(
            "Connect/ConversationRelay"
        )
        assert relay is not None
        assert (relay.get("url"), relay.get("welcomeGreeting")) == (URL, greeting)
        assert {each.get("name"): each.get("value") for each in relay} == ODD


def test_texml() -> None:
    """Both ways as RTP, in the code that the serializer sends."""
    stream = ElementTree.fromstring(texml(URL, codec="L16", sample_rate=16000).encode()).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": URL,
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "L16",
        "bidirectionalSamplingRate": "16000",
    }


def test_plivo() -> None:
    """Both ways, the URL as text, and headers that Plivo can carry."""
    stream = ElementTree.fromstring(plivo_xml(URL, {"user": "ada"}).encode()).find("Stream")
    assert stream is not None
    assert stream.text == URL
    assert stream.get("bidirectional") == "true"
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000"
    assert stream.get("extraHeaders") == "user=ada"
    with pytest.raises(ValueError, match="letters and digits only"):
        plivo_xml(URL, ODD)


def test_exoml() -> None:
    """StartStream, with the content type if one is given."""
    for content_type in (None, "audio/x-raw;rate=16000"):
        stream = ElementTree.fromstring(exoml(URL, content_type=content_type).encode()).find("StartStream")
        assert stream is not None
        assert (stream.get("url"), stream.get("content_type")) == (URL, content_type)


def test_ncco() -> None:
    """Connected to a WebSocket, at the rate that is asked for."""
    (action,) = json.loads(ncco(URL, ODD, sample_rate=24000))
    assert action["action"] == "connect"
    assert action["endpoint"] == [
        {"type": "websocket", "uri": URL, "content-type": "audio/l16;rate=24000", "headers": ODD}
    ]


@pytest.mark.parametrize("make", [twiml, relay_twiml, texml, plivo_xml, exoml, ncco])
@pytest.mark.parametrize("url", ["", "voice.example.com", "https://voice.example.com", "wss://"])
def test_a_url_that_nobody_calls(make: Callable[[str], str], url: str) -> None:
    """What is no WebSocket's URL is a mistake found at once."""
    with pytest.raises(ValueError, match="a stream's URL must be like"):
        make(url)
