"""``inspect``: what a serializer makes of captured messages.

Rules
1. A file that is UTF-8 text has one message on each line. A line that begins with ``{`` or ``[`` is a text message;
   else it is a binary one, in hex if all of it is hex digits, else in base64.
2. Any other file is one binary message.
"""

import base64
import binascii
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import asdict, has
from attrs import fields as attrs_fields

from ..audio.format import AudioFormat
from ..audio.wav import write_wav
from ..errors import RemoteProtocolError
from ..frames import AudioFrame, Frame
from ..serializers.converters import is_local
from ..serializers.protocol import Message
from .dialects import make_serializer
from .failure import Failure

_SHOWN: Final = 60


def run(*, file: str, serializer: str, rate: int, wav: str | None, as_json: bool) -> int:
    dialect = make_serializer(serializer, AudioFormat(rate))
    messages = list(_messages(_read(file), file))
    malformed, audio = 0, []
    for number, message in enumerate(messages, 1):
        kind = "text" if isinstance(message, str) else "binary"
        try:
            frames: Sequence[Frame] = dialect.decode(message)
            error = None
        except RemoteProtocolError as exc:
            frames, error = (), str(exc)
            malformed += 1
        audio += [frame for frame in frames if isinstance(frame, AudioFrame)]
        if as_json:
            told = [{"frame": type(frame).__name__} | _plain(frame) for frame in frames]
            line = {"message": number, "kind": kind, "size": len(message), "frames": told, "error": error}
            print(json.dumps(line))
        else:
            said = f"malformed: {error}" if error else ", ".join(map(_in_words, frames)) or "no frame"
            print(f"{number:5}  {kind:6} {len(message):6}  {said}")
    if wav is not None:
        _write(wav, audio)
    if not as_json:
        seconds = sum(frame.duration_s for frame in audio)
        print(f"{len(messages)} messages, {malformed} malformed, {len(audio)} audio frames of {seconds:.2f} s")
    if malformed:
        print(f"trio-transports: {malformed} of {len(messages)} messages are malformed", file=sys.stderr)
    return 1 if malformed else 0


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise Failure(f"cannot read {file}: {exc.strerror or exc}") from exc


def _messages(data: bytes, file: str) -> Iterator[Message]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield data
        return
    if not text.isprintable() and any(ord(letter) < 32 and letter not in "\r\n\t" for letter in text):
        yield data
        return
    for number, line in enumerate(text.split("\n"), 1):  # and not at other line breaks, which JSON may hold as they are
        stripped = line.strip()
        if not stripped:
            continue
        if stripped[0] in "{[":
            yield stripped
            continue
        try:
            yield _binary(stripped)
        except binascii.Error:
            raise Failure(
                f"{file}, line {number}: {stripped[:_SHOWN]!r} is neither JSON, nor hex, nor base64: "
                "write one message on each line"
            ) from None


def _binary(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return base64.b64decode(text, validate=True)


def _plain(value: object) -> dict[str, object]:
    """Give a frame's fields as JSON can say them; audio and images by their size."""

    def plain(_instance: type, _attribute: object, field: object) -> object:
        return f"{len(field)} bytes" if isinstance(field, bytes) else field

    assert has(type(value))
    return asdict(value, filter=lambda attribute, _: not is_local(attribute), value_serializer=plain)  # type: ignore[arg-type]  # a frame is an attrs value


def _in_words(frame: Frame) -> str:
    if isinstance(frame, AudioFrame):
        return f"AudioFrame {frame.duration_s * 1000:.4g} ms at {frame.format}"
    usual = {attribute.name: attribute.default for attribute in attrs_fields(type(frame))}
    telling = {name: value for name, value in _plain(frame).items() if value not in (None, "", usual[name])}
    fields = ", ".join(f"{name}={value!r}" for name, value in telling.items())
    return f"{type(frame).__name__}({fields if len(fields) <= 2 * _SHOWN else fields[: 2 * _SHOWN] + '...'})"


def _write(path: str, audio: Sequence[AudioFrame]) -> None:
    formats = {frame.format for frame in audio}
    if len(formats) != 1:
        found = ", ".join(sorted(map(str, formats))) or "none"
        raise Failure(f"cannot write {path}: one WAV file holds audio of one format, the messages hold {found}")
    try:
        write_wav(path, formats.pop(), b"".join(frame.audio for frame in audio))
    except OSError as exc:
        raise Failure(f"cannot write {path}: {exc.strerror or exc}") from exc
