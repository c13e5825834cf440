"""The reference page: what it holds, how text becomes HTML, and that nothing in it comes from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import field, frozen

import trio_transports
from trio_transports.__main__ import main
from trio_transports._documented import documented, field_docs
from trio_transports.docs.catalogue import rooms
from trio_transports.docs.markup import inline, to_html


@documented
@frozen(kw_only=True)
class Kettle:
    """Boils water."""

    volume: float
    """In litres."""
    colour: str = "red"
    """Which one you like."""
    _secret: int = field(default=0, init=False)
    """Nobody's business."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            elif name == "href" and value:
                self.links.append(value)
            elif name == "src" and value:
                self.sources.append(value)


def test_help_shows_what_is_written_under_the_fields() -> None:
    """One text serves editors, ``help()`` and the page."""
    assert (
        Kettle.__doc__ == "Boils water.\n\nFields:\n    volume:\n        In litres.\n"
        "    colour = 'red':\n        Which one you like.\n"
    )
    assert Kettle(volume=1).__doc__ == Kettle.__doc__
    assert field_docs(Kettle) == {"volume": "In litres.", "colour": "Which one you like."}


def test_every_name_of_the_front_is_on_the_page(page: str) -> None:
    assert [name for name in trio_transports.__all__ if f'id="trio_transports.{name}"' not in page] == []


def test_links_lead_somewhere_and_nothing_is_fetched(page: str) -> None:
    """Each anchor that is linked to exists, each stands once, and the page needs no network."""
    reader = _Reader()
    reader.feed(page)
    assert not reader.sources
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", page.split("<main>")[0])


def test_fields_and_methods_are_told_with_their_types(page: str) -> None:
    assert "<code>audio_in_sample_rate: int | None = None</code>" in page
    assert "async method" in page
    (front, *_) = rooms()
    session = next(entry for entry in front.entries if entry.name == "Session")
    assert {"input", "output", "aclose", "statistics"} <= {member.name for member in session.members}


def test_what_is_missing_is_said() -> None:
    """Every module that is listed was looked at, or says which extra it lacks."""
    assert [room.name for room in rooms() if not room.entries and not room.elsewhere and not room.missing] == []


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b & `c<d>`", "a &lt; b &amp; <code>c&lt;d&gt;</code>"),
        ("**bold** and *soft*", "<strong>bold</strong> and <em>soft</em>"),
        ("[here](#there)", '<a href="#there">here</a>'),
        ("[no](javascript:alert(1))", "[no](javascript:alert(1))"),
        ("a * b * c", "a * b * c"),
    ],
)
def test_inline_markup(text: str, html: str) -> None:
    assert inline(text) == html


def test_blocks() -> None:
    """Headings, lists, tables and code each become what they are."""
    text = (
        "# Top\n\n- one\n  and more\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n<x>\n```\n\n1. first\n2. second\n"
    )
    html = to_html(text)
    assert '<h2 id="top">Top</h2>' in html
    assert "<ul><li>one and more</li><li>two</li></ul>" in html
    assert "<tr><td>1</td><td>2</td></tr>" in html
    assert "<pre><code>&lt;x&gt;</code></pre>" in html
    assert "<ol><li>first</li><li>second</li></ol>" in html


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["docs", "--out", str(out)]) == 0
    assert out.read_text().startswith("<!doctype html>")
    assert str(out) in capsys.readouterr().out
    assert main(["docs", "--out", str(tmp_path / "no" / "page.html")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_types_are_told_by_their_names(page: str) -> None:
    """A type that has a name is told by it, and what a class has of another public one is told there."""
    (front, *_) = rooms()
    told = {entry.name: entry for entry in front.entries}
    (data,) = (member for member in told["UIFrame"].members if member.name == "data")
    assert data.signature == ": JSONValue = None"
    (send,) = (
        member
        for room in rooms()
        for entry in room.entries
        if entry.anchor == "trio_transports.session.Output"
        for member in entry.members
        if member.name == "send"
    )
    assert (send.kind, send.signature) == ("async method", "(frame: Frame) -> None")
    (session,) = (member for member in told["WebsocketClientTransport"].members if member.name == "session")
    assert session.kind == "async with method"
    server = told["WebsocketServerParams"]
    assert "audio_in_enabled" not in {member.name for member in server.members}
    assert server.bases == (("TransportParams", "trio_transports.TransportParams"),)
    assert "ForwardRef" not in page
