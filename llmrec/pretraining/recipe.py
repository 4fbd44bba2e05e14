"""The recipes of the stages of pretraining: a picture tower, and captions by which a projector is taught."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from llmrec.config import load_config, one_setting
from llmrec.errors import ConfigError


@dataclass(frozen=True)
class Shape:
    """How large the two towers are."""

    image_size: int = 96
    """Pixels of a picture's side."""
    patch_size: int = 32
    """Pixels of a patch's side; a picture has (image_size / patch_size)² patches, one visual token each."""
    width: int = 512
    """Width of the picture tower; 416 and more have room for all first filters."""
    layers: int = 2
    """Layers of the picture tower."""
    heads: int = 4
    """Attention heads of both towers."""
    vector: int = 128
    """Width of the space that pictures and texts share."""
    text_width: int = 128
    """Width of the text tower."""
    text_layers: int = 2
    """Layers of the text tower."""
    text_length: int = 64
    """Tokens of a text that are read."""
    vocabulary: int = 4_000
    """Pieces of words in the tokenizer, at most."""


@dataclass(frozen=True)
class Losses:
    """Weights of the losses; 0 leaves one out."""

    text: float = 0.15
    """Contrastive: a picture and its item's text find each other among those of the batch."""
    items: float = 1.0
    """Contrastive: pictures of items that the same people took lie close."""
    words: float = 1.0
    """Captions: picture and patches tell which words stand in an item's text and in its reviews of training rows."""
    patches: float = 1.0
    """Reconstructive: each patch, hidden or not, tells its colours and spectrum from what is seen."""
    picture: float = 2.0
    """Reconstructive: the picture's vector tells the colours and the spectrum of the whole picture."""


@dataclass(frozen=True)
class TowerRecipe:
    """How a picture tower and its text tower are pretrained on a catalogue."""

    stage: Literal["tower"] = "tower"
    """The stage that the recipe is for."""
    shape: Shape = field(default_factory=Shape)
    """How large the towers are."""
    losses: Losses = field(default_factory=Losses)
    """What is learnt, and how much each part counts."""
    split: str = "leave-one-out"
    """The split whose training rows tell which items are taken together."""
    people: float = 1.0
    """The share of the people that is learnt from; as in the index that the tower is for."""
    window: int = 20
    """Two items are taken together when the same person took them up to so many steps apart."""
    damping: float = 3.0
    """Added to an item's count before a pair's weight is divided by it: rare items are not believed at once."""
    reviews: int = 0
    """Reviews of training rows, drawn anew each time, that are read with an item's text. They are other people's."""
    held_out: float = 0.1
    """Share of the items that teach nothing and are measured on."""
    forget: float = 0.3
    """Share of a text's pieces that are left out each time, so that no picture is known by the name of its item."""
    hidden: float = 0.25
    """Share of the patches that are blanked, in every other picture."""
    shift: float = 0.1
    """Pictures are moved and scaled by up to this share of their side, and flipped."""
    batch: int = 128
    """Items in a step; half of them are drawn among what was taken together with the other half."""
    epochs: float = 70
    """Passes over the pictures."""
    rate: float = 1e-3
    """Highest learning rate; it rises over the first twentieth and falls as a cosine."""
    decay: float = 0.05
    """Weight decay."""
    temperature: float = 0.1
    """Divides the likeness of two pictures in the loss of items."""
    memory_mib: int = 2_048
    """Decoded pictures are kept in memory up to this size, and read from the disk each time above it."""
    seed: int = 0
    """Seed of weights, held-out items, order and augmentation."""

    def __post_init__(self) -> None:
        shape = self.shape
        if shape.image_size % shape.patch_size or shape.image_size < shape.patch_size:
            raise ConfigError(
                f"shape.image_size={shape.image_size} cannot be cut into patches of {shape.patch_size}. "
                "Choose a multiple, such as 96 and 32"
            )
        for name, width in (("width", shape.width), ("text_width", shape.text_width)):
            if width % shape.heads:
                raise ConfigError(f"shape.{name}={width} is not a multiple of shape.heads={shape.heads}")
        if not 0 < self.held_out < 1:
            raise ConfigError(
                f"held_out={self.held_out} must lie between 0 and 1: something is learnt, something asked"
            )
        for share in ("hidden", "forget", "shift"):
            if not 0 <= getattr(self, share) < 1:
                raise ConfigError(f"{share}={getattr(self, share)} must be at least 0 and below 1")
        if self.batch < 4:
            raise ConfigError(f"batch={self.batch} is too small for a contrast. Give at least 4")
        if not any(weight > 0 for weight in vars(self.losses).values()) or min(vars(self.losses).values()) < 0:
            raise ConfigError("losses must not be below 0, and one of them above")


@dataclass(frozen=True)
class CaptionRecipe:
    """How the projector of an image-text-to-text model learns to tell from a picture what is known of its item."""

    model: str
    """The model folder or hub name whose projector is taught; tower and language model stay as they are."""
    stage: Literal["captions"] = "captions"
    """The stage that the recipe is for."""
    split: str = "leave-one-out"
    """The split whose training rows hold the reviews that are read."""
    people: float = 1.0
    """The share of the people that is learnt from; as in the index that the model is for."""
    held_out: float = 0.1
    """Share of the items with a picture that teach nothing and are measured on."""
    pictures: int = 20_000
    """Pictures that are looked at, at most, drawn by the seed: what the tower makes of each stays in memory."""
    words: int = 4
    """Words of reviewers that are told of an item, at most."""
    facts: int = 1
    """Columns, or the item's text, that stand beside these words; drawn each time, oftener what the tower sees."""
    length: int = 16
    """Tokens of one fact that are read, at most."""
    acquaint: int = 30
    """Passes in which visual tokens are drawn to the words of what is known, before the language model is asked. A
    projector that has learnt from many pictures before would forget: give 0."""
    acquaint_rate: float = 1e-3
    """Highest learning rate of these passes."""
    passes: float = 0.5
    """Passes over the pictures through the language model."""
    rate: float = 1e-3
    """Highest learning rate of the passes through the language model; it falls as a cosine."""
    batch_tokens: int = 192
    """Tokens in one step through the language model."""
    asked: int = 60
    """Held-out pictures that are measured on, at most."""
    among: int = 16
    """Held-out captions among which a picture's own is looked for; the cost grows with the square."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """What the frozen parts compute in; auto tries which is faster here. The projector learns in float32."""
    seed: int = 0
    """Seed of held-out items, order and what is drawn."""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ConfigError(
                f"held_out={self.held_out} must lie between 0 and 1: something is learnt, something asked"
            )
        for name in ("pictures", "words", "length", "batch_tokens", "asked", "among"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("facts", "acquaint", "passes"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must not be below 0")
        if not self.acquaint and not self.passes:
            raise ConfigError("acquaint and passes are both 0, so nothing would be learnt. Give one of them")


STAGES: dict[str, type[TowerRecipe] | type[CaptionRecipe]] = {"tower": TowerRecipe, "captions": CaptionRecipe}


def kind_of(path: Path | None, settings: Sequence[str] = ()) -> type[TowerRecipe] | type[CaptionRecipe]:
    """The kind of recipe that `stage:` of a file or setting asks for; a tower where nothing is said."""
    stage = one_setting(path, settings, "stage")
    if stage is not None and stage not in STAGES:
        raise ConfigError(f"stage is {stage!r}: it can be {', '.join(STAGES)}")
    return STAGES[stage or "tower"]


def load_recipe(path: Path | None, settings: Sequence[str] = ()) -> TowerRecipe | CaptionRecipe:
    """Read a recipe of the stage that it names."""
    return load_config(kind_of(path, settings), path, settings)
