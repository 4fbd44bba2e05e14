"""A small CLIP: a picture tower and a text tower of stock classes, started anew, read and written as stock folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from llmrec.pretraining.gallery import MIDDLE, SPREAD, Gallery, Places, normalised
from llmrec.pretraining.recipe import Shape

Floats = npt.NDArray[np.float32]
INNER = 5  # inner units of the picture tower for one of its width: waves take pairs of them, colours the rest
PAD, BEGIN, UNKNOWN, END = "<|pad|>", "<|begin|>", "<|unknown|>", "<|end|>"


def untrained(shape: Shape, tokenizer: Any, seed: int) -> Any:
    """A CLIPModel with random weights."""
    pad, begin, end = tokenizer.convert_tokens_to_ids([PAD, BEGIN, END])
    text = {
        "vocab_size": len(tokenizer), "hidden_size": shape.text_width, "intermediate_size": 4 * shape.text_width,
        "num_hidden_layers": shape.text_layers, "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.text_length, "projection_dim": shape.vector,
        "pad_token_id": pad, "bos_token_id": begin, "eos_token_id": end,
    }  # fmt: skip
    vision = {
        "hidden_size": shape.width, "intermediate_size": INNER * shape.width, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "image_size": shape.image_size, "patch_size": shape.patch_size,
        "projection_dim": shape.vector,
    }  # fmt: skip
    torch.manual_seed(seed)
    model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=shape.vector))
    return model.eval()


def see(model: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of normalised pictures, of length 1, and the states of their patches."""
    seen = model.vision_model(pixel_values=pixels)
    vectors = model.visual_projection(seen.pooler_output)
    return functional.normalize(vectors, dim=1), seen.last_hidden_state[:, 1:]


def picture_vectors(model: Any, gallery: Gallery, places: Places) -> tuple[Floats, Floats]:
    """The vector of each picture, and the mean of its patches' states."""
    model.eval()
    device = next(model.parameters()).device
    vectors, means = [], []
    with torch.inference_mode():
        for begin in range(0, len(places), 256):
            pixels = normalised(gallery.plain(places[begin : begin + 256])).to(device)
            vector, states = see(model, pixels)
            vectors.append(vector.float().cpu().numpy())
            means.append(states.mean(dim=1).float().cpu().numpy())
    return np.concatenate(vectors), np.concatenate(means)


def text_vectors(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The vectors of texts, of length 1."""
    read = model.text_model(input_ids=ids, attention_mask=mask)
    return functional.normalize(model.text_projection(read.pooler_output), dim=1)


def make_tokenizer(texts: Sequence[str], shape: Shape) -> Any:
    """A tokenizer of pieces of words, learnt from texts; letters that it never saw are read byte by byte."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary, special_tokens=[PAD, BEGIN, UNKNOWN, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(name, made.token_to_id(name)) for name in (BEGIN, END)]
    )
    fast: Any = PreTrainedTokenizerFast  # its constructor has no types
    return fast(
        tokenizer_object=made, pad_token=PAD, bos_token=BEGIN, unk_token=UNKNOWN, eos_token=END,
        model_max_length=shape.text_length, padding_side="right", truncation_side="right",
    )  # fmt: skip


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model, tokenizer and image processor as stock files."""
    size = model.config.vision_config.image_size
    square = {"height": size, "width": size}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size=square, crop_size=square, do_center_crop=False, image_mean=[MIDDLE] * 3, image_std=[SPREAD] * 3
    ).save_pretrained(folder)
