"""``docs``: the guides and the reference as one HTML page."""

from pathlib import Path

from ..docs import build_page
from .failure import Failure


def run(*, out: str, as_json: bool) -> int:
    """Write the page; ``-`` is standard output."""
    assert not as_json, "there is nothing to tell but the page"
    page = build_page()
    if out == "-":
        print(page, end="")
        return 0
    try:
        Path(out).write_text(page, encoding="utf-8")
    except OSError as exc:
        raise Failure(f"cannot write {out}: {exc.strerror}") from exc
    print(f"The guides and the reference are in {out}: open it in a browser")
    return 0
