"""What all connections of one server share."""

import ssl
from typing import Any, final

from attrs import frozen
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper

from .counting import Counting
from .leaving import LeavingNotice


@final
@frozen(kw_only=True)
class Limits:
    """How long a peer may take for what it does, and what of HTTP it may speak."""

    write_timeout_s: float
    header_timeout_s: float
    body_timeout_s: float
    takes_h2c: bool


@final
@frozen(kw_only=True)
class Host:
    """One server, to its connections."""

    app: AppWrapper
    config: Config
    context: WorkerContext
    state: dict[str, Any]
    ssl_context: ssl.SSLContext | None
    limits: Limits
    leaving: LeavingNotice
    counting: Counting
