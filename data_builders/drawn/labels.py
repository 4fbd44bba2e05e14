"""The words on the labels of the atelier: houses, collections, titles and descriptions.

A label leaves the drawn attributes out, save the few it is told to give away. No name or phrase here may contain a word
of the drawn vocabulary (no "Plain & Sons", no "classic", no "all-round"): a test reads every label for it.
"""

from collections.abc import Sequence

import numpy as np

from .vocabulary import BY_NAME, Look

# Twenty houses that do not exist, each with its price level (1.0 is the usual price of a kind) and founding year.
HOUSES: dict[str, tuple[float, int]] = {
    "Marlow & Finch": (1.35, 1911),
    "Ostrava Nine": (0.8, 1998),
    "Quill House": (1.0, 1974),
    "Pemberly": (1.5, 1888),
    "Tamsin Rook": (1.1, 2009),
    "Hollis & Wren": (1.2, 1936),
    "Nordlys": (1.0, 1983),
    "Casa Piro": (1.3, 1952),
    "Little Fathom": (0.75, 2014),
    "Edda Lund": (1.15, 1991),
    "Brisk": (0.65, 2006),
    "Saltmarsh": (0.95, 1979),
    "Aubergine Street": (0.85, 2011),
    "Vell": (1.45, 1967),
    "Juniper Works": (0.9, 2002),
    "Kestrel Lane": (1.0, 1948),
    "Mirabeau": (1.6, 1902),
    "Oddfellow": (0.7, 2017),
    "Pico Mori": (0.85, 1995),
    "Thistledown": (1.05, 1926),
}
BRANDS = tuple(HOUSES)
BRAND_PRICE = tuple(level for level, _ in HOUSES.values())

OCCASIONS = ("everyday", "work", "travel", "celebration", "weekend", "evening")

OCCASION_PHRASES = {
    "everyday": ("for every day", "for ordinary days", "for the days that are all alike"),
    "work": ("for working days", "for the working week", "for Monday to Friday"),
    "travel": ("for journeys", "for life out of a suitcase", "for people who are often away"),
    "celebration": ("for celebrations", "for birthdays and weddings", "for days with guests"),
    "weekend": ("for weekends", "for slow Saturdays", "for free days"),
    "evening": ("for evenings", "for the hours after dark", "for long evenings"),
}

COLLECTIONS = (
    "Harbour", "Orchard", "Lantern", "Meridian", "Almanac", "Cloister", "Ferry", "Gallery", "Hearth", "Island",
    "Journey", "Kiosk", "Ledger", "Market", "Northern", "Observatory", "Pavilion", "Quarry", "Riviera", "Sonata",
    "Terrace", "Uplands", "Verandah", "Workshop", "Yonder", "Archive", "Boulevard", "Canal", "Daydream", "Estuary",
    "Festival", "Garrison", "Hamlet", "Interlude", "Jubilee", "Kingfisher", "Library", "Monsoon", "Nocturne", "Opera",
)  # fmt: skip

MODELS = (
    "Ada", "Amble", "Anouk", "Arden", "Basil", "Bea", "Bram", "Calla", "Cato", "Clio", "Corin", "Dara", "Della", "Doro",
    "Elin", "Enzo", "Esme", "Fable", "Fenn", "Flora", "Gil", "Greta", "Hale", "Hedda", "Ida", "Ines", "Iris", "Jonas",
    "Juno", "Kaya", "Kit", "Lark", "Lena", "Linus", "Lotte", "Mabel", "Maro", "Mina", "Nell", "Nico", "Noor", "Odile",
    "Orla", "Otis", "Paz", "Perrin", "Pia", "Quinn", "Remy", "Rhea", "Rosalind", "Rune", "Sable", "Selma", "Silvan",
    "Sol",
    "Tarn", "Thea", "Tilda", "Ula", "Una", "Vera", "Vesper", "Wilma", "Wynn", "Xenia", "Yara", "Zadie", "Zeno", "Zora",
)  # fmt: skip

PLURAL = {"dress": "dresses", "trousers": "trousers"}
CARE = {
    "Clothing": (
        "Wash cool, dry in the shade.", "Best washed by hand.", "True to size.",
        "Comes with a spare label to sew in.",
    ),
    "Shoes": (
        "Runs half a size large.", "Soles can be replaced.", "Comes in a box with a shoe horn.",
        "Let it rest a day between wearings.",
    ),
    "Accessories": ("One size.", "Comes with a two-year guarantee.", "Wipe with a damp sponge.", "Packs away small."),
    "Kitchen": (
        "Safe in the dishwasher.", "Wash by hand to be kind to it.", "Packed in recycled card.",
        "Holds more than one thinks.",
    ),
    "Home": (
        "Dust it now and then; it asks for nothing else.", "Delivered fully assembled.", "Made to be repaired.",
        "Looks at home in any room.",
    ),
}  # fmt: skip
TAILS = (
    "Made in small numbers.", "A favourite of the house.", "Drawn by hand, then made by hand.",
    "Numbered by the maker.",
    "Each one differs a little from the next.", "Back by request.", "Looked over twice before it goes out.",
)  # fmt: skip


def collection_names(count: int) -> tuple[str, ...]:
    """The first `count` names, numbered from the second round on."""
    rounds = range(1 + count // len(COLLECTIONS))
    return tuple(name if not lap else f"{name} {lap + 1}" for lap in rounds for name in COLLECTIONS)[:count]


def plural(kind: str) -> str:
    return PLURAL.get(kind, kind + "s")


def article(words: str) -> str:
    """The words with the indefinite article that they take."""
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def write_label(
    rng: np.random.Generator, look: Look, *, brand: str, collection: str, occasion: str, told: Sequence[str]
) -> tuple[str, str]:
    """Title and description; `told` names the drawn attributes that they give away."""
    model = MODELS[rng.integers(len(MODELS))]
    noun = f"{look.colour} {look.kind}" if "colour" in told else look.kind
    noun = noun.capitalize() if (plan := int(rng.integers(4))) in (1, 3) else noun
    title = (
        f"{brand} {model} {noun}",
        f"{noun} {model}, {brand}",
        f"{model} {noun} by {brand}",
        f"{noun} “{model}” from {brand}",
    )[plan]
    purpose = _one(rng, OCCASION_PHRASES[occasion])
    these = plural(look.kind)
    one = "Trousers" if look.kind == "trousers" else article(look.kind).capitalize()
    founded = HOUSES[brand][1]
    sentences = [
        _one(
            rng,
            (
                f"From the {collection} collection, made {purpose}.",
                f"Part of {collection}, the house's collection {purpose}.",
                f"{one} {purpose}, from {collection}.",
                f"{collection}: {these} and more {purpose}.",
            ),
        ),
        _one(
            rng,
            (
                f"{brand} has made {these} since {founded}.",
                f"By {brand}, founded {founded}.",
                f"The people at {brand} know their {these}.",
                f"{brand} is known for its {these}.",
            ),
        ),
        _one(rng, CARE[BY_NAME[look.kind].department]),
        _one(rng, TAILS),
    ]
    sentences = [sentences[place] for place in rng.permutation(4)[: int(rng.integers(2, 5))]]
    sentences += [_telling(rng, look, attribute) for attribute in told if attribute != "colour"]
    return title, " ".join(sentences)


def _telling(rng: np.random.Generator, look: Look, attribute: str) -> str:
    value = getattr(look, attribute)
    if attribute == "trim":
        return (
            "Without any trimming."
            if value == "none"
            else _one(rng, (f"Trim: {value}.", f"Finished with {value if value != 'bow' else 'a bow'}."))
        )
    return {
        "silhouette": _one(rng, (f"Shape: {value}.", f"The {value} shape.")),
        "accent": _one(rng, (f"Accents in {value}.", f"With a touch of {value}.")),
        "pattern": _one(
            rng,
            (
                f"Pattern: {value}.",
                f"The pattern is {value}." if value in ("plain", "floral") else f"Decorated: {value}.",
            ),
        ),
        "material": _one(rng, (f"Made of {value}.", f"Material: {value}.")),
    }[attribute]


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
