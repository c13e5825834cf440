"""``serve``: a bot on one port, for everybody who calls."""

import json
import os
import signal
from functools import partial
from pathlib import Path

from attrs import frozen

from .. import __version__
from ..params import AsgiWebsocketParams
from ..playground.routes import bot_params
from ..playground.serving import listen, seen_from_here
from ..serve.app import Bot
from ..serve.options import ServeOptions
from ..serve.params_file import ParamsFileError, load_params
from ..serve.running import serve_alone
from ..serve.supervising import supervise
from ..serve.tls_files import TLSFilesError, check_tls_files
from . import failure


def run(
    *,
    target: str | None,
    host: str,
    port: int,
    workers: int | None,
    reload: bool,
    params: str | None,
    tls: list[str] | None,
    drain: float,
    public_url: str | None,
    host_names: list[str],
    allowed_origins: list[str],
    max_sessions: int,
    show_sessions: bool,
    otel: bool,
    log_level: str,
    as_json: bool,
) -> int:
    if reload and workers is not None:
        raise failure.Failure("--reload and --workers exclude each other", exit_code=failure.WRONG_ARGUMENTS)
    options = ServeOptions(
        target=target,
        host=host,
        params_file=params,
        tls=tls,
        drain_s=drain,
        public_url=public_url,
        host_names=host_names,
        allowed_origins=allowed_origins,
        max_sessions=max_sessions,
        shows_sessions=show_sessions,
        traces=otel,
        log_level=log_level,
    )
    _check_files(options)
    _check_extras(options)
    options.set_up_logging()
    second = failure.run(partial(_serve, options, port, workers, reloads=reload, as_json=as_json))
    if second is None:
        return 0
    signal.signal(second, signal.SIG_DFL)
    signal.raise_signal(second)
    return 128 + second  # process 1 of a container is not ended by a signal of its own


def _check_files(options: ServeOptions) -> None:
    """What is wrong with a file is told before anything runs."""
    for file in options.tls or ():
        if not Path(file).is_file():
            raise failure.Failure(f"--tls: there is no file {file}", exit_code=failure.WRONG_ARGUMENTS)
    if options.tls is not None:
        try:
            check_tls_files(*options.tls)
        except TLSFilesError as exc:
            raise failure.Failure(str(exc)) from exc
    if options.params_file is not None:
        try:
            load_params(Path(options.params_file), AsgiWebsocketParams, bot_params())
        except ParamsFileError as exc:
            raise failure.Failure(str(exc).replace("\n", "; ")) from exc


def _check_extras(options: ServeOptions) -> None:
    try:
        options.observers()
    except ImportError as exc:
        raise failure.Failure(f"--otel: {exc}", exit_code=failure.WRONG_ARGUMENTS) from exc


async def _serve(
    options: ServeOptions, port: int, workers: int | None, *, reloads: bool, as_json: bool
) -> signal.Signals | None:
    """Serve until told to leave; returned is the signal that the process is to end by, if it was told twice."""
    second: signal.Signals | None = None
    try:
        listening = await listen(options.host, port)
    except OSError as exc:
        raise failure.cannot_listen(exc, options.host, port) from exc
    screen = ReadyNotice(options, seen_from_here(listening), workers, reloads, as_json)
    with listening:
        if workers is None and not reloads:
            await serve_alone(options, listening, lambda bot: screen.show(bot))
        else:
            second = await supervise(options, listening, workers or 1, partial(screen.show, None), reloads=reloads)
    if as_json and second is None:
        print(json.dumps({"event": "ended"}), flush=True)
    return second


@frozen
class ReadyNotice:
    """What is said once calls are taken: where to open what."""

    options: ServeOptions
    address: str
    workers: int | None
    reloads: bool
    as_json: bool

    def show(self, bot: Bot | None) -> None:
        secure = "s" if self.options.tls is not None else ""
        page, ws = f"http{secure}://{self.address}", f"ws{secure}://{self.address}/ws"
        if self.as_json:
            told = {"event": "ready", "url": page, "ws_url": ws, "pid": os.getpid(), "workers": self.workers}
            print(json.dumps(told), flush=True)
            return
        name = bot.name if bot is not None else self.options.target or "the built-in echo bot"
        print("\n".join(self._lines(name, page, ws)), flush=True)

    def _lines(self, name: str, page: str, ws: str) -> list[str]:
        options = self.options
        public = (options.public_url or "").rstrip("/")
        how = f", {self.workers} workers" if self.workers is not None else ""
        how += ", loaded anew when a file changes" if self.reloads else ""
        lines = [
            f"trio-transports {__version__} serves {name}{how}",
            "",
            f"  open in a browser   {public or page}/",
            f"  call                {_ws(public) or ws}    any dialect; try: trio-transports call {ws} --in a.wav",
            f"  Pipecat's clients   {public or page}/start",
            f"  telephones          {public or 'https://YOUR.PUBLIC.NAME'}/answer/twilio    or telnyx, plivo, exotel, "
            "vonage, signalwire, relay",
            *(
                []
                if public
                else ["                      once it goes by that name: --public-url https://YOUR.PUBLIC.NAME"]
            ),
            f"  health, metrics     {page}/health, {page}/metrics",
            "",
        ]
        if options.host in ("0.0.0.0", "::"):
            lines.insert(
                -1, "  Everybody who reaches this machine can call. A microphone needs https, but on this machine."
            )
        lines.append(
            "Ctrl-C ends all calls, and so does a change."
            if self.reloads
            else f"Ctrl-C lets calls finish, for {options.drain_s:g} s at most; once more ends them."
        )
        return lines


def _ws(public: str) -> str:
    return f"{public.replace('http', 'ws', 1)}/ws" if public else ""
