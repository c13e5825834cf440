"""The guides: Markdown files beside this one, in the order in which they are read.

Rules
1. A guide opens with ``# Title``. Each ``## Heading`` begins a part that the search finds by itself.
2. Links between guides are written as files (``ending.md#the-peer-goes``), so that they work where the repository is
   looked at too; on the page they lead to the guide's place.
3. A public name in ``code`` leads to its place in the reference.
"""

import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Final, final

from attrs import frozen

from .markup import slug, to_html

ORDER: Final = (
    "concepts",
    "timing",
    "interruption",
    "ending",
    "reconnecting",
    "telephony",
    "deploying",
    "testing",
    "commands",
    "migrating",
    "serializer",
    "engine",
    "agents",
    "workers",
    "performance",
    "benchmarks",
    "design",
    "changelog",
)
_LINK: Final = re.compile(r"\]\((?:guides/)?([a-z]+)\.md(?:#([a-z0-9-]+))?\)")
_CODE: Final = re.compile(r"(?<!<pre>)<code>([A-Za-z_.]+)(?:\(\))?</code>(?!</a>)")


@final
@frozen
class Guide:
    """One Markdown file."""

    name: str
    text: str

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].removeprefix("# ").strip()

    @property
    def anchor(self) -> str:
        return f"guide-{self.name}"

    def parts(self) -> Iterator[tuple[str, str]]:
        """The heading and the text of each part; what stands before the first heading has none."""
        body = self.text.partition("\n")[2]
        first, *rest = re.split(r"^## (?=.)", body, flags=re.MULTILINE)
        yield "", first
        for part in rest:
            heading, _, text = part.partition("\n")
            yield heading.strip(), text


def guides() -> tuple[Guide, ...]:
    """All guides, in the order of reading."""
    folder = files(__package__).joinpath("guides")
    return tuple(Guide(name, folder.joinpath(f"{name}.md").read_text(encoding="utf-8")) for name in ORDER)


def guide_html(guide: Guide, anchors: Mapping[str, str]) -> str:
    """A guide as a section of the page; ``anchors`` is where each public name is told."""
    html = [f'<section id="{guide.anchor}" data-search="{escape(guide.title)}"><h2>{escape(guide.title)}</h2>']
    for heading, text in guide.parts():
        body = _to_reference(to_html(_links(text), level=3, prefix=f"{guide.anchor}-"), anchors)
        if not heading:
            html.append(body)
            continue
        name = escape(f"{guide.title}: {heading.replace('`', '')}")
        place = f'id="{guide.anchor}-{slug(heading)}" data-search="{name}"'
        html.append(
            f"<article {place}>{to_html(f'# {heading}', level=3, prefix='heading-' + guide.anchor)}{body}</article>"
        )
    return "\n".join((*html, "</section>"))


def _links(text: str) -> str:
    def place(found: re.Match[str]) -> str:
        return f"](#guide-{found[1]}{'-' + found[2] if found[2] else ''})"

    return _LINK.sub(place, text)


def _to_reference(html: str, anchors: Mapping[str, str]) -> str:
    def linked(found: re.Match[str]) -> str:
        anchor = anchors.get(found[1].removeprefix("trio_transports."))
        return found[0] if anchor is None else f'<a href="#{anchor}">{found[0]}</a>'

    return _CODE.sub(linked, html)
