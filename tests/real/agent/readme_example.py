import json
from base64 import b64decode, b64encode

import trio

from trio_transports.agent import Answer, AudioChunk, WebSocketAgentAdapter, WebSocketProtocol, silent_chunk


class MyProtocol(WebSocketProtocol):
    def encode_audio(self, audio: bytes) -> str:
        return json.dumps({"speech": b64encode(audio).decode()})

    def decode_response(self, message: str | bytes) -> AudioChunk | None:
        speech = json.loads(message).get("speech")
        return None if speech is None else AudioChunk(b64decode(speech))


async def main(url: str = "ws://127.0.0.1:8765", recording: str = "conversation.wav") -> Answer:
    """Say half a second of silence, gather what the agent answers, and keep both sides as a stereo WAV file."""
    async with WebSocketAgentAdapter(url, MyProtocol(), record=True) as adapter:
        answer = await adapter.call(silent_chunk(0.5))
    await trio.Path(recording).write_bytes(adapter.recording.wav())
    return answer


if __name__ == "__main__":
    heard = trio.run(main)
    print(f"{heard.duration_s:.1f} s of answer, ended by {heard.ended_by}")
