"""Where sentences end in a text, and what it costs to find that in one that a peer has made for it."""

import re
from itertools import pairwise
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_transports.pipeline.stages.splitting import split_sentences

END = re.compile(
    "[.!?\\u2026]+[\"')\\]\\u00bb\\u201d\\u2019]*(?=\\s)"
    "|[\\u3002\\uff01\\uff1f]+[\"')\\]\\u00bb\\u201d\\u2019\\u300d\\u300f]*"
    "|\\n+"
)
ABBREVIATED = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|z\.B|bzw|ca)\.$")


def plainly(text: str) -> tuple[list[str], str]:
    """The rule as one would say it: each sentence so far is looked at whole, at each mark."""
    whole, start = [], 0
    for end in END.finditer(text):
        sentence = text[start : end.end()]
        if not ABBREVIATED.search(sentence.rstrip()) and sentence.strip():
            whole.append(sentence.strip())
            start = end.end()
    return whole, text[start:]


PIECES = [
    "Dr.",
    "Prof.",
    "e.g.",
    "A.",
    "(No.",
    "St",
    ".",
    "..",
    "?!",
    "\u2026",
    '"',
    "')",
    "\u3002",
    "\u300d",
    "a",
    " ",
    "\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_sentences_are_those_of_the_plain_rule(text: str) -> None:
    """Whatever marks, abbreviations and spaces follow each other."""
    assert split_sentences(text) == plainly(text)


@given(st.text(max_size=30))
def test_sentences_of_any_text_are_those_of_the_plain_rule(text: str) -> None:
    """Of every script, and with every kind of space."""
    assert split_sentences(text) == plainly(text)


def seconds(text: str) -> float:
    began_s = thread_time()
    split_sentences(text)
    return thread_time() - began_s


@pytest.mark.parametrize(
    ("piece", "times"),
    [(".", 1000), ("?!", 500), (".)", 500), ("No. ", 400), ("\n ", 5000), ("Dr. \n", 400), ("a. ", 400)],
)
def test_the_cost_grows_with_the_text_alone(piece: str, times: int) -> None:
    """Four times the text takes about four times as long, not sixteen: one call is on the loop of all calls."""
    texts = [piece * (times * factor) for factor in (1, 4)]
    least = [min(seconds(text) for _ in range(5)) for text in texts]
    assert all(longer < 8 * shorter for shorter, longer in pairwise(least)), least
