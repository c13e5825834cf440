"""Shells of which a test asks what they would complete."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.tools import requires

_ZSH: Final = """\
zmodload zsh/zpty
zpty asked zsh -f -i
zpty -w asked 'PROMPT= RPROMPT= ; setopt no_beep'
zpty -w asked "source $1"
zpty -w asked $'compadd () { local -a all; builtin compadd -O all "$@"; for each in $all; print -r -- "<<$each>>" }'
zpty -w asked $'zle -C complete-word .complete-word _main_complete'
zpty -w asked $'ask () { zle complete-word; print -r -- "<<"that\\ is\\ all">>"; exit }; zle -N ask; bindkey "^X" ask'
zpty -w asked $'print "<<"ready">>"'
zpty -r asked told $'*<<ready>>*'
zpty -w -n asked "$2"$'\\C-X'
zpty -r asked told $'*<<that is all>>*'
print -r -- "$told"
"""
"""A shell of its own on a terminal of its own: what is offered there is written down instead.

The terminal echoes what is typed, so what is waited for is typed otherwise than it is printed.
"""


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _bash(script: Path, words: Sequence[str]) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    asking = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _trio_transports"
    return set(_told("bash", "-c", f'source "$0"; {asking}; printf "%s\\n" "${{COMPREPLY[@]}}"', str(script)).split())


def _zsh(script: Path, words: Sequence[str]) -> set[str]:
    told = _told("zsh", "-f", "-c", _ZSH, "zsh", str(script), " ".join(words)).rpartition("<<ready>>")[2]
    return set(re.findall("<<(.*?)>>", told)) - {"that is all"}


def _fish(script: Path, words: Sequence[str]) -> set[str]:
    told = _told("fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2]"', str(script), " ".join(words))
    return {line.partition("\t")[0] for line in told.splitlines()}


_SHELLS: Final[Mapping[str, Callable[[Path, Sequence[str]], set[str]]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def completed(shell: str, script: Path, words: Sequence[str]) -> set[str]:
    """What the shell offers for the last of these words, once it has read the script."""
    requires(shell)
    return _SHELLS[shell](script, words)
