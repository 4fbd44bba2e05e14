"""The parts that a picture is cut into before a model reads it, from what a stock folder says of itself."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json
from llmrec.errors import InputError

PROCESSORS = ("processor_config.json", "preprocessor_config.json")


def grid(folder: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Rows, columns, tokens, and the region that is seen; None where a model cuts each picture in its own way."""
    parts = _parts(config)
    if parts is None:
        return None
    return {"rows": parts, "columns": parts, "tokens": parts * parts, "region": _region(folder)}


def _parts(config: Mapping[str, Any]) -> int | None:
    """How many parts lie on a side, in models that see each picture as a square of one size."""
    if tokens := config.get("mm_tokens_per_image"):  # Gemma
        return math.isqrt(int(tokens))
    vision = config.get("vision_config") or {}
    size, patch = vision.get("image_size"), vision.get("patch_size")
    if config.get("model_type") != "llava" or not isinstance(size, int) or not isinstance(patch, int):
        return None
    return size // patch


def _region(folder: Path) -> str:
    for name in PROCESSORS:
        with suppress(InputError):
            found = read_json(folder, name, kind="a processor", remedy="")
            cut = found.get("image_processor", found).get("do_center_crop")
            return "centre" if cut else "whole"
    return "whole"
