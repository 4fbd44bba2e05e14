"""The drawn pictures: the look is all there to be seen, the seed changes only how it is placed and lit."""

import colorsys
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from drawn.layers import SILHOUETTES
from drawn.pictures import CONTRAST, contact_sheet, contrasting, draw
from drawn.vocabulary import BY_NAME, COLOURS, KINDS, PATTERNS, Kind, Look
from numpy.typing import NDArray

NAMES = [kind.name for kind in KINDS]


def plain(kind: Kind, **changes: str) -> Look:
    """A teal piece with nothing on it, apart from the changes."""
    look = Look(kind.name, kind.silhouettes[0], "teal", "yellow", "plain", kind.materials[0], "none")
    return replace(look, **changes)


def pixels(look: Look, seed: int = 5, size: int = 64) -> NDArray[np.int16]:
    return np.asarray(draw(look, seed, size), dtype=np.int16)


def changed(one: NDArray[np.int16], other: NDArray[np.int16], by: int = 24) -> float:
    """The share of pixels that differ clearly in some channel."""
    return float((np.abs(one - other).max(axis=2) > by).mean())


def centre(picture: NDArray[np.int16]) -> NDArray[np.float64]:
    """The mean colour of the middle, which a cushion covers."""
    side = len(picture)
    return picture[side * 3 // 8 : side * 5 // 8, side * 3 // 8 : side * 5 // 8].mean(axis=(0, 1))


def test_every_silhouette_of_the_vocabulary_has_a_drawing() -> None:
    assert set(SILHOUETTES) == {(kind.name, silhouette) for kind in KINDS for silhouette in kind.silhouettes}


@pytest.mark.parametrize("size", [16, 64, 256])
def test_the_same_look_seed_and_size_give_the_same_pixels(size: int) -> None:
    look = plain(BY_NAME["jacket"], pattern="floral", trim="bow")
    first = draw(look, 3, size)
    assert (first.size, first.mode) == ((size, size), "RGB")
    assert first.tobytes() == draw(look, 3, size).tobytes()


def test_another_seed_changes_the_picture_but_not_the_piece() -> None:
    look = plain(BY_NAME["cushion"])
    drawn = [pixels(look, seed) for seed in range(12)]
    assert len({picture.tobytes() for picture in drawn}) == 12
    colours = np.array([centre(picture) for picture in drawn])
    assert np.ptp(colours, axis=0).max() < 40


@pytest.mark.parametrize("name", NAMES)
def test_every_silhouette_material_and_trim_can_be_drawn_small_and_large(name: str) -> None:
    kind = BY_NAME[name]
    for silhouette in kind.silhouettes:
        pattern = PATTERNS[1 + NAMES.index(name) % (len(PATTERNS) - 1)]
        for trim in kind.trims:
            draw(plain(kind, silhouette=silhouette, trim=trim), 1, 64)
        for material in kind.materials:
            draw(plain(kind, silhouette=silhouette, material=material, pattern=pattern), 2, 64)
        draw(plain(kind, silhouette=silhouette, pattern=pattern, trim=kind.trims[-1]), 3, 256)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("attribute", "share"), [("silhouette", 0.04), ("pattern", 0.03), ("material", 0.008), ("trim", 0.006)]
)
def test_two_values_of_an_attribute_can_be_told_apart_at_64_pixels(name: str, attribute: str, share: float) -> None:
    kind = BY_NAME[name]
    values = {"pattern": PATTERNS}.get(attribute) or getattr(kind, f"{attribute}s")
    drawn = {value: pixels(plain(kind, **{attribute: value})) for value in values}
    for one, other in combinations(values, 2):
        assert changed(drawn[one], drawn[other]) > share, (one, other)


def test_two_kinds_and_two_colours_can_be_told_apart() -> None:
    kinds = [pixels(plain(kind)) for kind in KINDS]
    colours = [pixels(plain(BY_NAME["mug"], colour=colour)) for colour in COLOURS]
    for drawn in (kinds, colours):
        assert min(changed(one, other) for one, other in combinations(drawn, 2)) > 0.06


@pytest.mark.parametrize("pattern", PATTERNS[1:])
def test_the_accent_is_seen_in_pattern_and_trim(pattern: str) -> None:
    patterned = plain(BY_NAME["dress"], pattern=pattern)
    piped = plain(BY_NAME["dress"], trim="tassels")
    assert changed(pixels(patterned), pixels(replace(patterned, accent="red"))) > 0.02
    assert changed(pixels(piped), pixels(replace(piped, accent="red"))) > 0.005


def test_figures_stand_out_whatever_the_two_colours() -> None:
    for base in COLOURS.values():
        for accent in COLOURS.values():
            distance = np.linalg.norm(np.subtract(contrasting(accent, base), base))
            assert distance >= CONTRAST, (accent, base)


def test_the_backdrop_depends_on_the_seed_alone() -> None:
    looks = [
        plain(BY_NAME["hat"], silhouette="sun hat", colour="red"),
        plain(BY_NAME["chair"], colour="navy", pattern="stars"),
        plain(BY_NAME["vase"], colour="cream", trim="bow"),
    ]
    backdrops = set()
    for seed in range(16):
        corners = {
            b"".join(
                np.ascontiguousarray(pixels(look, seed)[rows, columns]).tobytes()
                for rows in (slice(3), slice(-3, None))
                for columns in (slice(3), slice(-3, None))
            )
            for look in looks
        }
        assert len(corners) == 1
        backdrops |= corners
    assert 4 <= len(backdrops) <= 8


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("material", BY_NAME["cushion"].materials)
def test_a_plain_piece_shows_the_colour_that_it_is_said_to_have(colour: str, material: str) -> None:
    seen = centre(pixels(plain(BY_NAME["cushion"], colour=colour, material=material)))
    hue, _, value = colorsys.rgb_to_hsv(*(seen / 255))
    meant = colorsys.rgb_to_hsv(*(part / 255 for part in COLOURS[colour]))
    if colour == "black":
        assert value < 0.35
    elif colour == "cream":
        assert value > 0.55
    else:
        assert abs((hue - meant[0] + 0.5) % 1 - 0.5) < 15 / 360
    if colour in ("navy", "brown"):
        assert value < 0.6


def test_a_picture_takes_little_time() -> None:
    looks = [plain(kind, pattern="dots") for kind in KINDS]
    for look in looks:
        draw(look, 0)
    started = time.process_time()
    for seed, look in enumerate(looks * 2):
        draw(look, seed)
    assert (time.process_time() - started) / (2 * len(looks)) < 0.06


def test_a_contact_sheet_shows_looks_row_by_row() -> None:
    looks = [plain(kind) for kind in KINDS[:5]]
    sheet = contact_sheet(looks, columns=3, size=32)
    assert sheet.size == (96, 64)
    assert sheet.crop((32, 32, 64, 64)).tobytes() == draw(looks[4], 4, 32).tobytes()


@pytest.mark.parametrize(
    ("changes", "known"),
    [({"silhouette": "poncho"}, "a-line"), ({"pattern": "tartan"}, "zigzag"), ({"trim": "fringe"}, "tassels")],
)
def test_what_cannot_be_drawn_is_refused_with_what_can(changes: dict[str, str], known: str) -> None:
    with pytest.raises(ValueError, match=known):
        draw(plain(BY_NAME["dress"], **changes), 0, 32)
