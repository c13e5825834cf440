"""Where a sentence ends in text that is still being written.

The text is a peer's, and as long as a peer likes: every character is looked at a few times at most. So no end is looked
for inside a run of marks that was none, and nothing of a sentence is looked at again at the next mark.
"""

import re
from typing import Final

# A sentence ends in one of these; a Latin one only before a space, so that neither 3.5 nor example.com is cut.
_END: Final = re.compile(
    "(?<![.!?\\u2026])[.!?\\u2026]++[\"')\\]\\u00bb\\u201d\\u2019]*+(?=\\s)"
    "|[\\u3002\\uff01\\uff1f]+[\"')\\]\\u00bb\\u201d\\u2019\\u300d\\u300f]*"
    "|\\n+"
)
_ABBREVIATED: Final = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|z\.B|bzw|ca)\.$")
_SEEN: Final = 8
"""Characters in which an abbreviation is seen: more than the longest has, so that what is before it is seen too."""


def split_sentences(text: str) -> tuple[list[str], str]:
    """Split off the sentences that are complete; give them, and what is left."""
    whole: list[str] = []
    start = looked_at = filled = 0  # ``filled`` is where the last that is not a space ends
    for end in _END.finditer(text):
        piece = text[looked_at : end.end()].rstrip()
        if piece:
            filled = looked_at + len(piece)
        looked_at = end.end()
        if filled > start and not _ABBREVIATED.search(text[max(start, filled - _SEEN) : filled]):
            whole.append(text[start:filled].lstrip())
            start = looked_at
    return whole, text[start:]
