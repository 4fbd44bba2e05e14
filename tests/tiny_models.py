"""Tiny random models of the classes that people tune, each with its processor, made from configs without a download.

`tiny_model(kind, folder)` saves one and returns the folder; it takes a second or so. The weights mean nothing, but
shapes, names, special tokens and picture tokens are those of the class.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

KINDS = (
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_5_vl",
    "qwen3_vl",
    "idefics3",
    "smolvlm",
    "gemma3",
    "internvl",
)

WIDTH = 64  # of the language models; heads are 32 wide, the least that vLLM computes on a CPU
SIDE = 28  # pixels of a picture's edge, where the class has a fixed size
PATCH = 14

_TEXT = (
    "The person bought a red dress, a striped shirt and a pair of blue jeans with a zip.",
    "Which of these would they like next? Answer with a letter and say why.",
    "Title: wool coat. Category: coats. Price: 120. Colour: green. Pattern: dotted.",
)
_SPECIAL = (
    *("<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
    *("<fake_token_around_image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    *("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
    *("<img>", "</img>", "<IMG_CONTEXT>"),
)

_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}{{ 'PICTURE' }}{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_NAMED = {  # the tokens that a processor asks its tokenizer for by name
    "gemma3": {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    },
    "internvl": {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
}
_PICTURE = {
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "gemma3": "<start_of_image>",
    "internvl": "<IMG_CONTEXT>",
}


def tiny_model(kind: str, folder: Path, *, tied: bool = True) -> Path:
    """Save a tiny random model of a class of KINDS with its processor, and return the folder."""
    processor = tiny_processor(kind)
    torch.manual_seed(0)
    model = _class(kind)(tiny_config(kind, processor.tokenizer, tied=tied)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.1)  # Gemma's projector starts at zero
            elif parameter.ndim > 1 and "embed" not in name and "lm_head" not in name:
                parameter.mul_(4)  # the usual start leaves a tiny model nearly blind to what it reads
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=processor.tokenizer.eos_token_id, pad_token_id=processor.tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer.to_str()


def tiny_tokenizer(kind: str = "") -> Any:
    """A byte-level tokenizer of 400 tokens with the picture tokens of every class and a ChatML template."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()),
        pad_token="<pad>",
        eos_token="<|im_end|>",
        extra_special_tokens=_NAMED.get(kind, {}),
        chat_template=_CHATML.replace("PICTURE", ""),
    )
    if kind == "gemma3":
        tokenizer.add_tokens(["\n" * count for count in range(1, 5)])  # runs of lines are words of Gemma's
    return tokenizer


def tiny_processor(kind: str) -> Any:
    """The processor of a class, with image processors that need PIL alone."""
    tokenizer = tiny_tokenizer(kind)
    template = _CHATML.replace("PICTURE", _PICTURE.get(kind, "<image>"))
    square = {"height": SIDE, "width": SIDE}
    if kind == "gemma3":
        pictures = transformers.Gemma3ImageProcessorPil(size=square)
        return transformers.Gemma3Processor(pictures, tokenizer, chat_template=template, image_seq_length=4)
    if kind == "llava":
        pictures = transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)
        return transformers.LlavaProcessor(
            pictures,
            tokenizer,
            patch_size=PATCH,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=template,
        )
    if kind == "llava_next":
        pictures = transformers.LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size=square, image_grid_pinpoints=_pinpoints()
        )
        return transformers.LlavaNextProcessor(
            pictures,
            tokenizer,
            patch_size=PATCH,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=template,
        )
    if kind == "llava_onevision":
        pictures = transformers.LlavaOnevisionImageProcessorPil(size=square, image_grid_pinpoints=_pinpoints())
        return transformers.LlavaOnevisionProcessor(
            pictures,
            tokenizer,
            transformers.LlavaOnevisionVideoProcessor(size=square),
            num_image_tokens=4,
            vision_feature_select_strategy="full",
            chat_template=template,
        )
    if kind == "qwen2_5_vl":
        pictures = transformers.Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112)
        return transformers.Qwen2_5_VLProcessor(
            pictures, tokenizer, transformers.Qwen2VLVideoProcessor(), chat_template=template
        )
    if kind == "qwen3_vl":
        pictures = transformers.Qwen2VLImageProcessorPil(patch_size=16, min_pixels=64 * 64, max_pixels=128 * 128)
        return transformers.Qwen3VLProcessor(
            pictures, tokenizer, transformers.Qwen3VLVideoProcessor(), chat_template=template
        )
    if kind == "internvl":
        pictures = transformers.GotOcr2ImageProcessorPil(size=square, crop_to_patches=False)
        return transformers.InternVLProcessor(
            pictures,
            tokenizer,
            transformers.InternVLVideoProcessor(size=square),
            image_seq_length=1,
            chat_template=template,
        )
    edges = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": 2 * SIDE}}
    if kind == "idefics3":
        pictures = transformers.Idefics3ImageProcessorPil(do_image_splitting=False, **edges)
        return transformers.Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=template)
    if kind == "smolvlm":
        pictures = transformers.SmolVLMImageProcessorPil(do_image_splitting=False, **edges)
        videos = transformers.SmolVLMVideoProcessor(**edges)
        return transformers.SmolVLMProcessor(pictures, tokenizer, videos, image_seq_len=4, chat_template=template)
    raise ValueError(f"{kind} is none of {', '.join(KINDS)}")


def tiny_config(kind: str, tokenizer: Any, *, tied: bool) -> Any:
    """The config of a class, a few layers deep and some dozen numbers wide."""
    ids = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    tower = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    if kind == "llava":
        return transformers.LlavaConfig(
            vision_config=transformers.CLIPVisionConfig(**tower),
            text_config=transformers.LlamaConfig(**text),
            image_token_index=ids("<image>"),
            image_seq_length=4,
            tie_word_embeddings=tied,
        )
    if kind == "llava_next":
        return transformers.LlavaNextConfig(
            vision_config=transformers.CLIPVisionConfig(**tower),
            text_config=transformers.MistralConfig(**text),
            image_token_index=ids("<image>"),
            image_seq_length=4,
            image_grid_pinpoints=_pinpoints(),
            tie_word_embeddings=tied,
        )
    if kind == "llava_onevision":
        return transformers.LlavaOnevisionConfig(
            vision_config=transformers.SiglipVisionConfig(**tower, vision_use_head=False),
            text_config=transformers.Qwen2Config(**text),
            image_token_index=ids("<image>"),
            video_token_index=ids("<video>"),
            image_grid_pinpoints=_pinpoints(),
            tie_word_embeddings=tied,
        )
    if kind in ("qwen2_5_vl", "qwen3_vl"):
        named = {
            "image_token_id": ids("<|image_pad|>"),
            "video_token_id": ids("<|video_pad|>"),
            "vision_start_token_id": ids("<|vision_start|>"),
            "vision_end_token_id": ids("<|vision_end|>"),
            "tie_word_embeddings": tied,
        }
        if kind == "qwen2_5_vl":
            return transformers.Qwen2_5_VLConfig(
                text_config=text | {"rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6]}},
                vision_config={
                    "depth": 2,
                    "hidden_size": 32,
                    "intermediate_size": 48,
                    "num_heads": 2,
                    "out_hidden_size": WIDTH,
                    "fullatt_block_indexes": [1],
                },
                **named,
            )
        return transformers.Qwen3VLConfig(
            text_config=text
            | {
                "head_dim": 32,
                "rope_parameters": {"rope_type": "default", "mrope_section": [8, 4, 4], "mrope_interleaved": True},
            },
            vision_config={
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "out_hidden_size": WIDTH,
                "num_position_embeddings": 16,
                "deepstack_visual_indexes": [0, 1],
            },
            **named,
        )
    if kind in ("idefics3", "smolvlm"):
        config = transformers.Idefics3Config if kind == "idefics3" else transformers.SmolVLMConfig
        return config(
            vision_config=tower | {"image_size": 2 * SIDE},
            text_config=transformers.LlamaConfig(**text),
            image_token_id=ids("<image>"),
            scale_factor=2,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=tied,
        )
    if kind == "gemma3":
        return transformers.Gemma3Config(
            text_config=text | {"head_dim": 32, "sliding_window": 512, "sliding_window_pattern": 2},
            vision_config=tower | {"vision_use_head": False},
            mm_tokens_per_image=4,
            image_token_index=ids("<image_soft_token>"),
            boi_token_index=ids("<start_of_image>"),
            eoi_token_index=ids("<end_of_image>"),
            tie_word_embeddings=tied,
        )
    if kind == "internvl":
        return transformers.InternVLConfig(
            vision_config=tower,
            text_config=transformers.Qwen2Config(**text),
            image_token_id=ids("<IMG_CONTEXT>"),
            image_seq_length=1,
            tie_word_embeddings=tied,
        )
    raise ValueError(f"{kind} is none of {', '.join(KINDS)}")


def _class(kind: str) -> Any:
    named = {
        "llava": "Llava",
        "llava_next": "LlavaNext",
        "llava_onevision": "LlavaOnevision",
        "qwen2_5_vl": "Qwen2_5_VL",
        "qwen3_vl": "Qwen3VL",
        "idefics3": "Idefics3",
        "smolvlm": "SmolVLM",
        "gemma3": "Gemma3",
        "internvl": "InternVL",
    }
    return getattr(transformers, f"{named[kind]}ForConditionalGeneration")


def _pinpoints() -> list[list[int]]:
    return [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
