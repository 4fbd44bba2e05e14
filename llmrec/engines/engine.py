"""What an engine does: log-probabilities of chosen tokens behind a prompt, and a text that goes on from it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llmrec.errors import LlmrecError


class EngineDown(LlmrecError):
    """The engine does not answer, or not in time: who asked goes on without it."""


class EngineRefused(LlmrecError):
    """The engine answers and will not do what it was asked: asking again would not help."""


@dataclass(frozen=True)
class Prompt:
    """Tokens of the served model, item words among them, and the pictures that stand in it.

    Each picture has one picture token, in the order of `pictures`; the engine makes of it as many places as the model
    wants. Pictures are files as they lie on the disk.
    """

    tokens: tuple[int, ...]
    pictures: tuple[bytes, ...] = ()


class Engine(Protocol):
    """vLLM over HTTP (`served.py`) or transformers in the process (`local.py`)."""

    async def logprobs(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of these tokens as the next one, over the whole vocabulary."""
        ...

    def write(self, prompt: Prompt, *, longest: int, temperature: float = 0.0) -> AsyncGenerator[str]:
        """The text that follows, piece by piece. Closing it early ends the work behind it."""
        ...

    async def ready(self) -> bool:
        """Whether it answers at all."""
        ...

    async def counters(self) -> Mapping[str, float]:
        """What it counts by itself, under vLLM's names; nothing where it counts nothing."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
