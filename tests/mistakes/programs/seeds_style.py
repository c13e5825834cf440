"""A program as the replaced systems' users write it, lists included: mypy --strict and pyright find nothing in it."""

import ssl
from functools import partial

import trio

from trio_transports import (
    AsgiWebsocketParams,
    AudioFrame,
    Connected,
    Disconnected,
    Frame,
    ImageFrame,
    Session,
    SessionTimeout,
    SpriteFrame,
    TextFrame,
    WebsocketClientParams,
    WebsocketClientTransport,
    WebsocketServerParams,
    WebsocketServerTransport,
)
from trio_transports.agent import AdapterCapabilities, AudioChunk, WebSocketAgentAdapter, WebSocketProtocol
from trio_transports.audio.mixer import SoundMixer
from trio_transports.bus import BusFrameMessage, BusTTSSpeakMessage, WebSocketProxyClient
from trio_transports.pipeline import Pipeline, Stage
from trio_transports.pipeline.stages import sentences
from trio_transports.serializers import JSONFrameSerializer
from trio_transports.serializers.protobuf import ProtobufFrameSerializer
from trio_transports.vad import EnergyVADAnalyzer, VADParams

server_params = WebsocketServerParams(
    audio_in_enabled=True,
    audio_out_enabled=True,
    audio_out_destinations=["music", "speech"],
    audio_out_mixer={"music": SoundMixer({"office": "office.wav"}, "office")},
    video_out_enabled=True,
    video_out_destinations=["screen"],
    vad_enabled=True,
    vad_analyzer=EnergyVADAnalyzer(VADParams(stop_secs=0.4)),
    vad_audio_passthrough=True,
    serializer=ProtobufFrameSerializer(),
    session_timeout=180,
    add_wav_header=False,
    allowed_origins=["https://app.example"],
    subprotocols=["voice.v1"],
)
client_params = WebsocketClientParams(
    audio_in_enabled=True,
    additional_headers={"Authorization": "Bearer x"},
    ssl_context=ssl.create_default_context(),
    subprotocols=["voice.v1"],
    serializer=JSONFrameSerializer,
)
app_params = AsgiWebsocketParams(serializer=JSONFrameSerializer(), allowed_origins={"https://app.example"})
picture = ImageFrame(image=b"\0" * 12, size=(2, 2))
sprite = SpriteFrame(images=[picture, picture])


class MyProtocol(WebSocketProtocol):
    def encode_audio(self, audio: bytes) -> bytes:
        return audio

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        return AudioChunk(message) if isinstance(message, bytes) else None


class MyAdapter(WebSocketAgentAdapter):
    capabilities = AdapterCapabilities(
        streaming_transcripts=False,
        native_vad=False,
        dtmf=False,
        input_formats=["pcm16/24000"],
        output_formats=["pcm16/24000"],
    )


proxy = WebSocketProxyClient(
    "gate",
    url="ws://127.0.0.1:8765",
    remote_worker_name="there",
    local_worker_name="here",
    forward_messages=[BusFrameMessage, BusTTSSpeakMessage],
    headers={"X-Token": "x"},
)


def shout(frame: Frame) -> Frame | None:
    return TextFrame(text=frame.text.upper()) if isinstance(frame, TextFrame) else frame


def twice(frame: Frame) -> list[Frame]:
    return [frame, frame] if isinstance(frame, AudioFrame) else [frame]


stages: list[Stage] = [shout, twice]
stages.append(sentences())


async def handler(session: Session) -> None:
    await Pipeline([shout, twice, sentences()], allow_interruptions=True).run(session.input, session.output)
    await session.output.send_message({"type": "done", "words": ["a", "b"]})


async def ask(adapter: MyAdapter) -> AudioChunk:
    async with adapter:
        await adapter.send_audio(AudioChunk(bytes(480)))
        return await adapter.recv_audio(timeout=5)


async def main() -> None:
    transport = WebsocketServerTransport(params=server_params, host="0.0.0.0", port=8765)
    events = transport.events()
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(partial(transport.serve, handler, signals=True))
        print(ready.port)
        async for event in events:
            match event:
                case Connected(session=session):
                    print("client connected", session.peer.address)
                case Disconnected(session=session, code=code, initiator=initiator):
                    print("client disconnected", code, initiator)
                case SessionTimeout():
                    print("session timeout")
                case _:
                    pass


async def dial() -> None:
    async with WebsocketClientTransport("wss://127.0.0.1:8765", client_params).session() as session:
        async for frame in session.input:
            match frame:
                case AudioFrame():
                    await session.output.send(frame)
                case TextFrame(text=text):
                    print(text)
                case _:
                    pass


if __name__ == "__main__":
    trio.run(main)
