"""Silhouettes of what stands in a room: vases, lamps, cushions and chairs."""

import numpy as np

from .canvas import (
    Part,
    Point,
    Shape,
    across,
    both,
    box,
    ellipse,
    fold,
    folds,
    lathe,
    pair,
    path,
    ring,
    smooth,
    tube,
)


def _vase(x: float, profile: list[Point], lip: float, neck: Point, waist: Point, *behind: Part) -> Shape:
    wide, top = profile[0][:2]
    low, floor = profile[-1][:2]
    return Shape(
        (
            *behind,
            Part(lathe(x, *profile, top=lip, bottom=3), "body", "turned"),
            Part(ellipse(x, top, wide, lip), "body", "flat"),
            Part(ellipse(x, top + 0.3, wide - 1.6, lip * 0.62), "inside", "flat"),
        ),
        edges=(ring(x, neck[1], neck[0], 2.6), ring(x, waist[1], waist[0], 4), ring(x, floor - 2.5, low + 0.6, 3)),
        hems=(ring(x, waist[1], waist[0], 4),),
        bow=(x, neck[1] + 2),
        stands=True,
    )


def bottle_vase() -> Shape:
    profile: list[Point] = [(6.5, 10, 0), (5, 18), (5.5, 36), (11, 45), (24, 58), (27, 72), (22, 86), (17, 90, 0)]
    return _vase(50, profile, 2, (5.6, 36), (18, 51))


def amphora() -> Shape:
    profile: list[Point] = [
        (13, 13, 0), (9, 18), (8.5, 26), (17, 34), (26, 46), (24, 60), (14, 76), (9, 83), (14, 90, 0),
    ]  # fmt: skip
    ear = Part(tube(path((58, 18), (73, 15), (80, 26), (74, 42)), 4.4), "body", "soft", 0.95)
    return _vase(50, profile, 3, (8.8, 26), (25, 41), *pair(ear))


def cylinder_vase() -> Shape:
    return _vase(50, [(20, 16, 0), (20, 90, 0)], 4, (20, 24), (20, 58))


def bud_vase() -> Shape:
    profile: list[Point] = [
        (10, 42, 0), (6, 47), (6.5, 52), (15, 60), (22, 72), (20, 84), (13, 90, 0),
    ]  # fmt: skip
    twig = path((50, 46), (50, 34), (55, 20), (54, 8))
    buds = ((54, 8), (60, 17), (47, 20), (58, 28), (46, 31))
    stems = [
        Part(tube(path((51, 27), (58, 28)), 0.9), "wood", "flat"),
        Part(tube(path((50, 35), (46, 31)), 0.9), "wood", "flat"),
        Part(tube(path((53.5, 22), (47, 20)), 0.9), "wood", "flat"),
        Part(tube(path((54, 20), (60, 17)), 0.9), "wood", "flat"),
    ]
    blossoms = [Part(ellipse(x, y, 2.8, 3.2), "ivory") for x, y in buds]
    return _vase(50, profile, 2.2, (6.4, 50), (17, 62), Part(tube(twig, 1.3), "wood", "flat"), *stems, *blossoms)


def cone_lamp() -> Shape:
    foot = lathe(50, (2, 50, 0), (3, 55), (9, 64), (8, 72), (3.2, 78), (5, 84), (15, 88), (16, 92, 0), bottom=2)
    shade = lathe(50, (9, 10, 0), (30, 50, 0), top=2, bottom=5)
    return Shape(
        (Part(foot, "ivory", "turned"), Part(shade, "body", "turned")),
        edges=(ring(50, 50, 30, 5), ring(50, 10.4, 9, 2)),
        hems=(ring(50, 50.5, 29, 5),),
        bow=(50, 17),
        stands=True,
    )


def drum_lamp() -> Shape:
    legs = tuple(Part(tube(path((50, 48), (x, 93)), 3, 2.2), "wood", "flat") for x in (50, 30, 70))
    shade = lathe(50, (30, 14, 0), (31, 48, 0), top=4, bottom=5)
    return Shape(
        (
            *legs,
            Part(ellipse(50, 54, 4, 3), "gold"),
            Part(shade, "body", "turned"),
            Part(ellipse(50, 14, 30, 4), "inside", "flat"),
        ),
        edges=(ring(50, 47.5, 31, 5), ring(50, 15, 30, 4)),
        hems=(ring(50, 48.5, 30, 5),),
        bow=(50, 32),
        stands=True,
    )


def globe_lamp() -> Shape:
    return Shape(
        (
            Part(lathe(50, (17, 86, 0), (17, 91, 0), top=3, bottom=3), "gold", "turned"),
            Part(ellipse(50, 86, 17, 3), "gold", "flat", 0.95),
            Part(lathe(50, (2, 60, 0), (2, 86, 0), bottom=0.6), "gold", "turned"),
            Part(ellipse(50, 36, 28, 28)),
            Part(lathe(50, (7, 61, 0), (6, 67, 0), top=1.6, bottom=1.8), "gold", "turned"),
        ),
        edges=(ring(50, 36, 27.6, 7), ring(50, 60, 12.5, 3)),
        hems=(ring(50, 40, 27, 7),),
        bow=(50, 55),
        stands=True,
    )


def square_cushion() -> Shape:
    outline = smooth(
        (13, 14, 0), (32, 18.5), (50, 19.5), (68, 18.5), (87, 14, 0), (83.5, 33), (82.5, 50), (83.5, 67), (88, 87, 0),
        (68, 83), (50, 82), (32, 83), (12, 87, 0), (16.5, 67), (17.5, 50), (16.5, 33),
    )  # fmt: skip
    puckers = (
        *folds((85, 17), (76, 27), strength=0.35), *folds((86, 84), (77, 74), strength=0.35),
        *folds((82, 17), (75, 21), strength=0.25), *folds((84, 78), (80, 70), strength=0.2),
    )  # fmt: skip
    rounded = np.concatenate([outline, outline[:1]])
    return Shape(
        (Part(outline, lines=puckers),),
        edges=(rounded,),
        hems=(path((12, 87), (32, 83), (50, 82), (68, 83), (88, 87)),),
        bow=(50, 50),
        buttons=path((50, 34), (50, 68)),
        stands=True,
    )


def bolster() -> Shape:
    body = smooth((18, 37, 0), (50, 36), (88, 37, 0), (94, 44), (95, 55), (93, 68), (88, 74, 0), (50, 75), (18, 74, 0))
    gathers = tuple(
        fold((18, 55.5), (18 + 11 * np.cos(angle), 55.5 + 17.5 * np.sin(angle)), strength=0.35)
        for angle in np.arange(0, 2 * np.pi, np.pi / 7)
    )
    left, right = ellipse(24, 55.5, 12, 18.5, -0.5, 0.5), ellipse(82, 55.5, 12, 18.5, -0.5, 0.5)
    return Shape(
        (
            Part(body),
            Part(ellipse(18, 55.5, 13, 19), "shade", "soft", 1.0, gathers),
            Part(ellipse(18, 55.5, 2.6, 3), "body"),
        ),
        edges=(left, right, ellipse(18, 55.5, 13, 19)),
        hems=(path((26, 74), (50, 75), (88, 74)),),
        bow=(58, 55),
        buttons=path((40, 55), (78, 55)),
        stands=True,
    )


def round_cushion() -> Shape:
    spokes = tuple(
        fold(
            (50 + 5 * np.cos(angle), 51 + 5 * np.sin(angle)),
            (50 + 15 * np.cos(angle + 0.06), 51 + 14 * np.sin(angle + 0.06)),
            (50 + 27 * np.cos(angle), 51 + 26 * np.sin(angle)),
            strength=0.28,
        )
        for angle in np.arange(0.1, 2 * np.pi, np.pi / 8)
    )
    return Shape(
        (
            Part(ellipse(50, 53, 39, 37), shade=0.8),
            Part(ellipse(50, 51, 38.5, 35.5), lines=spokes),
            Part(ellipse(50, 51, 4.6, 4.4), "shade"),
        ),
        edges=(ellipse(50, 51, 38.5, 35.5),),
        hems=(ellipse(50, 53, 38, 36.5, 0.12, 0.88)[::-1],),
        bow=(50, 51),
        buttons=path((26, 51), (74, 51)),
        stands=True,
    )


def wingback() -> Shape:
    leg = Part(np.array([(71, 80), (77, 80), (76, 93), (73.5, 93)]), "wood", "turned")
    back = both((50, 7), (62, 9), (69, 16), (70, 36), (69, 60, 0), (50, 61))
    wing = smooth((66, 13, 0), (76, 16), (82, 26), (80, 40), (77, 52, 0), (68, 56, 0), (69, 36))
    arm = smooth((66, 52, 0), (72, 47), (81, 47), (85, 53), (82, 60), (80, 82, 0), (67, 82, 0))
    top = path((34, 15), (38, 9), (50, 7), (62, 9), (66, 15))
    outer = path((66, 14), (76, 16), (82, 26), (80, 40), (78, 47))
    return Shape(
        (
            *pair(leg),
            Part(back, shade=0.93),
            *pair(Part(wing)),
            Part(box(32, 66, 68, 82, 1), shade=0.94),
            Part(box(31.5, 56, 68.5, 68, 4)),
            *pair(Part(arm, lines=(fold((69, 55), (75, 51), (81, 55), strength=0.3),))),
        ),
        edges=(top, outer, outer * [-1, 1] + [100, 0], path((33, 67.6), (67, 67.6))),
        hems=(path((33, 81), (67, 81)),),
        bow=(50, 20),
        buttons=path((40, 30), (60, 30)),
        stands=True,
    )


def tub_chair() -> Shape:
    leg = Part(np.array([(66, 80), (72, 80), (75, 93), (72.5, 93)]), "wood", "turned")
    shell = both((50, 26), (70, 29), (86, 40), (90, 56), (85, 76), (76, 83, 0), (50, 84.5))
    hollow = both((50, 33), (66, 36), (77, 46), (79, 62, 0), (50, 66))
    rim = across((50, 26), (70, 29), (86, 40), (90, 56))
    front = both((50, 68), (75, 66, 0), (76, 83, 0), (50, 84.5))
    seat = both((50, 57), (68, 57.5), (77, 62), (76, 69), (66, 72), (50, 72.5))
    return Shape(
        (
            *pair(leg),
            Part(shell),
            Part(
                hollow, shade=0.76, lines=tuple(fold((x, 36), (50 + (x - 50) * 1.1, 60)) for x in (36, 43, 50, 57, 64))
            ),
            Part(front, shade=0.95),
            Part(seat),
        ),
        edges=(rim, across((50, 72.5), (66, 72), (76, 69)), across((50, 84), (76, 82.5))),
        hems=(across((50, 83), (74, 81.5)),),
        bow=(50, 40),
        buttons=path((34, 31), (66, 31)),
        stands=True,
    )


def stool() -> Shape:
    legs = tuple(
        Part(tube(path((x, 50), (foot, high)), 4, 2.8), "wood", "turned", bright)
        for x, foot, high, bright in ((36, 31, 86, 0.8), (64, 69, 86, 0.8), (30, 20, 93, 1.0), (70, 80, 93, 1.0))
    )
    rung = Part(tube(path((25, 74), (50, 77), (75, 74)), 2.2), "wood", "turned")
    seat = lathe(50, (30, 37, 0), (32.5, 41), (32.5, 50), (30, 53, 0), top=8, bottom=8)
    return Shape(
        (
            *legs,
            rung,
            Part(seat, "body", "turned", 0.94),
            Part(ellipse(50, 38, 31, 9), "body", "flat", 1.0, (fold((20, 39), (22, 43), strength=0.1),)),
        ),
        edges=(ring(50, 39, 32, 9), ring(50, 51.5, 31.5, 8.5)),
        hems=(ring(50, 53, 30, 8),),
        bow=(50, 49),
        buttons=ring(50, 48, 28, 7.5),
        stands=True,
    )


HOME = {
    ("vase", "bottle"): bottle_vase,
    ("vase", "amphora"): amphora,
    ("vase", "cylinder"): cylinder_vase,
    ("vase", "bud"): bud_vase,
    ("lamp", "cone"): cone_lamp,
    ("lamp", "drum"): drum_lamp,
    ("lamp", "globe"): globe_lamp,
    ("cushion", "square"): square_cushion,
    ("cushion", "bolster"): bolster,
    ("cushion", "round"): round_cushion,
    ("chair", "wingback"): wingback,
    ("chair", "tub"): tub_chair,
    ("chair", "stool"): stool,
}
