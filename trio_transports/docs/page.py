"""The page: the guides and every public name, with a search over all; one file with nothing from the network."""

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from .. import __version__
from .catalogue import Entry, Member, Room, rooms
from .guide import Guide, guide_html, guides
from .markup import slug, to_html


def build_page() -> str:
    """The whole documentation as one HTML document."""
    found, read = list(rooms()), guides()
    anchors = {entry.name: entry.anchor for room in found for entry in room.entries}
    resources = files(__package__)
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>trio_transports {__version__}</title>",
            f"<style>{resources.joinpath('page.css').read_text(encoding='utf-8')}</style>",
            "</head><body>",
            f'<nav aria-label="Contents">{"".join(_contents(found, read))}</nav>',
            "<main>",
            f"<header><h1>trio_transports</h1><p>Guides and reference for version {__version__}.</p></header>",
            *(guide_html(guide, anchors) for guide in read),
            *(_room_section(room) for room in found),
            "</main>",
            f"<script>{resources.joinpath('page.js').read_text(encoding='utf-8')}</script>",
            "</body></html>",
            "",
        )
    )


def _contents(found: list[Room], read: tuple[Guide, ...]) -> Iterator[str]:
    yield '<label for="search">Search</label><input id="search" type="search" autocomplete="off" placeholder="press /">'
    yield '<ol id="results" hidden aria-live="polite"></ol><div id="contents"><h2>Guides</h2><ul>'
    for guide in read:
        yield f'<li><a href="#{guide.anchor}">{escape(guide.title)}</a></li>'
    yield "</ul><h2>Reference</h2><ul>"
    for room in found:
        yield f'<li><a href="#{room.name}"><code>{room.name.removeprefix("trio_transports.")}</code></a></li>'
    yield "</ul></div>"


def _room_section(room: Room) -> str:
    parts = [f'<section id="{room.name}" data-search="{room.name}"><h2><code>{room.name}</code></h2>']
    if room.missing:
        parts.append(f"<p>Not looked at here: {escape(room.missing)}</p>")
    parts.append(to_html(room.text, level=3, prefix=f"{slug(room.name)}-"))
    parts += [_entry_html(entry) for entry in room.entries]
    if room.elsewhere:
        names = ", ".join(f'<a href="#{anchor}"><code>{name}</code></a>' for name, anchor in room.elsewhere)
        parts.append(f"<p>Also importable from here: {names}.</p>")
    parts.append("</section>")
    return "\n".join(parts)


def _entry_html(entry: Entry) -> str:
    shown = "" if entry.kind == "class" and entry.members else escape(entry.signature)
    head = f'<h3><span class="kind">{entry.kind}</span> <code>{entry.name}</code></h3>'
    signature = f"<pre><code>{escape(entry.name)}{shown}</code></pre>" if shown else ""
    inside = "".join(_member_html(entry, member) for member in entry.members)
    listed = f"<dl>{inside}</dl>" if inside else ""
    if entry.bases:
        named = ", ".join(f'<a href="#{anchor}"><code>{name}</code></a>' for name, anchor in entry.bases)
        listed += f"<p>And what it has of {named}.</p>"
    text = to_html(entry.text, level=4, prefix=f"{entry.anchor}-")
    return f'<article id="{entry.anchor}" data-search="{entry.anchor}">{head}{signature}{text}{listed}</article>'


def _member_html(entry: Entry, member: Member) -> str:
    anchor = f"{entry.anchor}.{member.name}"
    text = to_html(member.text, level=5, prefix=f"{anchor}-")
    mark = f'<span class="kind">{member.kind}</span>'
    return (
        f'<dt id="{anchor}" data-search="{anchor}">{mark} <code>{escape(member.name + member.signature)}</code></dt>'
        f"<dd>{text}</dd>"
    )
