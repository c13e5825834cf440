"""The files under ``examples/deploy``, read as those read them who are given them: a unit, a Dockerfile, manifests."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final, final

from attrs import frozen

from tests.readme import ROOT
from tests.tools import requires_module

DEPLOY: Final = ROOT / "trio_transports" / "examples" / "deploy"
INSTRUCTIONS: Final = (
    *("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "USER", "WORKDIR", "EXPOSE", "VOLUME", "LABEL"),
    *("SHELL", "ENTRYPOINT", "CMD", "HEALTHCHECK", "STOPSIGNAL", "ONBUILD"),
)


@final
@frozen
class Instruction:
    """One of a Dockerfile's."""

    name: str
    options: Mapping[str, str]
    rest: str

    @property
    def words(self) -> Sequence[str]:
        """In the form without a shell: JSON."""
        told = json.loads(self.rest)
        assert isinstance(told, list)
        return told


def unit(path: Path = DEPLOY / "bot.service") -> Mapping[str, Mapping[str, str]]:
    """Each section's settings; one that stands twice is an error, as is a line that is none."""
    read = ConfigParser(delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None, default_section="")
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text("utf-8"))
    return {name: dict(read[name]) for name in read.sections()}


def dockerfile(path: Path = DEPLOY / "Dockerfile") -> Sequence[Instruction]:
    """Its instructions in order: comments left out, continued lines joined, every name a known one."""
    lines = [
        line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    found = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        assert name in INSTRUCTIONS, line
        options = dict[str, str]()
        while option := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            options[option[1]], rest = option[2], rest[option.end() :]
        found.append(Instruction(name, options, rest.strip()))
    assert found[0].name == "FROM"
    return found


def manifests(path: Path = DEPLOY / "kubernetes.yaml") -> Mapping[str, Any]:
    """By kind."""
    documents = list(requires_module("yaml", extra="test").safe_load_all(path.read_text("utf-8")))
    assert all({"apiVersion", "kind", "metadata", "spec"} == set(each) for each in documents)
    return {each["kind"]: each for each in documents}


def commands() -> Mapping[str, Sequence[str]]:
    """What each of them runs, word by word."""
    (cmd,) = [each for each in dockerfile() if each.name == "CMD"]
    (container,) = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return {
        "Dockerfile": cmd.words,
        "bot.service": shlex.split(unit()["Service"]["ExecStart"]),
        "kubernetes.yaml": container["args"],
    }
