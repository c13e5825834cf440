"""As much Markdown as the docstrings use, made into HTML: nothing of anybody else's gets in.

Known: headings, paragraphs, lists with ``-`` or numbers, tables with ``|``, fenced or indented code, and within a line
``code``, **bold**, *emphasis* and [links](#to). Anything else is text. All text is escaped.
"""

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Final

_BULLET: Final = re.compile(r"(?:[-*]|\d+\.) +")
_HEADING: Final = re.compile(r"(#{1,4}) +(.*)")
_CODE: Final = re.compile(r"(``.+?``|`[^`]+`)")
_LINK: Final = re.compile(r"\[([^\]]+)\]\(((?:https?://|#)[^)\s]*)\)")
_BOLD: Final = re.compile(r"\*\*(.+?)\*\*")
_EMPHASIS: Final = re.compile(r"(?<![\w*])\*([^*\s][^*]*?)\*(?![\w*])")
_BARE_LINK: Final = re.compile(r"&lt;(https?://[^\s&]+)&gt;")


def slug(heading: str) -> str:
    """A heading's place on the page."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def to_html(text: str, *, level: int = 2, prefix: str = "") -> str:
    """The HTML of a text; its first-level headings become ``<hN>`` of this level, with anchors behind ``prefix``."""
    return "\n".join(_blocks(text.splitlines(), level, prefix))


def _blocks(lines: list[str], level: int, prefix: str) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif line.startswith("<!--"):
            at = _end_of(lines, at - 1, lambda text: "-->" not in text) + 1
        elif line.lstrip().startswith("```"):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "```"), len(lines))
            yield f"<pre><code>{escape(_dedented(lines[at + 1 : end]))}</code></pre>"
            at = end + 1
        elif heading := _HEADING.fullmatch(line):
            depth, words = min(6, level + len(heading[1]) - 1), heading[2]
            yield f'<h{depth} id="{prefix}{slug(words)}">{inline(words)}</h{depth}>'
            at += 1
        elif line.startswith(("    ", "\t")):
            end = _end_of(lines, at, lambda text: text.startswith(("    ", "\t")) or not text.strip())
            yield f"<pre><code>{escape(_dedented(lines[at:end]))}</code></pre>"
            at = end
        elif line.lstrip().startswith("|") or re.fullmatch(r"={3,}(?: +={3,})+", line.strip()):
            reader = _table if line.lstrip().startswith("|") else _ruled_table
            html, at = reader(lines, at)
            yield html
        elif _BULLET.match(line):
            end = _end_of(lines, at, lambda text: bool(_BULLET.match(text)) or text.startswith("  "))
            yield _list(lines[at:end])
            at = end
        else:
            end = at + 1
            while end < len(lines) and lines[end].strip() and not _starts_block(lines[end]):
                end += 1
            yield f"<p>{inline(' '.join(part.strip() for part in lines[at:end]))}</p>"
            at = end


def _starts_block(line: str) -> bool:
    return bool(_BULLET.match(line) or _HEADING.fullmatch(line)) or line.lstrip().startswith(("|", "```"))


def _end_of(lines: list[str], at: int, belongs: Callable[[str], bool]) -> int:
    end = at + 1
    while end < len(lines) and belongs(lines[end]):
        end += 1
    return end


def _dedented(lines: list[str]) -> str:
    kept = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in kept), default=0)
    return "\n".join(line[margin:] for line in lines).rstrip()


def _list(lines: list[str]) -> str:
    items: list[list[str]] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if bullet:
            items.append([line[bullet.end() :]])
        else:
            items[-1].append(line.strip())
    tag = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{tag}>" + "".join(f"<li>{inline(' '.join(item))}</li>" for item in items) + f"</{tag}>"


def _table(lines: list[str], at: int) -> tuple[str, int]:
    rows = []
    while at < len(lines) and lines[at].lstrip().startswith("|"):
        rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", lines[at].strip().strip("|"))])
        at += 1
    body = [row for row in rows[1:] if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    return _rows(rows[0], body), at


def _ruled_table(lines: list[str], at: int) -> tuple[str, int]:
    """A table between rows of ``===``, as in the docstring of a dialect."""
    width = len(lines[at].split("  ")[0]) if "  " in lines[at] else len(lines[at])
    rows: list[list[str]] = []
    rules = 0
    while at < len(lines) and rules < 3:
        line = lines[at]
        at += 1
        if line.strip() and not line.strip("= "):
            rules += 1
        elif line[:width].strip():
            rows.append([line[:width].strip(), line[width:].strip()])
        elif rows:
            rows[-1][1] += " " + line.strip()
    return _rows(rows[0], rows[1:]), at


def _rows(head: list[str], body: list[list[str]]) -> str:
    top = "".join(f"<th>{inline(cell)}</th>" for cell in head)
    rest = "".join("<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{rest}</tbody></table></div>'


def inline(text: str) -> str:
    """The HTML of one line."""
    parts = []
    for part in _CODE.split(text):
        if _CODE.fullmatch(part):
            parts.append(f"<code>{escape(part.strip('`'))}</code>")
            continue
        html = escape(part, quote=False)
        html = _LINK.sub(lambda found: f'<a href="{escape(found[2])}">{found[1]}</a>', html)
        html = _BARE_LINK.sub(r'<a href="\1">\1</a>', html)
        parts.append(_EMPHASIS.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", html)))
    return "".join(parts)
