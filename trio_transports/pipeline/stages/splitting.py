"""Where a sentence ends in text that is still being written."""

import re
from typing import Final

# A sentence ends in one of these; a Latin one only before a space, so that neither 3.5 nor example.com is cut.
_END: Final = re.compile(
    "[.!?\\u2026]+[\"')\\]\\u00bb\\u201d\\u2019]*(?=\\s)"
    "|[\\u3002\\uff01\\uff1f]+[\"')\\]\\u00bb\\u201d\\u2019\\u300d\\u300f]*"
    "|\\n+"
)
_ABBREVIATED: Final = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|z\.B|bzw|ca)\.$")


def split_sentences(text: str) -> tuple[list[str], str]:
    """Split off the sentences that are complete; give them, and what is left."""
    whole, start = [], 0
    for end in _END.finditer(text):
        sentence = text[start : end.end()]
        if not _ABBREVIATED.search(sentence.rstrip()) and sentence.strip():
            whole.append(sentence.strip())
            start = end.end()
    return whole, text[start:]
