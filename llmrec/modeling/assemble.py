"""`llmrec assemble`: a vision tower and a language model joined to a stock LLaVA, with processor and chat template."""

import logging
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from llmrec import __version__
from llmrec.artifact import staged, write_json
from llmrec.environment import versions
from llmrec.errors import InputError
from llmrec.modeling.base import Dtype
from llmrec.modeling.stock import stock_names, write_stock
from llmrec.tokens import STARTER, load_tokenizer, starter_weights

log = logging.getLogger(__name__)
hf: Any = transformers  # its types are incomplete

MANIFEST = "manifest.json"
PICTURE = "<image>"
PAD, TURN, TURN_END = "<pad>", "<|im_start|>", "<|im_end|>"
MANY = 64  # visual tokens a picture, above which a history of pictures no longer fits small models


@dataclass(frozen=True)
class Tower:
    """A vision tower and how many visual tokens it makes of a picture."""

    model: Any
    pictures: Any
    tokens: int
    has_class_token: bool


def assemble(
    tower: Path | None,
    out: Path,
    *,
    language: str = STARTER,
    dtype: Dtype = "bfloat16",
    vision_layer: int = -1,
    layers: int = 0,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a `LlavaForConditionalGeneration` whose projector is new; returns its manifest.

    With `layers` the language model keeps its first ones alone: it speaks no more, and ranks at a fraction of the cost.
    Without a tower it gets a small one that has learnt nothing, for catalogues that have no pictures.
    """
    seeing = blind_tower(seed) if tower is None else load_tower(tower)
    depth = seeing.model.config.num_hidden_layers
    if not -depth - 1 <= vision_layer <= -1:
        raise InputError(f"--vision-layer {vision_layer} is none of the {depth} layers of {tower}. Give -1 to {-depth}")
    if seeing.tokens > MANY:
        log.warning(
            "%s makes %d visual tokens of each picture: a history of pictures will be long and slow. "
            "A tower with larger patches or smaller pictures makes fewer",
            tower,
            seeing.tokens,
        )
    with staged(out, marker=MANIFEST, holds=stock_names(out), overwrite=overwrite) as partial:
        speaking, tokenizer = load_language(language)
        if layers:
            _shorten(speaking, layers, language)
        _add_tokens(speaking, tokenizer, seed)
        model = _joined(seeing, speaking, tokenizer, vision_layer, seed).to(getattr(torch, dtype))
        processor = _processor(seeing, tokenizer)
        write_stock(model, processor, partial)
        manifest = {
            "kind": "assembled model",
            "llmrec": __version__,
            "tower": None if tower is None else str(tower),
            "language": language,
            "visual_tokens": seeing.tokens,
            "vision_layer": vision_layer,
            "layers": len(model.model.language_model.layers),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "dtype": dtype,
            "seed": seed,
            "versions": versions(("torch", "transformers")),
        }
        write_json(partial / MANIFEST, manifest)
    return manifest


def blind_tower(seed: int = 0) -> Tower:
    """A small CLIP tower that has learnt nothing: what stands in a LLaVA where there is nothing to see."""
    config = hf.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=32
    )
    torch.manual_seed(seed)
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    return Tower(hf.CLIPVisionModel(config).eval(), pictures, 4, has_class_token=True)


def load_tower(folder: Path) -> Tower:
    """The vision part of a CLIP or SigLIP folder, whether its text part is there or not."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give a vision tower: llmrec pretrain makes one")
    try:
        config = hf.AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is not a model folder ({_reason(error)}). Give a CLIP or SigLIP model") from error
    kind = config.model_type.removesuffix("_vision_model")
    if kind not in ("clip", "siglip"):
        raise InputError(
            f"{folder} is a {config.model_type} model, which has no vision part of CLIP's or SigLIP's kind. "
            "Give a CLIP or SigLIP model"
        )
    try:
        whole, report = hf.AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"The weights of {folder} cannot be loaded ({_reason(error)})") from error
    both = config.model_type == kind  # a text part is there as well, which stays behind
    model = whole.vision_model if both else whole
    missing = sorted(name for name in report["missing_keys"] if not both or name.startswith("vision_model."))
    if missing:
        raise InputError(f"{folder} lacks weights of its vision part ({', '.join(missing[:3])}). Was it written whole?")
    side, patch = model.config.image_size, model.config.patch_size
    pictures = _image_processor(folder, kind, side)
    made = getattr(pictures, "crop_size", None) if getattr(pictures, "do_center_crop", None) else pictures.size
    edges = {made[edge] for edge in ("height", "width") if made and made.get(edge)}
    if edges and edges != {side}:
        raise InputError(
            f"{folder} makes pictures of {' and '.join(map(str, sorted(edges)))} pixels, but the tower reads {side}. "
            "Mend its preprocessor_config.json"
        )
    return Tower(model, pictures, (side // patch) ** 2, kind == "clip")


def load_language(name: str) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, from a folder or hub name; `starter` is SmolLM2-135M-Instruct."""
    if name == STARTER:
        folder, file = starter_weights()
        model = hf.AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=file,
            dtype=torch.bfloat16,
            quantization_config=hf.GgufConfig(dequantize=True),
        )
        # How the weights lay in the file is no property of the model.
        model.config.__dict__.pop("quantization_config", None)
        return model, load_tokenizer(STARTER)
    tokenizer = load_tokenizer(name)
    try:
        config = hf.AutoConfig.from_pretrained(name)
        if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or hasattr(config, "vision_config"):
            raise InputError(
                f"{name} is a {config.model_type} model and no causal language model of text alone, "
                "so no vision tower can be joined to it. Give a language model"
            )
        return hf.AutoModelForCausalLM.from_pretrained(name, dtype="auto"), tokenizer
    except (OSError, ValueError) as error:
        raise InputError(f"No language model was found at {name!r} ({_reason(error)})") from error


def _shorten(model: Any, layers: int, name: str) -> None:
    """Keep a language model's first layers."""
    inner, config = model.base_model, model.config
    if not hasattr(inner, "layers"):
        raise InputError(f"{name} is a {config.model_type} model, whose layers cannot be cut. Leave --layers out")
    if not 0 < layers <= len(inner.layers):
        raise InputError(f"--layers {layers}: {name} has {len(inner.layers)}. Give 1 to {len(inner.layers)}")
    inner.layers = inner.layers[:layers]
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def _image_processor(folder: Path, kind: str, side: int) -> Any:
    """The tower's own preparation of pictures, or the usual one of its kind at its size."""
    if any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return hf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    square = {"height": side, "width": side}
    if kind == "clip":
        return hf.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
    return hf.SiglipImageProcessorPil(size=square)


def _add_tokens(model: Any, tokenizer: Any, seed: int) -> None:
    """Give the tokenizer a picture mark, a pad and the marks of its chat; new rows lie about the mean of the old."""
    new = [PICTURE]
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        new.append(PAD)
    if not tokenizer.chat_template:
        log.warning("The language model has no chat template, so it gets a plain one; tune it before you talk to it")
        new += [TURN, TURN_END]
        tokenizer.chat_template = files("llmrec.modeling").joinpath("chat.jinja").read_text(encoding="utf-8")
        tokenizer.eos_token = TURN_END
    tokenizer.add_special_tokens({"additional_special_tokens": new}, replace_extra_special_tokens=False)
    if PAD in new:
        tokenizer.pad_token = PAD
    tables = [model.get_input_embeddings()]
    if model.get_output_embeddings().weight is not tables[0].weight:
        tables.append(model.get_output_embeddings())
    rows = len(tables[0].weight)
    fresh = [number for number in tokenizer.convert_tokens_to_ids(new) if number >= rows]
    if fresh:
        model.resize_token_embeddings(max(fresh) + 1, mean_resizing=False)
    tables = [model.get_input_embeddings(), model.get_output_embeddings()][: len(tables)]
    noise = torch.Generator().manual_seed(seed)
    for table in tables:
        weight = table.weight.detach()
        mean, spread = weight[:rows].float().mean(dim=0), weight[:rows].float().std(dim=0)
        for number in fresh:
            drawn = mean + 0.01 * spread * torch.randn(mean.shape, generator=noise)
            weight[number] = drawn.to(weight.dtype)


def _joined(tower: Tower, language: Any, tokenizer: Any, vision_layer: int, seed: int) -> Any:
    text = language.config
    text.architectures = [type(language).__name__]
    text.pad_token_id = tokenizer.pad_token_id
    for part in (text, tower.model.config):
        part.name_or_path = ""  # where the parts lay on this machine
        part.__dict__.pop("_model_name_or_path", None)
    picture = tokenizer.convert_tokens_to_ids(PICTURE)
    config = hf.LlavaConfig(
        vision_config=tower.model.config,
        text_config=text,
        image_token_index=picture,
        image_seq_length=tower.tokens,
        vision_feature_layer=vision_layer,
        vision_feature_select_strategy="default" if tower.has_class_token else "full",
        tie_word_embeddings=bool(text.tie_word_embeddings),
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device("meta"):  # the parts come with their weights
        model = hf.LlavaForConditionalGeneration(config)
    model.model.vision_tower = tower.model
    model.model.language_model = language.base_model
    model.lm_head = language.get_output_embeddings()
    model.model.multi_modal_projector = _projector(tower, language, config, seed)
    model.tie_weights()
    ends = {tokenizer.eos_token_id, *_listed(language.generation_config.eos_token_id)}
    if TURN_END in tokenizer.get_vocab():
        ends.add(tokenizer.convert_tokens_to_ids(TURN_END))
    model.generation_config = hf.GenerationConfig(
        bos_token_id=language.generation_config.bos_token_id,
        eos_token_id=sorted(end for end in ends if end is not None),
        pad_token_id=tokenizer.pad_token_id,
    )
    return model.eval()


def _projector(tower: Tower, language: Any, config: Any, seed: int) -> nn.Module:
    """A new projector whose visual tokens are as long as the words of a text, so that neither drowns the other."""
    drawing = torch.Generator().manual_seed(seed)
    projector: nn.Module = LlavaMultiModalProjector(config)
    weights: list[Tensor] = [value.detach() for value in projector.parameters()]
    for weight in weights:
        if weight.ndim > 1:
            weight.copy_(torch.randn(weight.shape, generator=drawing) / weight.shape[1] ** 0.5)
        else:
            weight.zero_()
    side = tower.model.config.image_size
    noise = torch.randn(2, 3, side, side, generator=drawing)
    words = language.get_input_embeddings()
    length = words.weight.detach().float().pow(2).mean().sqrt() * float(getattr(words, "embed_scale", 1.0))
    with torch.no_grad():
        seen = tower.model(noise, output_hidden_states=True).hidden_states[config.vision_feature_layer]
        made = projector(seen)
        projector.get_parameter("linear_2.weight").mul_(length / made.pow(2).mean().sqrt())
    return projector


def _processor(tower: Tower, tokenizer: Any) -> Any:
    before = files("llmrec.modeling").joinpath("pictures.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = before.rstrip("\n") + tokenizer.chat_template
    return hf.LlavaProcessor(
        image_processor=tower.pictures,
        tokenizer=tokenizer,
        patch_size=tower.model.config.patch_size,
        vision_feature_select_strategy="default" if tower.has_class_token else "full",
        num_additional_image_tokens=int(tower.has_class_token),
        chat_template=tokenizer.chat_template,
        image_token=PICTURE,
    )


def _listed(ids: int | list[int] | None) -> list[int]:
    return ids if isinstance(ids, list) else [] if ids is None else [ids]


def _reason(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
