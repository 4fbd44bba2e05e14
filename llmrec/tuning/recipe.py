"""What a tuning run is made of: one dataclass a section of the YAML file, a sentence under each field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llmrec.errors import ConfigError
from llmrec.examples import ExampleRecipe
from llmrec.modeling.kinds import KINDS


@dataclass(frozen=True)
class AdapterRecipe:
    """What of the language model is tuned."""

    kind: Literal["lora", "dora", "ia3", "prompt", "full", "frozen"] = "lora"
    """LoRA, DoRA, IA3, a soft prompt, all weights, or none (then the item words alone learn)."""
    targets: tuple[str, ...] = ()
    """The language model's linear layers that are adapted, such as q_proj and v_proj; without any, all of them."""
    layers: int = 0
    """How many of the language model's last layers are tuned; 0 for all. What lies below costs no way back."""
    rank: int = 16
    """Rank of LoRA and DoRA."""
    alpha: int = 32
    """What LoRA's product is scaled by, over its rank."""
    dropout: float = 0.05
    """Dropout before LoRA."""
    tokens: int = 16
    """Length of the soft prompt."""

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ConfigError(f"adapter.layers is {self.layers}: it should be 0 for all, or a number of the last")


@dataclass(frozen=True)
class WordRecipe:
    """How items become words of the model."""

    content: tuple[str, ...] = KINDS
    """What an item's word is made of, all or some: picture and text (the index's vectors), sight (what the model itself
    sees of the picture), told (what these tell in the words that reviews share), collaborative (the company it keeps)
    and popularity."""
    collaborative: int = 128
    """Dimensions of the collaborative vectors."""
    width: int = 768
    """Width of the projectors' hidden layer."""
    rank: int = 256
    """Dimensions in which items are scored."""
    positions: int = 1
    """How many input positions an item takes in a line, each with a vector of its own; it is answered by one."""
    dropout: float = 0.1
    """Share of the content's values that are dropped in training."""
    forget: float = 0.2
    """How often a whole kind of content is left out in training, so that new items do without."""
    learnt: bool = False
    """Whether trained items get a free vector of their own besides; new items have none."""
    warm: int = 12
    """Passes over the histories in which a light reader teaches the words before the model is tuned; 0 for none."""
    masked: float = 0.0
    """Share of a history's items that are left out in those passes and guessed from all others, before and after."""
    taught: float = 0.5
    """Share of the walks' loss that is the light reader's opinion of all items, not the one item that was taken."""
    still: bool = False
    """Whether the projectors stand still once they are warm, and the model alone learns to ask."""
    learning_rate: float = 1e-3
    """Learning rate of the projectors; the adapter's is trainer.learning_rate."""

    def __post_init__(self) -> None:
        unknown = set(self.content) - set(KINDS)
        if unknown or not self.content:
            raise ConfigError(f"content is some of {', '.join(KINDS)}, not {', '.join(self.content) or 'nothing'}")
        if not 1 <= self.positions <= 8:
            raise ConfigError(f"positions is {self.positions}: an item takes from 1 to 8 of them")
        if self.warm < 0:
            raise ConfigError(f"warm is {self.warm}: it should be 0 or more")
        if not 0 <= self.taught <= 1:
            raise ConfigError(f"taught is {self.taught}: it should be from 0 to 1")
        for name in ("dropout", "forget", "masked"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it should be at least 0 and below 1")


@dataclass(frozen=True)
class WalkRecipe:
    """Histories as item words: every item is predicted from those before it."""

    passes: float = 8.0
    """How often each person's history is walked through."""
    longest: int = 30
    """The most items of one walk; a longer history is cut at a random place."""
    skip: float = 0.1
    """Share of a history's items that are left out at random, so that no two passes are the same."""
    sampled: int = 0
    """Answers in the softmax: 0 for all items, else so many drawn for each batch, with the correction for it."""
    company: float = 0.0
    """Share of the walks' loss that is what came after such histories in other people's, by counts of neighbours."""

    def __post_init__(self) -> None:
        if self.passes < 0 or self.longest < 1 or not 0 <= self.skip < 1 or self.sampled < 0:
            raise ConfigError("passes and sampled are 0 or more, longest 1 or more, skip from 0 to below 1")
        if not 0 <= self.company <= 1:
            raise ConfigError(f"company is {self.company}: it should be from 0 to 1")


@dataclass(frozen=True)
class TalkRecipe:
    """Conversations: every other task, with histories as item words and pictures as pictures."""

    count: int = 2000
    """How many conversations are learnt in all; 0 leaves them out."""
    weight: float = 0.5
    """What a text's loss counts beside the items' loss."""
    words: bool = True
    """Whether histories stand as item words; if not, as text and pictures, for a vocabulary that cannot go on."""
    examples: ExampleRecipe = field(default_factory=lambda: ExampleRecipe(budget=768, candidates=5))
    """Which conversations, and how they are made."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.weight < 0:
            raise ConfigError("count and weight are 0 or more")


@dataclass(frozen=True)
class TuningRecipe:
    """A whole run."""

    model: str
    """The base: a folder that `llmrec assemble` made, or any image-text-to-text model's folder or hub name."""
    index: Path
    """The index of the dataset: it holds the items' vectors, and is the retriever that the model must beat."""
    out: Path
    """The run folder to write."""
    dataset: Path | None = None
    """Where the dataset is, if it was moved since the index was made."""
    prompts: Path = Path("prompts")
    """The folder of templates; the run keeps a copy."""
    quantization: Literal["none", "4bit", "8bit"] = "4bit"
    """How the base is held: 4bit is NF4 with double quantisation, which with an adapter is QLoRA."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Type of weights and computation; auto is bfloat16 on a GPU or a CPU that is quick in it, else float32."""
    attention: str = "auto"
    """auto takes FlashAttention where it is installed and there is a GPU, else PyTorch's sdpa; or name one."""
    device: str = "auto"
    """cpu, cuda, or auto for cuda where there is one."""
    adapter: AdapterRecipe = field(default_factory=AdapterRecipe)
    """What of the language model is tuned."""
    words: WordRecipe = field(default_factory=WordRecipe)
    """How items become words of the model."""
    walks: WalkRecipe = field(default_factory=WalkRecipe)
    """Histories as item words."""
    talks: TalkRecipe = field(default_factory=TalkRecipe)
    """Conversations."""
    batch_tokens: int = 2048
    """The most tokens of a batch, padding included: lower it when memory runs out."""
    watch: int = 10
    """How often during the run the ranking of held-out people is measured; 0 never."""
    watched: int = 500
    """How many people are watched."""
    seed: int = 0
    """The seed of everything that is drawn at random."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Settings of TRL's SFTConfig, handed on as they are: learning_rate, gradient_accumulation_steps, report_to …"""

    def __post_init__(self) -> None:
        if self.batch_tokens < 32:
            raise ConfigError(f"batch_tokens is {self.batch_tokens}: it should be at least 32")
        if self.quantization != "none" and self.adapter.kind == "full":
            raise ConfigError(
                "adapter.kind=full tunes all weights, which 4 and 8 bits cannot hold: set quantization=none"
            )
        if not self.walks.passes and not self.talks.count:
            raise ConfigError("walks.passes and talks.count are both 0, so there is nothing to learn")

    @property
    def item_words(self) -> bool:
        """Whether items are words of the model at all; a run without them ranks by labels alone."""
        return bool(self.walks.passes) or self.talks.words
