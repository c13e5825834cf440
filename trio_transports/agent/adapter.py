"""The adapter: a caller of somebody's voice backend, whatever it speaks."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import ClassVar, NoReturn, Self

import trio

from .._documented import documented
from .._nursery import open_services
from .._showing import shown_url
from ..audio.format import AudioFormat
from ..errors import LocalProtocolError, TransportError
from ..params import WebsocketClientParams
from ..serializers.protocol import Message, per_session
from ..session.broadcast import Broadcast, Subscription
from ..session.session import Session
from ..session.sizes import event_size
from ..session.statistics import Statistics
from ..transports.client import WebsocketClientTransport
from ..wire.dialling import Address
from ..wire.running import MAIN_WAYS_OUT, require_trio
from .calling import Exchange
from .capabilities import AdapterCapabilities, UnsupportedCapability
from .channel import ChunkChannel
from .chunk import AGENT_FORMAT, AudioChunk
from .conversation import Conversation
from .events import AgentEvent
from .fate import Fate
from .hearing import Hearing
from .inbox import AgentInbox
from .outcomes import AgentUnreachable
from .protocol import WebSocketProtocol
from .rates import RateConversion
from .recording import ConversationRecording
from .settings import DEFAULT_PARAMS, PCM16_24K, capabilities_of, checked, pieces, session_params
from .turn import Answer, TurnRules

AT_ONCE_PIECE_S = 0.5
"""``call`` cuts audio that is not paced into messages of this length: agents limit the size of a message."""


@documented
class WebSocketAgentAdapter:
    """Connects to a voice backend by a protocol that is passed in, or that a subclass is.

    ``async with adapter:`` connects and disconnects. With a nursery of your own: ``await nursery.start(adapter.run)``
    and ``await adapter.disconnect()``. One adapter holds one connection at a time, any number one after the other.

    ``audio_format`` is what this side speaks and hears, 24 kHz mono unless told otherwise; the adapter converts from
    and to the protocol's rate. None hears every chunk as the agent sent it.

    ``paced`` is how ``send_audio`` sends when it is not told. Paced, a recorded question leaves as it would be spoken,
    20 ms at a time: for an agent that finds the end of a turn by listening. Audio that is live leaves as it comes then.
    Not paced, all leaves at once: for an agent that is told by ``end_turn``. On a line that never falls silent
    (``WebSocketProtocol.is_continuous``) live audio must be paced: sent at once, each piece is followed by silence.

    Unread audio past ``max_unread_s`` is dropped, oldest first, and counted; so is, apart from it, what ``realtime``
    keeps until there is room to say it. ``params`` is for everything about the connection: headers, TLS, timeouts,
    pings.

    ``record=True`` keeps both sides for ``recording``, up to ``max_recording_s`` seconds of them.
    """

    capabilities: ClassVar[AdapterCapabilities] = AdapterCapabilities(input_formats=PCM16_24K, output_formats=PCM16_24K)
    """What its agents can be asked for; a subclass says its own."""

    def __init__(
        self,
        url: str,
        protocol: WebSocketProtocol | None = None,
        *,
        audio_format: AudioFormat | None = AGENT_FORMAT,
        paced: bool = True,
        record: bool = False,
        max_recording_s: float = 3600.0,
        max_unread_s: float = 600.0,
        params: WebsocketClientParams = DEFAULT_PARAMS,
    ) -> None:
        chosen = self if protocol is None and isinstance(self, WebSocketProtocol) else protocol
        if not isinstance(chosen, WebSocketProtocol):
            raise TypeError(
                f"{type(self).__name__} needs a WebSocketProtocol: pass one as the second argument, or subclass both "
                f"WebSocketAgentAdapter and WebSocketProtocol; given was {protocol!r}"
            )
        Address.parse(url)  # a wrong one is told here and not when dialling
        if max_unread_s <= 0 or max_recording_s <= 0:
            raise ValueError("max_unread_s and max_recording_s must be above 0 seconds")
        self.url = url
        self.protocol = chosen
        self.audio_format = audio_format
        self.paced = paced
        self._record = record
        self._max_recording_s = max_recording_s
        self._max_unread_s = max_unread_s
        self._params = checked(params)
        self._events: Broadcast[AgentEvent] = Broadcast(params.max_unread_bytes, event_size)
        self._conversation: Conversation | None = None
        self._running: Conversation | None = None
        self._context: AbstractAsyncContextManager[None] | None = None
        # Subclasses declare it for the class, as they always did; the instance knows what its protocol can.
        declared = type(self).capabilities
        is_default = declared is WebSocketAgentAdapter.capabilities
        vars(self)["capabilities"] = capabilities_of(None if is_default else declared, chosen)

    # Connecting

    async def __aenter__(self) -> Self:
        require_trio(type(self).__name__, MAIN_WAYS_OUT)
        if self._context is not None:
            raise LocalProtocolError(f"{type(self).__name__} is already entered: one connection at a time")
        self._context = context = self._connected()
        try:
            await context.__aenter__()
        except BaseException:
            self._context = None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context, self._context = self._context, None
        assert context is not None
        await context.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        ready = trio.Event()
        async with open_services() as services:
            services.start_soon(self._converse, ready.set, name=f"{type(self).__name__}.run")
            await ready.wait()
            yield
            await self.disconnect()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and stay connected until the agent ends it or ``disconnect`` is called; for ``nursery.start``."""
        require_trio(type(self).__name__, MAIN_WAYS_OUT)
        await self._converse(task_status.started)

    async def connect(self) -> NoReturn:
        """Not how it is done here: a connection has tasks, and tasks need an owner."""
        name = type(self).__name__
        raise LocalProtocolError(
            f"{name}.connect() cannot own the tasks of a connection: write `async with adapter:`, or with a nursery of "
            "your own `await nursery.start(adapter.run)` and later `await adapter.disconnect()`"
        )

    async def disconnect(self) -> None:
        """Send what is queued and the protocol's last messages, close, and wait for that. Not connected: nothing."""
        await trio.lowlevel.checkpoint()
        if self._running is not None:
            await self._running.disconnect()

    async def _converse(self, started: Callable[[], None]) -> None:
        if self._running is not None:
            raise LocalProtocolError(f"{type(self).__name__} is connected already: one connection at a time")
        conversation = self._running = self._new_conversation()
        try:
            with self._events.activity():
                await self._hold(conversation, started)
        finally:
            self._running = None
            conversation.over.set()

    async def _hold(self, conversation: Conversation, started: Callable[[], None]) -> None:
        session = None
        try:
            async with self._open_session(session_params(self._params, conversation, self._max_unread_s)) as session:
                self._conversation = conversation
                await conversation.run(session, started)
        except trio.Cancelled:
            conversation.fate.is_leaving = True
            raise
        except (TransportError, OSError, trio.TooSlowError) as exc:
            if session is not None:
                raise
            elapsed_s = trio.current_time() - conversation.fate.dialled_at
            what = f"no connection: {str(exc) or type(exc).__name__}"
            raise AgentUnreachable(what, peer=self.url, elapsed_s=elapsed_s) from exc
        finally:
            if session is not None:
                with trio.CancelScope(shield=True):  # the session is over: nothing in it waits
                    await conversation.learn_ending(session)

    def _open_session(self, params: WebsocketClientParams) -> AbstractAsyncContextManager[Session]:
        return WebsocketClientTransport(self.url, params).session()

    def _new_conversation(self) -> Conversation:
        now = trio.current_time()
        heard = self.audio_format or AGENT_FORMAT
        params = self._params
        dead_after_s = None
        if params.ping_interval is not None and params.ping_timeout is not None:
            dead_after_s = params.ping_interval + params.ping_timeout
        fate, inbox = Fate(self.url, now, dead_after_s), AgentInbox(self._max_unread_s, params.max_unread_bytes)
        recording = ConversationRecording(heard.sample_rate, now, self._max_recording_s) if self._record else None
        hearing = Hearing(RateConversion(self.audio_format), inbox, self._events, recording, fate)
        return Conversation(per_session(self.protocol), recording, params.close_timeout, inbox, fate, hearing)

    # Talking

    async def send_audio(self, chunk: AudioChunk, *, paced: bool | None = None) -> None:
        """Send audio of any rate; it returns when the audio is queued, and waits while more than a minute is.

        Paced, it leaves in real time, 20 ms at a time, the last piece completed with silence. Not paced, it leaves at
        once, in one message as the protocol makes it. Either way the order of the calls is kept, as messages can:
        what is sent at once between paced pieces that share a message follows it. Cancelled while waiting, it has sent
        nothing. The protocol's own error comes out here, or where the audio was queued, from the
        next ``recv_audio``.
        """
        if not isinstance(chunk, AudioChunk):
            raise TypeError(f"send_audio takes an AudioChunk, not {type(chunk).__name__}: AudioChunk(pcm)")
        await self._connection().sending.audio(chunk, paced=self.paced if paced is None else paced)

    async def end_turn(self) -> None:
        """Say that the caller's turn is complete, where the protocol has a message for that."""
        connection = self._connection()
        await connection.sending.messages(connection.protocol.encode_end(), "encode_end")

    async def interrupt(self) -> None:
        """Stop the agent, ahead of all that is queued. What it said before can still be received."""
        connection = self._connection()
        sent = self.capabilities.interruption and await connection.sending.messages(
            connection.protocol.encode_interrupt(), "encode_interrupt", urgent=True
        )
        if not sent:
            raise UnsupportedCapability(
                type(self).__name__,
                "interruption",
                "its protocol has no such message; send audio to talk over the agent",
            )
        connection.hearing.clear_playback(trio.current_time())

    async def truncate(self, utterance: str, played_s: float) -> bool:
        """Tell the agent how much of an utterance was heard; False if its protocol has no message for that."""
        connection = self._connection()
        messages = connection.protocol.encode_truncate(utterance, round(1000 * played_s))
        return await connection.sending.messages(messages, "encode_truncate", urgent=True)

    async def send_dtmf(self, digits: str) -> None:
        """Press keys of a telephone, in order with the audio."""
        connection = self._connection()
        for digit in digits:
            sent = self.capabilities.dtmf and await connection.sending.messages(
                connection.protocol.encode_dtmf(digit), "encode_dtmf"
            )
            if not sent:
                raise UnsupportedCapability(
                    type(self).__name__, "dtmf", "its protocol has no such message; send the keys' tones as audio"
                )

    async def send_message(self, message: Message, *, urgent: bool = False) -> None:
        """Send a message of the application's own as it is, in order with the audio or ahead of it.

        ``urgent`` is ahead of it.
        """
        await self._connection().sending.messages(message, "send_message", urgent=urgent)

    async def drain(self) -> None:
        """Wait until everything sent so far is on the wire."""
        await self._connection().sending.drain()

    # Listening

    async def recv_audio(self, timeout: float = float("inf")) -> AudioChunk:
        """Receive the next audio, waiting ``timeout`` seconds at most. Cancelling it loses nothing.

        The time counts from when this side's own speech, paced and queued by now, has left: a question that takes ten
        seconds to say leaves the agent its whole time to answer.

        There are four ways in which none comes: ``AgentSilent``, ``AgentFinished``, ``AgentConnectionLost``, and
        before that ``AgentUnreachable``, which connecting raises. What the protocol raised on a message comes out
        once, as itself, and the next call goes on with the next message.
        """
        connection = self._connection()
        messages = connection.hearing.messages
        chunk = await connection.receive(timeout)
        if chunk is None:
            raise connection.silent(timeout, connection.hearing.messages - messages)
        return chunk

    async def receive(self) -> AudioChunk | AgentEvent:
        """Receive the next of everything that the agent tells, audio and events in their order.

        It raises as ``recv_audio`` does when there is no more.
        """
        return await self._connection().next_item()

    def chunks(self) -> ChunkChannel:
        """Make a channel of the audio: ``async for chunk in adapter.chunks()``."""
        return ChunkChannel(self._connection())

    def events(self, buffer: int = 1024) -> Subscription[AgentEvent]:
        """Subscribe to what the agent tells besides audio; the channel ends with the connection.

        ``buffer`` is how many wait unread at most: past it the oldest are dropped, and an ``EventsLost`` in their
        place says how many.
        """
        return self._events.subscribe(buffer)

    async def call(
        self, audio: AudioChunk | bytes, *, rules: TurnRules | None = None, paced: bool | None = None
    ) -> Answer:
        """Say something and gather the answer. See ``TurnRules`` for when it is complete.

        No answer is one of the outcomes that ``recv_audio`` raises, with what had come in its ``answer``. Cancelled,
        what had come of the answer can still be received.

        ``rules`` None are those by default.
        """
        spoken = audio if isinstance(audio, AudioChunk) else self._chunk_of(audio)
        is_paced = self.paced if paced is None else paced
        connection = self._connection()

        async def send_turn() -> None:
            for piece in (spoken,) if is_paced else pieces(spoken, AT_ONCE_PIECE_S):
                await self.send_audio(piece, paced=is_paced)
            if not is_paced:
                await connection.sending.flush_at_once()
            await connection.sending.drain()

        return await Exchange(connection, rules or TurnRules()).run(send_turn, self.end_turn)

    # Looking

    @property
    def is_connected(self) -> bool:
        """Whether there is a conversation under way."""
        return self._running is not None and self._running is self._conversation and self._running.fate.ending is None

    @property
    def recording(self) -> ConversationRecording:
        """Both sides of the present or last conversation, for an adapter made with ``record=True``."""
        recording = self._connection().recording
        if recording is None:
            raise LocalProtocolError(f"nothing is recorded: make the {type(self).__name__} with record=True")
        return recording

    def statistics(self) -> Statistics:
        """What the present or last session has counted."""
        return self._connection().statistics()

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<{type(self).__name__} {shown_url(self.url)} by {type(self.protocol).__name__}, {state}>"

    def _connection(self) -> Conversation:
        if self._conversation is None:
            raise LocalProtocolError(
                f"{type(self).__name__} is not connected: write `async with adapter:` around this, or first "
                "`await nursery.start(adapter.run)`"
            )
        return self._conversation

    def _chunk_of(self, pcm: bytes) -> AudioChunk:
        spoken = self.audio_format or AGENT_FORMAT
        return AudioChunk(pcm, sample_rate=spoken.sample_rate, num_channels=spoken.num_channels)
