"""Sinch's media streaming: audio as 16-bit PCM in binary messages, commands as JSON text messages.

Received: ``connect`` (StartFrame, answered by ``answer``), binary (AudioFrame). Sent: ``answer``, or ``reject`` to a
stream that cannot be carried; AudioFrame (binary), InterruptionFrame (``clear``). The call's end is the socket's.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, final

from attrs import define, field, frozen

from ..._documented import documented
from ...audio.codecs.codec import L16
from ...frames import JSONValue, StartFrame
from ..converters import TaggedUnion, camel_case, make_converter
from ..protocol import Message, StartRefused
from .line import Announcement, Coding, Line, announced
from .messages import MediaFormat
from .serializer import LineSerializer


@frozen(kw_only=True)
class Connect:
    call_id: str | None = None
    application_key: str | None = None
    codec: str | None = None
    sample_rate: JSONValue = None
    call_headers: JSONValue = None


@frozen(kw_only=True)
class Clear:
    """Stop what is playing."""


_converter: Final = make_converter(rename=camel_case)
SINCH: Final = Line(
    name="Sinch",
    start=Connect,
    incoming=TaggedUnion(_converter, tag="command", kinds={"connect": Connect}),
    outgoing=TaggedUnion(_converter, tag="command", kinds={"clear": Clear}),
    codecs={L16: (16000, 8000, 24000, 44100, 48000)},
    clear=lambda _stream: Clear(),
    hears_digits=False,
    names_streams=False,
    takes_messages=False,
)
ANSWER: Final = '{"command":"answer"}'
REJECT: Final = '{"command":"reject"}'


@documented
@final
@define(eq=False, kw_only=True)
class SinchFrameSerializer(LineSerializer):
    """One Sinch call, which is answered as soon as it is known that it can be carried."""

    line: ClassVar[Line] = SINCH
    """Sinch's table."""

    stream_id: str | None = field(default=None, init=False)
    """None: Sinch names no streams."""
    _owed: tuple[Message, ...] = field(default=(), init=False)

    def _before_start(self) -> tuple[Coding | None, Coding]:
        return None, Coding(encoding=self.line.default_media[0], rate=self.line.default_media[1])

    def _announced(self, message: Any, document: JSONValue) -> Announcement:  # noqa: ANN401 - a Connect
        try:
            media = MediaFormat(encoding=message.codec, sample_rate=message.sample_rate)
            coding = announced(self.line, media, at="codec", rate_at="sampleRate")
        except StartRefused:
            self._owed = (REJECT,)
            raise
        self._owed = (ANSWER,)
        headers = message.call_headers
        return Announcement(
            receive=coding,
            send=coding,
            media_at="codec",
            start=StartFrame(
                call_id=message.call_id,
                account_id=message.application_key,
                parameters=headers if isinstance(headers, dict) else {"call_headers": headers} if headers else {},
            ),
        )

    def replies(self) -> Sequence[Message]:
        """What Sinch is owed since the last call: at first, that the call is answered."""
        owed, self._owed = self._owed, ()
        return owed
