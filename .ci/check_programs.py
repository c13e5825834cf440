"""Run the programs of the README, the guides and the examples as they stand: ``check_programs.py TREE [WHEEL]``.

It is run by the Python of an environment that holds the wheel with all extras, and pytest, from outside of the tree.

Rules
1. Programs are started as a reader starts them, from a file or by ``python -m``, on the ports that are written in them.
2. A server has to listen, and to end with 0 when it is told SIGTERM. Any other program has to end by itself with 0;
   what it talks to is a small peer, or an example.
3. Blocks of the guides that are no programs, and have tests instead, are run by ``tests/docs`` alone.
4. With the wheel named nothing is done but this: the first bot is timed, in an environment of its own with the wheel
   alone, from nothing to a caller that hears an answer.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

LIMIT_S = 60
HERE = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"TWILIO_ACCOUNT_SID": "AC42", "TWILIO_AUTH_TOKEN": "12345", "API_KEYS": "ada:secret"}
SERVERS = {"server": 8765, "pipeline": 8765, "serializer": 8765, "twilio": 8765, "first_server": 8765, "fastapi": 8000}
"""The README's and the guides' programs that serve, and where; the others end by themselves."""
ASKING = ("client", "agent")
"""Those that need somebody to talk to at port 8765."""
EXAMPLES: dict[str, tuple[tuple[str, ...], int]] = {
    "echo": ((), 8765),
    "ivr": ((), 8765),
    "voice_bot": ((), 8765),
    "bridge": ((), 8765),
    "realtime": ((), 8765),
    "recording": ((), 8765),
    "bridged_bot": (("8765",), 8765),
    "fastapi_auth": ((), 8000),
}
PEER = """
import base64, json
import trio
from trio_websocket import ConnectionClosed, serve_websocket

SPEECH = json.dumps({"speech": base64.b64encode(bytes([16, 39]) * 12000).decode()})

async def answer(request):
    connection = await request.accept()
    heard = 0
    try:
        while True:
            message = await connection.get_message()
            heard += 1
            if "speech" not in message:
                await connection.send_message(message)
            elif heard == 25:
                await trio.sleep(0.5)
                await connection.send_message(SPEECH)
    except ConnectionClosed:
        pass

trio.run(serve_websocket, answer, "127.0.0.1", 8765, None)
"""
"""It says back what it hears, and answers half a second of the agent protocol's speech with half a second of tone."""


def fail(text: str) -> None:
    sys.exit(f"check_programs: {text}")


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(command: list[str], port: int, folder: Path, *, ends_well: bool = True) -> Iterator[None]:
    """Rule 2, for a server."""
    if listens(port):
        fail(f"port {port} is taken by something else")
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=out, stderr=out)
    try:
        until = time.monotonic() + LIMIT_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > until:
                fail(f"{command} does not listen on {port}:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT_S)
    if ends_well and code:
        fail(f"{command} ended with {code}:\n{log.read_text()}")


def finish(command: list[str], folder: Path) -> None:
    """Rule 2, for a program that ends."""
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        fail(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def told(name: str, run: Callable[[], None]) -> None:
    began = time.monotonic()
    run()
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def write_programs(tree: Path, folder: Path) -> list[Path]:
    sys.path.insert(0, str(tree))  # for tests.readme alone: the programs are processes of their own
    from tests.readme import write_all

    sys.path.remove(str(tree))
    return write_all(folder)


def program(path: Path, folder: Path) -> None:
    command, name = [sys.executable, str(path)], path.stem.removeprefix("readme_")
    if name == "bot":
        with serving([str(HERE / "trio-transports"), "serve", str(path)], 8765, folder):
            hear(HERE, folder)
    elif name in SERVERS:
        with serving(command, SERVERS[name], folder):
            pass
    elif name in ASKING:
        with serving([sys.executable, "-c", PEER], 8765, folder, ends_well=False):
            finish(command, folder)
    else:
        finish(command, folder)


def hear(where: Path, folder: Path) -> None:
    """Call the bot at port 8765: whoever hears nothing but silence fails."""
    question(folder)
    call = [
        str(where / "trio-transports"),
        "call",
        "ws://127.0.0.1:8765/ws",
        "--in",
        "hello.wav",
        "--out",
        "answer.wav",
    ]
    finish(call, folder)


def question(folder: Path) -> None:
    """The page's own sentence, and after it the silence that tells a bot that the caller has ended."""
    with wave.open(str(files("trio_transports.playground").joinpath("page", "hello.wav"))) as spoken:
        parameters, pcm = spoken.getparams(), spoken.readframes(spoken.getnframes())
    with wave.open(str(folder / "hello.wav"), "wb") as asked:
        asked.setparams(parameters)
        asked.writeframes(pcm + bytes(parameters.sampwidth * parameters.nchannels * parameters.framerate * 2))


def example(name: str, folder: Path) -> None:
    arguments, port = EXAMPLES[name]
    with serving([sys.executable, "-m", f"trio_transports.examples.{name}", *arguments], port, folder):
        pass


def pipecat_client(folder: Path) -> None:
    """It asks the example of an echo."""
    question(folder)
    with serving([sys.executable, "-m", "trio_transports.examples.echo"], 8765, folder):
        asking = [sys.executable, "-m", "trio_transports.examples.pipecat_client", "ws://127.0.0.1:8765"]
        finish([*asking, "hello.wav", "answer.wav"], folder)


def scaling_redis(folder: Path) -> None:
    """One bot and the edge, joined by a Redis of their own."""
    base, url = [sys.executable, "-m", "trio_transports.examples.scaling_redis"], "redis://127.0.0.1:6399"
    with (
        serving(["redis-server", "--port", "6399", "--save", "", "--dir", str(folder)], 6399, folder),
        serving([*base, "edge", url, "8765", "bot-1"], 8765, folder),
    ):
        pass


def first_bot(wheel: Path, bot: Path, folder: Path) -> None:
    """Rule 4: what a newcomer does, from nothing."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "new")], check=True)
    where = folder / "new" / "bin"
    subprocess.run([str(where / "pip"), "install", "--quiet", str(wheel)], check=True)
    began = time.monotonic()
    with serving([str(where / "trio-transports"), "serve", str(bot)], 8765, folder):
        print(f"  the page is there {time.monotonic() - began:.1f} s after `serve`", flush=True)
        hear(where, folder)


def main() -> None:
    tree, *wheel = map(Path, sys.argv[1:])
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_programs(tree.resolve(), folder)
        bot = next(path for path in paths if path.stem == "readme_bot")
        shutil.copy(bot, folder / "bot.py")
        if wheel:
            told("from nothing to a bot that answers", lambda: first_bot(wheel[0], folder / "bot.py", folder))
            return
        for path in [path for path in paths if path.stem.startswith("readme_")]:
            told(path.stem, lambda path=path: program(path, folder))
        listed = {path.stem for path in (tree / "trio_transports" / "examples").glob("*.py") if path.stem[0] != "_"}
        known = {*EXAMPLES, "pipecat_client", "scaling_redis"}
        if listed != known:
            fail(f"examples that are not run here, or are gone: {sorted(listed ^ known)}")
        for each in EXAMPLES:
            told(f"example {each}", lambda each=each: example(each, folder))
        told("example pipecat_client", lambda: pipecat_client(folder))
        told("example scaling_redis", lambda: scaling_redis(folder))
        finish([sys.executable, "-m", "trio_transports.examples"], folder)
        finish([str(HERE / "trio-transports"), "docs", "--out", "page.html"], folder)
        print("documentation:", (folder / "page.html").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
