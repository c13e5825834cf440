"""The access log of serve_asgi: no token in it, and no line that a caller made up."""

import logging
from typing import Any

import pytest
from hypercorn.config import Config
from hypercorn.logging import Logger

from trio_transports.hosting.access_log import guard_access_log

SECRET = "s3cr3t"
SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "scheme": "http",
    "method": "GET",
    "path": "/x\nFAKE all is well",
    "query_string": f"token={SECRET}\xff".encode("latin-1"),
    "headers": [
        (b"referer", f"https://app.example/page?token={SECRET}".encode()),
        (b"user-agent", b"curl\x85FAKE\x9b2J"),
        (b"authorization", b"Bearer of good news"),
    ],
    "client": ("10.0.0.7", 4711),
}


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class LoggerOfTheUser(Logger):
    """One that writes its lines in its own way."""

    async def access(self, request: Any, *rest: object) -> None:  # noqa: ANN401 - a scope
        assert self.access_logger is not None
        self.access_logger.info(f"{request['path']} {request['query_string']} {dict(request['headers'])}")


async def log_request(config: Config, response: dict[str, Any] | None, **changed: object) -> None:
    """As hypercorn does it at the end of a request."""
    log: Any = config.log
    await log.access({**SCOPE, **changed}, response, 0.1)


def configured(**settings: object) -> tuple[Config, list[str]]:
    handler, logger = Lines(), logging.Logger("access")
    logger.addHandler(handler)
    config: Config = Config.from_mapping({"accesslog": logger, **settings})
    return config, handler.lines


ALL = {"access_log_format": '%(h)s %(r)s %(R)s %(U)s %(Uq)s "%(q)s" %(f)s %(a)s %({authorization}i)s'}


@pytest.mark.parametrize("settings", [{}, ALL, {"logger_class": LoggerOfTheUser}], ids=["default", "all", "own"])
async def test_each_request_is_one_line_without_its_query(settings: dict[str, object]) -> None:
    """Twice, on a configuration that has been served before; what was there is said, escaped."""
    config, lines = configured(**settings)
    for turn in (1, 2):
        guard_access_log(config)
        await log_request(config, {"status": 200, "headers": []})
        assert len(lines) == turn
        assert lines[-1].isprintable()
        assert SECRET not in lines[-1]
        assert r"/x\nFAKE all is well" in lines[-1]
        assert "https://app.example/page?..." in lines[-1]
    assert lines[0] == lines[1]


async def test_what_the_format_names_is_said() -> None:
    """A query is said to have been there, and a header is shown to whoever asks for it."""
    config, lines = configured(**ALL)
    guard_access_log(config)
    await log_request(config, None)
    await log_request(config, None, query_string=b"")
    assert '"..."' in lines[0]
    assert '""' in lines[1]
    assert all("Bearer of good news" in line for line in lines)


async def test_without_an_access_log_nothing_is_written() -> None:
    """As it is unless somebody asks for one."""
    config = Config()
    guard_access_log(config)
    await log_request(config, None)
