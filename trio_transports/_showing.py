"""What may be shown of what a peer sent, or of an address: in logs, in errors, in ``repr`` (HAZARDS 47).

Rules
1. A peer's text stays on its line: every control character, line end and direction mark is escaped, so that nobody can
   write a log line of their own, or move the cursor of whoever reads it.
2. An address is shown without its query and without a name and password: tokens are in those.
"""

from urllib.parse import urlsplit


def shown_text(text: str) -> str:
    """Escape what is not printable."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown_url(url: str) -> str:
    """Give scheme, host, port and path; ``?...`` stands for a query."""
    head, _, query = url.partition("?")
    try:
        parts = urlsplit(head)
    except ValueError:
        return shown_text(head.rpartition("@")[2]) + ("?..." if query else "")
    host = parts.netloc.rpartition("@")[2]
    start = f"{parts.scheme}://{host}" if host else f"{parts.scheme}:" if parts.scheme else ""
    return shown_text(start + parts.path) + ("?..." if query else "")
