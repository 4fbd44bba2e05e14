"""What the atelier sells: the kinds of goods and the values that their drawn attributes can take.

Pictures, people and words all read this page, so a colour that is drawn is a colour that a person can like and a
review can name. The order of the values is part of the format: changing it changes every drawn dataset.
"""

from dataclasses import dataclass

# Name to its base shade. Chosen to stay apart on screen, also for most colour-blind people in combination with shape.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 48, 52),
    "orange": (232, 126, 44),
    "yellow": (240, 200, 66),
    "green": (62, 142, 84),
    "teal": (38, 140, 146),
    "blue": (52, 96, 190),
    "navy": (36, 46, 92),
    "purple": (122, 70, 160),
    "pink": (236, 140, 168),
    "brown": (126, 82, 52),
    "black": (44, 42, 46),
    "cream": (240, 228, 204),
}

PATTERNS = ("plain", "stripes", "dots", "check", "floral", "zigzag", "leaves", "stars")

TRIMS = ("none", "piping", "buttons", "tassels", "bow", "stitching")

CLOTH = ("cotton", "linen", "wool", "denim", "leather", "velvet")
HARD = ("porcelain", "stoneware", "wood", "wicker", "brass")


@dataclass(frozen=True)
class Kind:
    """One kind of goods: the silhouettes it is drawn in and the materials it is made of."""

    name: str
    department: str
    silhouettes: tuple[str, ...]
    materials: tuple[str, ...]
    trims: tuple[str, ...] = TRIMS


KINDS: tuple[Kind, ...] = (
    Kind("dress", "Clothing", ("sheath", "a-line", "ball gown", "wrap"), ("cotton", "linen", "wool", "velvet")),
    Kind("shirt", "Clothing", ("fitted", "boxy", "tunic"), ("cotton", "linen", "denim")),
    Kind("jacket", "Clothing", ("blazer", "bomber", "parka"), ("wool", "denim", "leather", "velvet")),
    Kind("skirt", "Clothing", ("pencil", "pleated", "tiered"), ("cotton", "linen", "wool", "denim")),
    Kind("trousers", "Clothing", ("slim", "wide", "cropped"), ("cotton", "linen", "wool", "denim")),
    Kind("shoe", "Shoes", ("sneaker", "ankle boot", "loafer", "court shoe"), ("cotton", "leather", "velvet", "denim")),
    Kind("bag", "Accessories", ("tote", "satchel", "bucket", "clutch"), ("cotton", "leather", "wool", "velvet")),
    Kind("hat", "Accessories", ("fedora", "beanie", "cap", "sun hat"), ("cotton", "wool", "linen", "leather")),
    Kind("umbrella", "Accessories", ("dome", "classic", "pagoda"), ("cotton", "linen")),
    Kind(
        "mug",
        "Kitchen",
        ("straight", "rounded", "tapered"),
        ("porcelain", "stoneware", "wood"),
        ("none", "piping", "stitching", "tassels"),
    ),
    Kind(
        "teapot",
        "Kitchen",
        ("globe", "tall", "squat"),
        ("porcelain", "stoneware", "brass"),
        ("none", "piping", "tassels"),
    ),
    Kind(
        "vase",
        "Home",
        ("bottle", "amphora", "cylinder", "bud"),
        ("porcelain", "stoneware", "brass", "wicker"),
        ("none", "piping", "bow"),
    ),
    Kind(
        "lamp",
        "Home",
        ("cone", "drum", "globe"),
        ("linen", "cotton", "wicker", "brass"),
        ("none", "piping", "tassels", "bow"),
    ),
    Kind("cushion", "Home", ("square", "bolster", "round"), ("cotton", "linen", "wool", "velvet")),
    Kind("chair", "Home", ("wingback", "tub", "stool"), ("wood", "wicker", "leather", "velvet")),
)

BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Look:
    """Everything that a picture shows of one piece of goods."""

    kind: str
    silhouette: str
    colour: str
    accent: str
    pattern: str
    material: str
    trim: str
