"""How the gateway runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from llmrec.config import read_yaml
from llmrec.environment import PORT
from llmrec.errors import ConfigError
from llmrec.gateway.limits import Limits


@dataclass(frozen=True)
class ServeRecipe:
    """How a model is served."""

    host: str = "127.0.0.1"
    """The address to listen on; one that others can reach needs keys."""
    port: int = PORT
    """The port to listen on; 0 takes a free one."""
    name: str = "llmrec"
    """What clients call the model."""
    engine: Literal["auto", "vllm", "local"] = "auto"
    """vllm starts vLLM as a process, local computes in this one, auto takes vLLM where it is installed."""
    engine_url: str | None = None
    """A vLLM that runs already, under its own name `model` and with --enable-scale-out; nothing is started then."""
    vllm: Mapping[str, Any] = field(default_factory=dict)
    """vLLM's own options, and under `environment` variables for it; they come before those of the file of --vllm."""
    device: str = "auto"
    """Where the local engine computes."""
    candidates: int = 100
    """How many candidates the model scores for an answer."""
    patience: float = 2.0
    """Seconds that the model has to score them; after that the retriever's order is the answer, and it says so."""
    writing: float = 30.0
    """Seconds in which the engine has to write the next word."""
    draining: int = 30
    """Seconds that open streams have to end when the server is told to stop."""
    events: str | None = None
    """Where events are kept: sqlite:///FILE or postgresql+psycopg://…; by default a file beside the index."""
    keys: Path | None = None
    """A file of API keys, made by llmrec keys; without it everybody who reaches the port may do everything."""
    dataset: Path | None = None
    """The dataset that the index was made of, if it was moved."""
    state: Path | None = None
    """A folder for events, uploaded pictures and vLLM's log; by default INDEX.gateway beside the index."""
    page: bool = True
    """Whether a page for people is served at `/`; what it asks for needs keys where there are some."""
    limits: Limits = field(default_factory=Limits)
    """What is taken from anybody."""

    def __post_init__(self) -> None:
        for name, low, high in (("port", 0, 65_535), ("candidates", 1, 1_000), ("draining", 0, 3_600)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}: give {low} to {high:,}")
        environment = self.vllm.get("environment") or {}
        if not isinstance(environment, Mapping) or not all(isinstance(value, str) for value in environment.values()):
            raise ConfigError("vllm.environment maps names to texts: put numbers into quotes")
        for name in ("patience", "writing"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it has to be above 0")


def with_vllm(recipe: ServeRecipe, file: Path | None) -> ServeRecipe:
    """The recipe with vLLM's options from a file, where the recipe does not say otherwise."""
    if file is None:
        return recipe
    given = read_yaml(file)
    both = {**(given.get("environment") or {}), **(recipe.vllm.get("environment") or {})}
    return replace(recipe, vllm={**given, **recipe.vllm, "environment": both})
