"""Voice inside FastAPI, for known users alone: a key buys a token of a minute, and the token opens the WebSocket.

API_KEYS=ada:secret,bob:hush python -m trio_transports.examples.fastapi_auth
curl -X POST -H "X-API-Key: secret" http://127.0.0.1:8000/token
"""

import hmac
import os
import time
from hashlib import sha256

import trio
from fastapi import FastAPI, Header, HTTPException, WebSocket
from hypercorn.config import Config

from trio_transports import AsgiWebsocketParams, AsgiWebsocketTransport, Session, TextFrame
from trio_transports.hosting import serve_asgi
from trio_transports.serializers.detect import DetectingFrameSerializer
from trio_transports.wire import Peer

SECRET = os.environ.get("TOKEN_SECRET", "").encode() or os.urandom(32)  # several processes have to share one
LIFETIME_S = 60
app = FastAPI()


def users() -> dict[str, str]:
    """Each key's user."""
    pairs = (pair.partition(":") for pair in os.environ.get("API_KEYS", "").split(",") if pair)
    return {key: user for user, _, key in pairs}


def token_for(user: str, *, now_s: float | None = None) -> str:
    """Make one: ``USER.EXPIRY.SIGNATURE``."""
    told = f"{user}.{int(now_s or time.time()) + LIFETIME_S}"
    return f"{told}.{hmac.new(SECRET, told.encode(), sha256).hexdigest()}"


def user_of(peer: Peer) -> str | None:
    """Whose token the caller brings, if it is one of ours and has not expired."""
    told, _, signature = (peer.query.get("token") or [""])[0].rpartition(".")
    if not hmac.compare_digest(hmac.new(SECRET, told.encode(), sha256).hexdigest().encode(), signature.encode()):
        return None
    user, _, expiry = told.rpartition(".")
    return user if int(expiry) > time.time() else None


async def is_known(peer: Peer) -> bool:
    """Asked before the WebSocket is accepted: a stranger gets 401, and no session."""
    return user_of(peer) is not None


PARAMS = AsgiWebsocketParams(audio_enabled=True, serializer=DetectingFrameSerializer(), authorize=is_known)


async def bot(session: Session) -> None:
    await session.output.send(TextFrame(text=f"hello {user_of(session.peer)}"))
    async for frame in session.input:
        await session.output.send(frame)


@app.post("/token")
async def token(x_api_key: str = Header()) -> dict[str, str]:
    user = next((user for key, user in users().items() if hmac.compare_digest(key.encode(), x_api_key.encode())), None)
    if user is None:
        raise HTTPException(401, "no such key")
    return {"token": token_for(user)}


@app.websocket("/ws")
async def endpoint(websocket: WebSocket) -> None:
    await AsgiWebsocketTransport(websocket, PARAMS).serve(bot)


async def main(port: int = 8000, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
    config = Config.from_mapping(bind=[f"127.0.0.1:{port}"])
    await serve_asgi(app, config, signals=True, drain=30, task_status=task_status)


if __name__ == "__main__":
    trio.run(main)
