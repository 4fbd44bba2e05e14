"""Silhouettes of shoes, from the side and with the toe to the left."""

from .canvas import Part, Shape, box, ellipse, fan, fold, path, smooth, tube


def sneaker() -> Shape:
    opening = path((50, 35), (60, 40), (72, 41), (86, 33))
    upper = smooth(
        (11, 68, 0), (12, 59), (22, 53), (36, 48), (50, 35, 0), (60, 40), (72, 41), (86, 33, 0), (90, 48),
        (90, 69, 0), (50, 70),
    )  # fmt: skip
    laces = tuple(
        Part(tube(path((x, y), (x + 6, y + 5)), 2), "ivory", "flat") for x, y in ((34, 46.5), (39, 43), (44, 38.5))
    )
    quarter = fold((49, 36), (56, 52), (54, 68), strength=0.4)
    return Shape(
        (
            Part(smooth((46, 42), (47, 32), (55, 29), (60, 42)), shade=0.85),
            Part(smooth((54, 40), (70, 36), (86, 33, 0), (82, 42), (66, 44)), "inside"),
            Part(upper, lines=(quarter, fold((56, 52), (74, 54), (90, 56), strength=0.25))),
            Part(smooth((11, 68, 0), (12, 59), (21, 53.5), (27, 60), (29, 69, 0)), "ivory"),
            Part(smooth((80, 45, 0), (89, 43, 0), (90, 69, 0), (82, 69, 0)), "shade"),
            *laces,
            Part(
                smooth((8, 70), (11, 66.5, 0), (50, 69), (90, 67, 0), (92, 73), (88, 78), (50, 79), (13, 78)),
                "ivory",
                lines=(fold((9, 73.5), (50, 75), (91, 73.5), strength=0.3),),
            ),
        ),
        edges=(path((50, 35), (60, 40), (72, 41), (86, 33)), path((12, 65), (50, 68), (90, 65))),
        hems=(opening,),
        bow=(43, 39),
        buttons=path((55, 60), (78, 60)),
        stands=True,
    )


def ankle_boot() -> Shape:
    upper = smooth(
        (12, 80, 0), (13, 71), (26, 63), (40, 55), (45, 43), (44, 16, 0), (75, 14, 0), (76, 40), (80, 58),
        (79, 78, 0), (58, 78), (40, 82),
    )  # fmt: skip
    top = path((44, 16), (60, 15.5), (75, 14))
    panel = smooth((54, 19, 0), (66, 18.5, 0), (65, 44), (61, 52), (57, 44))
    sole = smooth(
        (10, 80, 0), (40, 81.5), (58, 77.5), (80, 77, 0), (80, 81, 0), (60, 81.5), (44, 86), (24, 87), (11, 85)
    )
    return Shape(
        (
            Part(smooth((68, 18, 0), (68, 9), (74, 8), (75, 18, 0)), "shade"),
            Part(box(61, 78, 80, 88, 1), "dark", lines=(fold((61, 84), (80, 84)),)),
            Part(upper, lines=(fold((44, 46), (52, 56), (54, 78), strength=0.35), fold((30, 61), (34, 64)))),
            Part(panel, "shade", lines=fan((54.5, 65.5, 19), (57, 62.5, 49), 5, 0.3)),
            Part(sole, "dark"),
        ),
        edges=(top, path((13, 77), (40, 78), (58, 74), (79, 74))),
        hems=(top,),
        bow=(50, 36),
        buttons=path((71, 22), (73, 64)),
        stands=True,
    )


def loafer() -> Shape:
    opening = path((42, 45), (58, 53), (74, 49), (88, 37))
    upper = smooth(
        (7, 75, 0), (7, 66), (14, 57), (28, 49), (42, 45, 0), (58, 53), (74, 49), (88, 37, 0), (94, 50),
        (92, 72, 0), (64, 73), (44, 76),
    )  # fmt: skip
    sole = smooth(
        (5, 75, 0), (40, 76.5), (62, 72.5), (93, 71, 0), (93, 75.5, 0), (64, 76), (44, 80.5), (20, 81), (6, 79.5)
    )
    apron = fold((9, 66), (16, 61), (32, 61.5), (46, 58), (52, 52), strength=0.6, width=1.1)
    return Shape(
        (
            Part(smooth((42, 45), (60, 40), (88, 37, 0), (75, 52), (58, 55)), "inside"),
            Part(box(70, 73, 93, 82, 1), "dark"),
            Part(upper, lines=(apron, fold((71, 51), (72, 72), strength=0.4), fold((72, 64), (92, 62), strength=0.3))),
            Part(smooth((31, 48, 0), (40, 45, 0), (55, 61), (56, 73, 0), (45, 75.5, 0), (43, 62)), "shade"),
            Part(tube(path((36, 50.5), (42, 54), (48, 59)), 3.6), "gold"),
            Part(ellipse(42, 54.3, 2.2, 1.4), "dark", "flat"),
            Part(sole, "dark"),
        ),
        edges=(opening, path((8, 71.5), (40, 73), (62, 69), (92, 68))),
        hems=(opening,),
        bow=(33, 50),
        buttons=path((60, 62), (86, 57)),
        stands=True,
    )


def court_shoe() -> Shape:
    opening = path((32, 63), (46, 70), (62, 64), (76, 47), (86, 34))
    upper = smooth(
        (5, 82, 0), (9, 75), (20, 68), (32, 63, 0), (46, 70), (62, 64), (76, 47), (86, 34, 0), (93, 46), (92, 57),
        (80, 64), (66, 76), (50, 82.5), (20, 84),
    )  # fmt: skip
    heel = smooth((80, 60, 0), (93, 52, 0), (90.5, 70), (89.5, 86.5, 0), (85.5, 86.5, 0), (85.5, 74))
    far = smooth((32, 63), (46, 58), (68, 44), (86, 34, 0), (77, 49), (62, 66), (46, 71))
    return Shape(
        (
            Part(heel, "shade"),
            Part(far, "inside"),
            Part(upper, lines=(fold((66, 61), (72, 70), strength=0.3),)),
            Part(tube(path((6, 83.5), (28, 84.5), (50, 83), (66, 76.5), (80, 65)), 1.8), "dark"),
        ),
        edges=(opening, path((8, 80.5), (28, 82), (50, 80), (66, 73), (80, 61), (92, 54))),
        hems=(opening,),
        bow=(26, 66),
        buttons=path((52, 76), (84, 50)),
        stands=True,
    )


SHOES = {
    ("shoe", "sneaker"): sneaker,
    ("shoe", "ankle boot"): ankle_boot,
    ("shoe", "loafer"): loafer,
    ("shoe", "court shoe"): court_shoe,
}
