"""Silhouettes of dresses, shirts and jackets, as on an unseen tailor's dummy."""

from math import cos, pi, sin

import numpy as np

from .canvas import Part, Shape, across, both, box, fan, flip, fold, folds, pair, path, smooth, tube


def sheath_dress() -> Shape:
    neck = across((50, 21), (55.5, 18.5), (57.5, 9.5, 0))
    hem = across((50, 91.5), (63, 90.5))
    body = both(
        (50, 21), (55.5, 18.5), (57.5, 9.5, 0), (62, 9.5, 0), (61.5, 19), (66, 27, 0),
        (61.5, 42), (66, 58), (65, 75), (63, 90.5, 0), (50, 91.5),
    )  # fmt: skip
    seams = (
        *folds((57, 28), (55.5, 42), (57, 56)),
        fold((38.4, 43), (50, 44), (61.6, 43), strength=0.35),
        fold((57, 91), (57.5, 77), strength=0.5, width=0.9),
        fold((39, 60), (46, 63), strength=0.18),
    )
    return Shape(
        (Part(both((50, 13), (57, 11, 0), (55, 19), (50, 22)), "inside"), Part(body, lines=seams)),
        edges=(neck, hem),
        hems=(hem,),
        bow=(50, 43),
        buttons=path((50, 26), (50, 66)),
    )


def a_line_dress() -> Shape:
    neck = across((50, 18.5), (55, 16), (57.5, 9.5, 0))
    hem = across((50, 89.5), (67, 88), (81, 83.5))
    sleeve = Part(smooth((61, 10.5, 0), (68, 13), (74, 22, 0), (65.5, 26, 0), (62, 20)))
    bodice = both((50, 18.5), (55, 16), (57.5, 9.5, 0), (62.5, 10.5, 0), (64, 17), (64, 27, 0), (58.5, 42, 0), (50, 43))
    skirt = both((50, 41), (58.5, 41, 0), (68, 60), (81, 83.5, 0), (67, 88), (50, 89.5))
    return Shape(
        (
            Part(both((50, 12.5), (57, 11, 0), (54, 17), (50, 20)), "inside"),
            *pair(sleeve),
            Part(skirt, lines=fan((43, 57, 43), (24, 76, 90), 7)),
            Part(bodice, lines=folds((56, 28), (55, 40))),
            Part(both((50, 40), (58.8, 39.5, 0), (58.8, 43, 0), (50, 43.5)), "shade"),
        ),
        edges=(neck, hem),
        hems=(hem,),
        bow=(50, 42),
        buttons=path((50, 22), (50, 62)),
    )


def ball_gown() -> Shape:
    neck = across((50, 21, 0), (53, 17), (57.5, 15.5), (62.5, 19))
    hem = across((50, 93.5), (65, 91.5), (80, 93), (94, 88))
    skirt = both((50, 37), (57, 37.5, 0), (67, 42), (82, 56), (91, 74), (94, 88, 0), (80, 93), (65, 91.5), (50, 93.5))
    bodice = both((50, 21, 0), (53, 17), (57.5, 15.5), (62.5, 19, 0), (61.5, 28), (57, 39, 0), (50, 40.5))
    swags = (
        *fan((46, 54, 42), (30, 70, 92), 4),
        *folds((56.5, 42), (70, 58), (78, 92)),
        *folds((57, 40), (76, 56), (88, 88)),
    )
    return Shape(
        (
            Part(skirt, lines=swags),
            Part(bodice, lines=(*folds((56, 20), (54, 39)), fold((50, 22), (50, 39)))),
            Part(both((50, 37), (57.5, 35.5, 0), (57.5, 40, 0), (50, 41.5)), "shade"),
        ),
        edges=(neck, hem),
        hems=(hem,),
        bow=(50, 38),
        buttons=path((50, 44), (50, 86)),
    )


def wrap_dress() -> Shape:
    sleeve = smooth((60.5, 10.5, 0), (67, 13.5), (72, 27), (81, 48, 0), (73.5, 51.5, 0), (66.5, 37), (62.5, 28, 0))
    under = both(
        (50, 33, 0), (57, 10, 0), (62, 11, 0), (64, 20), (63.5, 28, 0), (59, 42, 0), (67, 58), (73, 80, 0),
        (62, 83), (50, 79),
    )  # fmt: skip
    over = smooth(
        (57, 10, 0), (62, 11, 0), (64, 20), (63.5, 28, 0), (59, 42, 0), (67, 58), (74, 81, 0), (66, 87),
        (57, 88), (52, 84, 0), (47, 64), (41, 44, 0), (41, 41, 0), (50, 30),
    )  # fmt: skip
    neck = path((57, 10), (50, 30), (41, 41))
    front = path((41, 44), (47, 64), (52, 84), (57, 88), (66, 87), (74, 81))
    tail = path((43, 43), (40, 54), (38, 64))
    other = path((43, 43), (44, 52), (47, 60))
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((67, 33), (71, 33), strength=0.3),))),
            Part(both((50, 12), (57, 11, 0), (50, 33, 0)), "inside"),
            Part(under, shade=0.85),
            Part(over, lines=(fold((58, 46), (64, 78)), fold((52, 46), (57, 82)), fold((59, 28), (50, 38)))),
            Part(both((50, 41), (59.3, 40.5, 0), (59.3, 44.5, 0), (50, 45)), "shade"),
            Part(tube(tail, 2.6), "shade"),
            Part(tube(other, 2.6), "shade"),
            Part(box(40.5, 40, 45, 45.5, 1.8), "shade"),
        ),
        edges=(neck, front),
        hems=(front,),
        bow=(44, 43),
        buttons=path((54, 50), (61, 78)),
    )


def fitted_shirt() -> Shape:
    sleeve = smooth((61, 15, 0), (68, 18), (73, 36), (78.5, 64, 0), (71, 66, 0), (66.5, 47), (63, 33, 0))
    torso = both(
        (50, 22), (56, 13, 0), (62, 15, 0), (65, 24), (65, 34, 0), (60.5, 52), (66, 75), (63, 81), (56, 80.5), (50, 83)
    )
    collar = smooth((50, 20, 0), (55, 11, 0), (60.5, 17, 0), (55.5, 24, 0))
    hem = across((50, 83), (56, 80.5), (63, 81), (66, 75))
    placket = (fold((48.4, 22), (48.4, 83)), fold((51.6, 22), (51.6, 83)))
    cuff = fold((70.5, 60.5), (77.8, 58.5), strength=0.4)
    return Shape(
        (
            *pair(Part(sleeve, lines=(cuff, fold((66, 38), (69, 36))))),
            Part(both((50, 10), (55, 11, 0), (50, 21, 0)), "inside"),
            Part(torso, lines=(*placket, *folds((57.5, 36), (56, 52), (57.5, 68)))),
            *pair(Part(collar)),
        ),
        edges=(
            hem,
            *(path((50, 20), (55.5, 24), (60.5, 17)), path((50, 20), (44.5, 24), (39.5, 17))),
            *(path((71, 66), (78.5, 64)), path((29, 66), (21.5, 64))),
        ),
        hems=(hem,),
        bow=(50, 22),
        buttons=path((50, 27), (50, 77)),
    )


def boxy_shirt() -> Shape:
    sleeve = smooth((63, 17, 0), (72, 20), (87, 39, 0), (75, 46.5, 0), (68, 38, 0))
    torso = both((50, 30, 0), (57, 14, 0), (63, 16.5, 0), (69.5, 24), (70, 36, 0), (70.5, 79, 0), (50, 80))
    collar = smooth((50, 31, 0), (56, 12.5, 0), (62, 17, 0), (60.5, 25, 0), (56.5, 23.5, 0), (57.5, 27.5, 0))
    hem = across((50, 80), (70.5, 79))
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((73, 43.5), (84.5, 36.5), strength=0.4),))),
            Part(both((50, 11.5), (56, 12.5, 0), (50, 31, 0)), "inside"),
            Part(
                torso,
                lines=(
                    fold((50, 31), (50, 80), strength=0.45),
                    fold((56.5, 38), (66, 38), (66, 49), (61.2, 51.5), (56.5, 49), (56.5, 38), strength=0.4),
                    *folds((66, 60), (65, 76), strength=0.2),
                ),
            ),
            *pair(Part(collar)),
        ),
        edges=(hem, path((75, 46.5), (87, 39)), path((25, 46.5), (13, 39))),
        hems=(hem,),
        bow=(50, 31),
        buttons=path((50, 36), (50, 74)),
    )


def tunic() -> Shape:
    sleeve = smooth((61.5, 13, 0), (69, 17), (76, 36), (88, 55, 0), (73, 62.5, 0), (67.5, 44), (64, 32, 0))
    torso = both((50, 17), (55.5, 12, 0), (62, 13, 0), (65, 22), (65, 32, 0), (67, 55), (72, 84), (66, 91), (50, 93))
    hem = across((50, 93), (66, 91), (72, 84))
    slit = fold((50, 18), (50, 45), strength=0.55, width=1.0)
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((72, 58), (86, 51), strength=0.35), fold((66, 40), (71, 37))))),
            Part(both((50, 10.5), (55, 11, 0), (50, 18)), "inside"),
            Part(torso, lines=(slit, *fan((40, 60, 56), (33, 67, 92), 4, 0.2), *folds((66.5, 66), (70.5, 82)))),
            Part(across((50, 20), (57, 11.5, 0), (54, 10.5, 0), (50, 16.5)), "shade"),
        ),
        edges=(hem, path((73, 62.5), (88, 55)), path((27, 62.5), (12, 55)), path((48.8, 20), (48.8, 45))),
        hems=(hem,),
        bow=(50, 20),
        buttons=path((50, 22), (50, 45)),
    )


def blazer() -> Shape:
    sleeve = smooth((62, 13, 0), (70, 16), (75.5, 36), (80, 70, 0), (71.5, 72, 0), (67.5, 50), (64.5, 34, 0))
    torso = both(
        (50, 49, 0), (56.5, 11, 0), (63, 13, 0), (67.5, 24), (67, 37, 0), (63, 52), (68.5, 79, 0), (60, 84),
        (53, 82), (50, 68, 0),
    )  # fmt: skip
    lapel = smooth((50, 50, 0), (57, 11, 0), (61, 15, 0), (63.5, 22.5, 0), (59.5, 24, 0), (64.5, 28.5, 0), (58, 42))
    front = path((50, 50), (50, 66), (53, 82), (60, 84), (68.5, 79))
    pocket = Part(smooth((56.5, 62, 0), (66, 61, 0), (66.5, 65.5, 0), (57, 66.5, 0)))
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((71, 68.5), (79.6, 66.5), strength=0.35), fold((68, 44), (71, 42))))),
            Part(both((50, 9.5), (56.5, 11, 0), (54, 40, 0), (50, 50)), "inside"),
            Part(torso, lines=(fold((50, 49), (50, 68), strength=0.55), *folds((59, 42), (58, 60)))),
            *pair(Part(lapel)),
            *pair(pocket),
        ),
        edges=(front, flip(front), path((50, 50), (64.5, 28.5), (59.5, 24)), path((50, 50), (35.5, 28.5), (40.5, 24))),
        hems=(across((50, 82), (60, 84), (68.5, 79)),),
        bow=(41, 33),
        buttons=path((51.5, 51), (51.5, 65)),
    )


def bomber() -> Shape:
    sleeve = smooth((62, 15.5, 0), (72, 18), (80, 36), (85, 57), (81, 65, 0), (72, 66, 0), (70, 52), (66.5, 38, 0))
    cuff = smooth((81.5, 64, 0), (80.5, 71, 0), (73, 72, 0), (71.8, 65, 0))
    torso = both((50, 18), (56.5, 13, 0), (63, 15.5, 0), (69, 26), (68.5, 38), (71.5, 56), (69, 70), (50, 73))
    ribs = fan((34, 66, 69), (35, 65, 79), 15, 0.3)
    hem = across((50, 80), (66, 79))
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((67, 42), (74, 40)), fold((70, 56), (78, 58)), fold((76, 62), (75, 54))))),
            *pair(Part(cuff, "shade", lines=fan((72, 81, 64), (73, 80, 72), 5, 0.3))),
            Part(both((50, 11), (56, 12, 0), (50, 20)), "inside"),
            Part(torso, lines=(*folds((58, 50), (64, 62), strength=0.5, width=1.0), *folds((65, 28), (60, 34)))),
            Part(both((50, 71), (67, 69, 0), (66, 79, 0), (50, 80)), "shade", lines=ribs),
            Part(across((50, 23), (58.5, 15, 0), (55.5, 10, 0), (50, 17.5)), "shade"),
            Part(box(49.2, 20, 50.8, 80), "steel", "flat"),
        ),
        edges=(
            *(across((50, 72), (67, 69.5)), across((50, 22.5), (58.5, 15))),
            *(path((71.8, 65.5), (81.5, 64.5)), path((28.2, 65.5), (18.5, 64.5))),
        ),
        hems=(hem,),
        bow=(50, 24),
        buttons=path((53.5, 29), (53.5, 66)),
    )


def parka() -> Shape:
    sleeve = smooth((63, 24, 0), (73, 26), (79.5, 44), (83, 72, 0), (73.5, 74, 0), (70.5, 56), (67, 44, 0))
    torso = both(
        (50, 27), (60, 22, 0), (65, 24, 0), (70, 34), (69.5, 46), (67.5, 58), (71.5, 74), (73, 90, 0), (50, 92)
    )
    hood = both((50, 3), (61, 6), (67.5, 16), (66, 27), (58, 33), (50, 35))
    fur = both(
        *((50 + (13.5 + step % 2 * 0.9) * sin(angle), 18.5 - (13.2 + step % 2 * 0.9) * cos(angle))
          for step, angle in enumerate(np.linspace(0, pi, 15).tolist()))
    )  # fmt: skip
    hollow = both((50, 9), (57, 11), (60.5, 18.5), (57, 27), (50, 31, 0))
    pocket = Part(smooth((55.5, 65, 0), (67, 64, 0), (67.5, 69, 0), (61.5, 72, 0), (56, 70, 0)))
    hem = across((50, 92), (73, 90))
    strip = path((53.5, 30), (53.5, 91.5))
    return Shape(
        (
            *pair(Part(sleeve, lines=(fold((73, 69), (82.6, 67), strength=0.4), fold((70, 50), (75, 48))))),
            Part(torso, lines=(fold((33, 58), (50, 60), (67, 58), strength=0.4), *folds((58, 60), (59, 63)))),
            *pair(pocket),
            Part(box(47, 29, 53.5, 91.7), lines=(fold((48, 58), (53, 58), strength=0.4),)),
            Part(hood),
            Part(fur, "ivory"),
            Part(hollow, "shade", "soft", 0.8, (*folds((53, 10), (55, 20), (51, 29)), fold((50, 9), (50, 30)))),
        ),
        edges=(hem, strip, path((73.5, 74), (83, 72)), path((26.5, 74), (17, 72))),
        hems=(hem,),
        bow=(50, 58),
        buttons=path((50.2, 36), (50.2, 86)),
    )


# How each of them is drawn, by kind and silhouette.
CLOTHES = {
    ("dress", "sheath"): sheath_dress,
    ("dress", "a-line"): a_line_dress,
    ("dress", "ball gown"): ball_gown,
    ("dress", "wrap"): wrap_dress,
    ("shirt", "fitted"): fitted_shirt,
    ("shirt", "boxy"): boxy_shirt,
    ("shirt", "tunic"): tunic,
    ("jacket", "blazer"): blazer,
    ("jacket", "bomber"): bomber,
    ("jacket", "parka"): parka,
}
