"""Silhouettes that are carried or put on: bags, hats and umbrellas."""

from .canvas import Part, Point, Shape, across, both, box, ellipse, fan, fold, folds, path, smooth, tube


def tote() -> Shape:
    body = both((50, 38), (77, 38, 0), (75, 60), (72, 90, 0), (50, 91.5))
    handle = path((37, 46), (38, 24), (50, 10), (62, 24), (63, 46))
    top = across((50, 38), (77, 38))
    hem = across((50, 45), (76.6, 45))
    return Shape(
        (
            Part(tube(path((41, 44), (42, 22), (50, 13), (58, 22), (59, 44)), 3), "dark"),
            Part(body, lines=(fold((23.5, 45), (76.5, 45), strength=0.35), *folds((70, 50), (67, 86), strength=0.2))),
            Part(tube(handle, 3.6), "shade"),
        ),
        edges=(top, path((28, 90), (50, 91.5), (72, 90))),
        hems=(hem,),
        bow=(50, 45),
        buttons=path((50, 54), (50, 82)),
        stands=True,
    )


def satchel() -> Shape:
    flap = both((50, 38), (83, 38, 0), (85, 46), (84, 62), (76, 68), (50, 69))
    edge = across((50, 69), (76, 68), (84, 62), (85, 46))
    straps = tuple(Part(box(x - 3, 38, x + 3, 75, 1.5), "dark") for x in (30, 70))
    buckles = tuple(Part(box(x - 4, 66, x + 4, 72, 1), "gold") for x in (30, 70))
    pins = tuple(Part(box(x - 1.8, 67.6, x + 1.8, 70.4), "dark", "flat") for x in (30, 70))
    return Shape(
        (
            Part(tube(path((36, 42), (37, 27), (50, 24), (63, 27), (64, 42)), 4.4), "dark"),
            Part(box(14, 38, 86, 88, 6), lines=(fold((18, 80), (82, 80), strength=0.25),)),
            Part(flap),
            *straps,
            *buckles,
            *pins,
        ),
        edges=(edge, path((18, 87.5), (50, 88), (82, 87.5))),
        hems=(edge,),
        bow=(50, 50),
        buttons=path((38, 60), (62, 60)),
        stands=True,
    )


def bucket_bag() -> Shape:
    body = both((50, 40), (65, 39, 0), (70, 54), (73, 76), (71, 88), (50, 91))
    frill = both((50, 29), (57, 30.5), (64, 28), (71, 30.5), (65, 40, 0), (50, 42))
    top = across((50, 29), (57, 30.5), (64, 28), (71, 30.5))
    bottom = across((50, 84), (72.5, 81))
    return Shape(
        (
            Part(tube(path((32, 38), (36, 14), (50, 5), (64, 14), (68, 38)), 3), "dark"),
            Part(both((50, 25), (64, 26), (70, 30), (50, 34)), "inside"),
            Part(body, lines=fan((37, 63, 41), (32, 68, 56), 8)),
            Part(frill, lines=fan((31, 69, 30), (37, 63, 40), 9, 0.35)),
            Part(tube(across((50, 41), (65.5, 39.5)), 2.2), "dark"),
            Part(tube(path((48, 41), (45, 48), (44, 57)), 1.6), "dark"),
            Part(tube(path((52, 41), (54, 50), (54, 60)), 1.6), "dark"),
            Part(ellipse(44, 58, 2, 2.4), "gold"),
            Part(ellipse(54, 61, 2, 2.4), "gold"),
        ),
        edges=(top, bottom),
        hems=(across((50, 58), (70.5, 56)),),
        bow=(50, 44),
        buttons=path((36, 72), (64, 72)),
        stands=True,
    )


def clutch() -> Shape:
    body = box(8, 36, 90, 80, 4)
    flap = smooth((9, 37, 0), (50, 35.5), (89, 37, 0), (86, 43), (56, 64), (49, 66), (42, 64), (12, 43))
    edge = path((9.5, 38), (12, 43), (42, 64), (49, 66), (56, 64), (86, 43), (88.5, 38))
    loop = path((89, 50), (96, 56), (96, 76), (92, 90), (87, 88), (87, 76), (90, 60))
    return Shape(
        (
            Part(tube(loop, 2.2), "dark"),
            Part(body, lines=(*folds((10, 78), (32, 60), strength=0.25),)),
            Part(flap),
            Part(ellipse(49, 61, 4.2, 4.2), "gold"),
        ),
        edges=(edge, path((12, 79.5), (49, 80), (86, 79.5))),
        hems=(edge,),
        bow=(49, 47),
        buttons=path((30, 43), (68, 43)),
    )


def fedora() -> Shape:
    brim = smooth((4, 62), (14, 58), (30, 60), (70, 60), (86, 57), (96, 60), (88, 70), (70, 76), (48, 77), (24, 74))
    crown = smooth(
        (25, 66, 0), (27, 48), (31, 33), (39, 25), (46, 27), (51, 30), (56, 26), (64, 25), (70, 34), (73, 48),
        (75, 65, 0), (62, 69), (50, 70), (38, 69.5),
    )  # fmt: skip
    band = smooth(
        (25.4, 58, 0), (38, 61.5), (50, 62), (62, 61), (74.4, 57, 0), (75, 66, 0), (62, 70), (50, 71), (38, 70.5),
        (25, 67, 0),
    )  # fmt: skip
    pinch = (
        fold((51, 30), (49, 40), (42, 50), strength=0.4, width=1.1),
        fold((66, 30), (60, 38), (63, 50), strength=0.35, width=1.0),
        fold((36, 30), (37, 38), (33, 46), strength=0.25),
    )
    front = path((4, 62), (10, 68), (24, 74), (48, 77), (70, 76), (88, 70), (96, 60))
    return Shape(
        (
            Part(brim, lines=(fold((24, 66), (50, 72), (76, 66), strength=0.3),)),
            Part(crown, lines=pinch),
            Part(band, "dark"),
        ),
        edges=(front, path((25.4, 57), (38, 60.5), (50, 61), (62, 60), (74.4, 56))),
        hems=(front,),
        bow=(68, 63),
        buttons=path((34, 65), (62, 66)),
        stands=True,
    )


def beanie() -> Shape:
    dome = both((50, 22), (63, 24), (74, 36), (79, 54), (79, 66, 0), (50, 68))
    cuff = both((50, 60), (80, 57), (83, 62), (82, 78), (78, 81), (50, 84))
    angles = [index * 0.125 for index in range(16)]
    spots: list[Point] = []
    for angle in angles:
        reach = 10.5 if (angle * 8) % 2 else 9
        spots.extend([tuple(ellipse(50, 15, reach, reach, angle, angle + 0.01)[0])])
    ribs = tuple(
        fold((50 + step * 1.5, 23), (50 + step * 5.2, 40), (50 + step * 6.6, 62), strength=0.28)
        for step in range(-4, 5)
    )
    edge = across((50, 60), (80, 57))
    return Shape(
        (
            Part(dome, lines=ribs),
            Part(cuff, "body", "soft", 0.93, fan((19, 81, 58), (20, 80, 83), 17, 0.32)),
            Part(smooth(*spots), "shade", lines=(fold((46, 12), (49, 16)), fold((54, 18), (51, 21)))),
        ),
        edges=(edge, across((50, 82), (81, 78))),
        hems=(across((50, 84), (78, 81)),),
        bow=(66, 70),
        buttons=path((30, 71), (70, 71)),
        stands=True,
    )


def cap() -> Shape:
    crown = smooth((32, 66, 0), (31, 50), (38, 36), (52, 28), (68, 29), (82, 38), (89, 52), (90, 68, 0), (62, 71))
    visor = smooth((33, 60, 0), (20, 62), (7, 68), (3, 74), (14, 75), (32, 73), (50, 74), (58, 70.5, 0))
    seams = (
        fold((58, 28), (48, 42), (45, 68), strength=0.4),
        fold((60, 28), (72, 42), (74, 69), strength=0.4),
        fold((32, 63), (60, 66), (90, 63), strength=0.3),
    )
    eyelets = tuple(Part(ellipse(x, y, 1.1, 1.1), "dark", "flat") for x, y in ((60, 42), (81, 47), (41, 46)))
    front = path((3, 74), (14, 75), (32, 73), (50, 74), (58, 70.5))
    return Shape(
        (
            Part(crown, lines=seams),
            *eyelets,
            Part(visor, "body", "soft", 0.92, (fold((10, 71), (30, 68.5), (50, 70), strength=0.25),)),
            Part(ellipse(59.5, 27.5, 3.4, 2), "shade"),
        ),
        edges=(front, path((33, 62), (60, 66), (89.5, 63))),
        hems=(front,),
        bow=(82, 64),
        buttons=path((66, 58), (84, 56)),
        stands=True,
    )


def sun_hat() -> Shape:
    brim = smooth(
        (1, 66), (12, 58), (30, 54), (50, 53), (70, 54), (90, 57), (99, 66), (92, 74), (80, 73), (66, 80), (50, 77),
        (34, 81), (20, 75), (8, 76),
    )  # fmt: skip
    crown = both((50, 28), (62, 29.5), (70, 38), (73, 56, 0), (62, 61), (50, 62))
    band = both((50, 54), (63, 53), (72, 49, 0), (73.2, 56.5, 0), (63, 61.5), (50, 62.5))
    ripples = (
        fold((34, 64), (34, 79)), fold((66, 64), (66, 78)), fold((22, 60), (12, 70)), fold((78, 60), (88, 70)),
        fold((6, 66), (30, 71), (50, 70), (70, 71), (94, 66), strength=0.2),
    )  # fmt: skip
    front = path((1, 66), (8, 76), (20, 75), (34, 81), (50, 77), (66, 80), (80, 73), (92, 74), (99, 66))
    return Shape(
        (Part(brim, lines=ripples), Part(crown, lines=fan((44, 56, 30), (36, 64, 52), 3, 0.15)), Part(band, "dark")),
        edges=(front, across((50, 53.5), (63, 52.5), (72, 48.5))),
        hems=(front,),
        bow=(67, 57),
        buttons=path((33, 57), (67, 57)),
        stands=True,
    )


def _umbrella(canopy: list[Point], ends: list[tuple[float, float]], tip: float, top: float, rise: float) -> Shape:
    """A canopy whose right half runs from the tip to the outermost rib end, scalloped between all rib ends."""
    rims: list[Point] = []
    for (x, y), (next_x, next_y) in zip(ends[1:], ends, strict=False):
        rims += [((x + next_x) / 2, (y + next_y) / 2 - rise), (x, y, 0)]
    body = both(*canopy, *rims)
    hem = across(*((point[0], point[1], 0) if len(point) == 3 else point for point in [canopy[-1], *rims][::-1]))
    ribs = tuple(
        line
        for x, y in ends[1:-1]
        for line in folds(
            (50, top + 1), (50 + (x - 50) * 0.72, top + (y - top) * 0.42), (x, y), strength=0.4, width=0.8
        )
    )
    spine = fold((50, top), (50, ends[-1][1]), strength=0.4, width=0.8)
    hook = path((50, 82), (50.3, 91), (54.5, 95.5), (59, 92), (59, 88))
    return Shape(
        (
            Part(box(49, ends[-1][1] - 8, 51, 84), "steel", "turned"),
            Part(tube(hook, 3.2), "wood"),
            Part(box(49.1, tip, 50.9, top + 3, 0.8), "steel", "turned"),
            Part(body, lines=(*ribs, spine)),
        ),
        edges=(hem,),
        hems=(hem,),
        bow=(50, top + 15),
        buttons=path((50, top + 8), (50, ends[-1][1] - 5)),
    )


def dome_umbrella() -> Shape:
    canopy: list[Point] = [(50, 10), (64, 12.5), (76, 21), (84, 35), (87, 50), (86, 64, 0)]
    return _umbrella(canopy, [(86, 64), (70, 66), (50, 67)], 4, 10, 3)


def classic_umbrella() -> Shape:
    canopy: list[Point] = [(50, 20), (66, 22), (82, 31), (93, 44), (97, 55, 0)]
    return _umbrella(canopy, [(97, 55), (82, 54), (66, 54), (50, 54)], 12, 20, 5)


def pagoda_umbrella() -> Shape:
    canopy: list[Point] = [(50, 9, 0), (53, 20), (60, 31), (72, 41), (84, 49), (98, 50, 0)]
    return _umbrella(canopy, [(98, 50), (78, 59), (60, 62), (50, 63)], 2, 9, 2.5)


ACCESSORIES = {
    ("bag", "tote"): tote,
    ("bag", "satchel"): satchel,
    ("bag", "bucket"): bucket_bag,
    ("bag", "clutch"): clutch,
    ("hat", "fedora"): fedora,
    ("hat", "beanie"): beanie,
    ("hat", "cap"): cap,
    ("hat", "sun hat"): sun_hat,
    ("umbrella", "dome"): dome_umbrella,
    ("umbrella", "classic"): classic_umbrella,
    ("umbrella", "pagoda"): pagoda_umbrella,
}
