"""Silhouettes of mugs and teapots."""

from .canvas import (
    Outline,
    Part,
    Point,
    Shape,
    ellipse,
    lathe,
    path,
    ring,
    tube,
)


def _mug(x: float, profile: list[Point], handle: Outline, bottom: float = 4.0) -> Shape:
    wide, top = profile[0][:2]
    low, floor = profile[-1][:2]
    lip = ellipse(x, top, wide, 5)
    hem = ring(x, top + 9, wide - 1, 5)
    return Shape(
        (
            Part(tube(handle, 6), "body", "soft", 0.96),
            Part(lathe(x, *profile, top=5, bottom=bottom), "body", "turned"),
            Part(lip, "body", "flat", 1.0),
            Part(ellipse(x, top + 0.6, wide - 2.2, 3.6), "inside", "flat"),
        ),
        edges=(ring(x, top + 5, wide - 0.2, 5), ring(x, floor - 4, low + 1, bottom)),
        hems=(hem,),
        stands=True,
    )


def straight_mug() -> Shape:
    handle = path((66, 38), (80, 36), (88, 46), (87, 64), (78, 73), (65, 72))
    return _mug(43, [(27, 24, 0), (27, 84, 0)], handle)


def rounded_mug() -> Shape:
    handle = path((70, 38), (82, 37), (90, 46), (87, 59), (78, 66), (70, 66))
    return _mug(44, [(26, 28, 0), (29, 38), (33, 54), (30, 71), (25, 79), (17, 84, 0)], handle)


def tapered_mug() -> Shape:
    handle = path((74, 28, 0), (92, 28, 0), (90, 40, 0), (66, 64, 0))
    return _mug(44, [(35, 20, 0), (17, 86, 0)], handle, 3)


def _knob(x: float, y: float, wide: float, high: float) -> Part:
    return Part(ellipse(x, y, wide, high), "body", "soft")


def globe_teapot() -> Shape:
    spout = tube(path((24, 66), (14, 58), (12, 46), (5, 38)), 13, 5.5)
    handle = tube(path((73, 44), (86, 38), (94, 48), (91, 64), (76, 72)), 5)
    body = lathe(49, (13, 36, 0), (24, 41), (30, 56), (27, 72), (16, 84, 0), bottom=3)
    return Shape(
        (
            Part(spout, "body", "soft", 0.97),
            Part(handle, "body", "soft", 0.95),
            Part(body, "body", "turned"),
            Part(lathe(49, (3, 25, 0), (9, 27), (15, 36, 0), top=1, bottom=3), "body", "turned", 1.0),
            _knob(49, 22, 4.4, 4.2),
        ),
        edges=(ring(49, 43, 25.5, 5), ring(49, 79, 21, 4)),
        hems=(ring(49, 52, 29, 5),),
        stands=True,
    )


def tall_teapot() -> Shape:
    spout = tube(path((32, 70), (20, 62), (18, 44), (8, 30)), 11, 4.5)
    handle = tube(path((63, 30, 0), (82, 27), (88, 36), (84, 54), (72, 70)), 4.6)
    body = lathe(50, (12, 26, 0), (15, 40), (20, 60), (23, 76), (21, 88, 0), bottom=3.5)
    return Shape(
        (
            Part(spout, "body", "soft", 0.97),
            Part(handle, "body", "soft", 0.95),
            Part(body, "body", "turned"),
            Part(lathe(50, (2, 11, 0), (4, 17), (13.5, 26, 0), top=1, bottom=2.6), "body", "turned"),
            _knob(50, 9, 3.6, 3.6),
        ),
        edges=(ring(50, 31, 13.4, 3), ring(50, 83, 22.5, 3.5)),
        hems=(ring(50, 44, 16.4, 3),),
        stands=True,
    )


def squat_teapot() -> Shape:
    spout = tube(path((20, 70), (10, 62), (4, 52)), 13, 6)
    bail = tube(path((27, 54), (24, 30), (36, 14), (50, 11), (64, 14), (76, 30), (73, 54)), 3.6)
    body = lathe(50, (17, 50, 0), (34, 56), (40, 67), (34, 79), (22, 84, 0), bottom=3)
    return Shape(
        (
            Part(spout, "body", "soft", 0.97),
            Part(bail, "wood", "soft"),
            Part(body, "body", "turned"),
            Part(lathe(50, (4, 43, 0), (14, 45), (19, 50.5, 0), top=1, bottom=3.4), "body", "turned"),
            _knob(50, 40.5, 4.2, 3.6),
            Part(ellipse(27, 55, 2.6, 2.6), "body"),
            Part(ellipse(73, 55, 2.6, 2.6), "body"),
        ),
        edges=(ring(50, 57, 34, 5), ring(50, 77, 34, 5)),
        hems=(ring(50, 62, 38, 5),),
        stands=True,
    )


KITCHEN = {
    ("mug", "straight"): straight_mug,
    ("mug", "rounded"): rounded_mug,
    ("mug", "tapered"): tapered_mug,
    ("teapot", "globe"): globe_teapot,
    ("teapot", "tall"): tall_teapot,
    ("teapot", "squat"): squat_teapot,
}
