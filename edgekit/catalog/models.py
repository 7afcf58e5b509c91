"""Names of models to what they are: a shipped pocket model, a shape, a hub id, a local folder.

`pocket-3m` ships with the kit. `shape:qwen2.5-0.5b` is a published architecture with random weights: it costs what the
real model costs in time, memory and energy, and says nothing about quality. `owner/name` is a hub id and is loaded from
the local hub cache, or downloaded where there is a network. A path (starting with `/`, `./` or `~`) is a model folder.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit import store
from edgekit.errors import InvalidRequest


class ModelError(InvalidRequest):
    """A model name is unknown, or what it names is unusable; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of the Llama kind, as published. Sizes count elements; `tied`: output head and embedding are one."""

    family: Literal["llama", "qwen2"]
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    vocabulary: int
    tied: bool
    rope_theta: float
    norm_eps: float
    context: int
    source: str

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        bias = self.head_dim * (self.heads + 2 * self.kv_heads) if self.family == "qwen2" else 0
        layer = attention + bias + 3 * self.width * self.mlp_width + 2 * self.width
        return self.layers * layer + self.width + self.embeddings * (1 if self.tied else 2)

    @property
    def embeddings(self) -> int:
        """Number of weights of one embedding matrix."""
        return self.vocabulary * self.width

    @property
    def read_per_step(self) -> int:
        """Weights that one decode step reads: all but the input embedding, of which it reads one line.

        A tied embedding is read whole, as the output head.
        """
        return self.parameters - (0 if self.tied else self.embeddings - self.width)

    def kv_elements_per_token(self) -> int:
        """Keys and values kept for one token of context."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def to_hf(self) -> dict:
        """The same facts as a Hugging Face `config.json`."""
        model = {"llama": "Llama", "qwen2": "Qwen2"}[self.family]
        return dict(
            model_type=self.family, architectures=[f"{model}ForCausalLM"], num_hidden_layers=self.layers,
            hidden_size=self.width, num_attention_heads=self.heads, num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim, intermediate_size=self.mlp_width, vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied, rope_theta=self.rope_theta, rms_norm_eps=self.norm_eps,
            max_position_embeddings=self.context, hidden_act="silu", torch_dtype="bfloat16",
            bos_token_id=None, eos_token_id=None)

    @classmethod
    def from_hf(cls, config: dict, source: str) -> Architecture:
        """Read a `config.json`. Raises ModelError for an architecture that is neither Llama's nor Qwen2's.

        Mistral's without a sliding window (stated: a config without the entry means a window) is Llama's.
        """
        family = config.get("model_type")
        if family == "mistral" and config.get("sliding_window", 0) is None:
            family = "llama"
        if family not in ("llama", "qwen2"):
            raise ModelError(f"{source}: expected model_type llama or qwen2, got {family!r}; the GGUF conversion and the "
                             "byte counts know only these")
        needed = ("num_attention_heads", "hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size", "rms_norm_eps",
                  "max_position_embeddings")
        if missing := [name for name in needed if name not in config]:
            raise ModelError(f"{source}: expected {missing[0]}, which every {family} config has; the file is damaged")
        heads, width = config["num_attention_heads"], config["hidden_size"]
        rope = config.get("rope_parameters") or {}
        return cls(family=family, layers=config["num_hidden_layers"], width=width, heads=heads,
                   kv_heads=config.get("num_key_value_heads") or heads,
                   head_dim=config.get("head_dim") or width // heads, mlp_width=config["intermediate_size"],
                   vocabulary=config["vocab_size"], tied=bool(config.get("tie_word_embeddings", False)),
                   rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
                   norm_eps=float(config["rms_norm_eps"]), context=config["max_position_embeddings"], source=source)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model name means. `identity` is the content that an artifact made of it is addressed by."""

    name: str
    kind: Literal["pocket", "shape", "hub", "folder"]
    architecture: Architecture
    folder: Path | None
    identity: str

    def require_weights(self, purpose: str) -> None:
        """Raise ModelError if this is a shape: its weights are random, so `purpose` would measure noise."""
        if self.kind == "shape":
            raise ModelError(f"{self.name} has random weights, so {purpose} cannot be measured on it; shapes serve speed, "
                             f"memory and energy only: name a pocket model ({', '.join(pocket_names())}), a hub id or a "
                             "folder")


def architectures() -> dict[str, Architecture]:
    """Published architectures by name, from data/published/architectures.yaml."""
    import yaml

    facts = yaml.safe_load((store.ROOT / "data/published/architectures.yaml").read_text(encoding="utf-8"))
    fields = {field.name for field in dataclasses.fields(Architecture)}
    return {name: Architecture(**{k: v for k, v in entry.items() if k in fields}) for name, entry in facts.items()}


def pocket_names() -> list[str]:
    """Shipped pocket models, smallest first."""
    folders = (store.ROOT / "data/models").glob("pocket-*/config.json")
    return [f.parent.name for f in sorted(folders, key=lambda f: sum(w.stat().st_size for w in _weights(f.parent)))]


def card(name: str) -> dict:
    """The model card of a shipped pocket model. Raises ModelError if there is none."""
    file = store.ROOT / "data/models" / name / "card.json"
    if not file.is_file():
        raise ModelError(f"{name} has no card.json in {file.parent}; shipped: {', '.join(pocket_names())}")
    return _read_json(file)


def is_hub_id(name: str) -> bool:
    """Whether `name` may need the network: it is then looked up when its turn comes, and not when the params are read."""
    return name.count("/") == 1 and not name.startswith(("/", ".", "~"))


def resolve(name: str) -> ModelSpec:
    """The model that `name` names. Raises ModelError: unknown (with the known ones), no weights, not to be had."""
    if name.startswith("shape:"):
        known = architectures()
        shape = name.removeprefix("shape:")
        if shape not in known:
            raise ModelError(f"unknown shape {name!r}; known: {', '.join('shape:' + n for n in known)}")
        facts = json.dumps(dataclasses.asdict(known[shape]), sort_keys=True)
        return ModelSpec(name, "shape", known[shape], None, hashlib.sha256(facts.encode()).hexdigest())
    if name.startswith("pocket-"):
        folder = store.ROOT / "data/models" / name
        if not folder.is_dir():
            raise ModelError(f"unknown pocket model {name!r}; shipped: {', '.join(pocket_names())}")
        return _from_folder(name, "pocket", folder)
    if name.startswith(("/", "./", "../", "~")):
        return _from_folder(name, "folder", Path(name).expanduser())
    if is_hub_id(name):
        return _from_folder(name, "hub", _hub_folder(name))
    raise ModelError(f"unknown model {name!r}; expected one of {', '.join(pocket_names())}, shape:<architecture> "
                     f"({', '.join(architectures())}), a hub id owner/name, or a folder (/…, ./…, ~…)")


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _from_folder(name: str, kind: str, folder: Path) -> ModelSpec:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{name}: no config.json in {folder}; expected a model folder in Hugging Face format")
    weights = _weights(folder)
    if not weights:
        raise ModelError(f"{name}: no weights in {folder} (expected *.safetensors); the download or checkout is incomplete: "
                         "fetch it again")
    card = folder / "card.json"
    if kind == "pocket" and not card.is_file():
        raise ModelError(f"{name}: no card.json in {folder}; restore the folder, or retrain it: edgekit models train {name}")
    if card.is_file() and (found := damage(name, folder)):
        raise ModelError(found[0])
    config = folder / "config.json"
    architecture = Architecture.from_hf(_read_json(config), source=str(config))
    return ModelSpec(name, kind, architecture, folder, _identity([config, *weights]))


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); restore the folder") from error


def _identity(files: list[Path]) -> str:
    """Hash of names and contents. Weights of gigabytes are read once for each process, size and time of change."""
    return _hash_unchanged(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@functools.lru_cache(maxsize=64)
def _hash_unchanged(files: tuple[tuple[Path, int, int], ...]) -> str:
    return store.hash_files(file for file, _, _ in files)


def damage(name: str, folder: Path) -> list[str]:
    """What is wrong with a model folder that has a card, one sentence a file; empty if all are the card's."""
    found = []
    for file, expected in _read_json(folder / "card.json").get("sha256", {}).items():
        path = folder / file
        came = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        if came != expected:
            wrong = "is missing" if came is None else (f"has the wrong content (card says sha256 {expected[:12]}…, came "
                                                       f"{came[:12]}…)")
            found.append(f"{name}: {file} {wrong}; restore {folder}, or retrain it: edgekit models train {name}")
    return found


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.safetensors", "*.json", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{name}: not in the local hub cache and not to be had from the hub ({reason}); connect to the "
                         "network, run `hf download` beforehand, or name a local folder") from error
