"""``completion``: scripts for shells, made of the arguments themselves."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .arguments import PROGRAM, parser

_BASH: Final = """\
_trio_transports() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
            *) case "${{COMP_WORDS[1]}}" in
{options}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _trio_transports {program}
"""
_ZSH: Final = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def run(*, shell: str, as_json: bool) -> int:
    script = _fish() if shell == "fish" else (_ZSH if shell == "zsh" else "") + _bash()
    print(script, end="")
    return 0


def _subcommands() -> Mapping[str, argparse.ArgumentParser]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the program has no commands")


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[Sequence[str], argparse.Action]]:
    for action in command._actions:
        if action.option_strings or action.choices:
            yield [name for name in action.option_strings if name.startswith("--")], action


def _bash() -> str:
    options, values = [], []
    for name, command in _subcommands().items():
        words: list[str] = []
        for flags, action in _options(command):
            words += flags or map(str, action.choices or ())
            if action.choices:
                values += [
                    f'            "{name} {flag}") words="{" ".join(map(str, action.choices))}" ;;' for flag in flags
                ]
        options.append(f'                {name}) words="{" ".join(words)}" ;;')
    return _BASH.format(
        commands=" ".join((*_subcommands(), "--help", "--version")),
        values="\n".join(values),
        options="\n".join(options),
        program=PROGRAM,
    )


def _fish() -> str:
    first = f"complete -c {PROGRAM} -n __fish_use_subcommand"
    lines = [f"{first} -f -a '{' '.join(_subcommands())}'", f"{first} -l help", f"{first} -l version"]
    for name, command in _subcommands().items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for flags, action in _options(command):
            among = f" -x -a '{' '.join(map(str, action.choices))}'" if action.choices else ""
            lines += [f"complete -c {PROGRAM} {seen} -l {flag[2:]}{among}" for flag in flags]
            if not flags:
                lines.append(f"complete -c {PROGRAM} {seen}{among}")
    return "\n".join(lines) + "\n"
