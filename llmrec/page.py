"""What our HTML pages share: their templates, and small pictures that a page carries within itself."""

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps


def page_template(name: str) -> Any:
    """A template of `llmrec/pages`; whatever is filled in is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("llmrec", "pages"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(name)


def thumbnail(path: Path | str | None, side: int) -> str | None:
    """A small JPEG as a data address, or None where there is no picture (any more)."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side * 2, side * 2))
            small = ImageOps.contain(image.convert("RGB"), (side, side))
    except OSError:
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
