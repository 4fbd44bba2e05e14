"""Silhouettes from the waist down: skirts and trousers."""

import numpy as np

from .canvas import Outline, Part, Shape, across, along, both, box, fan, flip, fold, folds, pair, path, smooth


def pencil_skirt() -> Shape:
    hem = across((50, 89), (61, 88))
    body = both((50, 16), (60, 15, 0), (66, 28), (68, 42), (66, 62), (61, 88, 0), (50, 89))
    seams = (*folds((56, 20), (57.5, 32)), fold((57.5, 88.5), (58, 68), strength=0.5, width=1.0))
    return Shape(
        (Part(body, lines=seams), Part(both((50, 12), (60.3, 11, 0), (60.8, 16.5, 0), (50, 17.5)))),
        edges=(across((50, 17.5), (60.8, 16.5)), hem),
        hems=(hem,),
        bow=(50, 16),
        buttons=path((43, 24), (43, 76)),
    )


def pleated_skirt() -> Shape:
    right = [(50, 84, 0)]
    for index in range(1, 6):
        right += [(50 + 7 * index - 2, 84.5 - index * 0.5, 0), (50 + 7 * index, 82 - index * 0.8, 0)]
    body = both((50, 20), (60, 20, 0), (72, 48), (85, 78, 0), *right[::-1])
    pleats = tuple(
        fold(
            (50 + step * 2, 21), (50 + step * 4.5, 48), (50 + step * 7, 82 - abs(step) * 0.8), strength=0.42, width=0.9
        )
        for step in range(-4, 5)
    )
    hem = across((50, 84), (68, 82), (85, 78))
    return Shape(
        (Part(body, lines=pleats), Part(both((50, 15), (60.5, 14.5, 0), (61, 21, 0), (50, 22)))),
        edges=(across((50, 22), (61, 21)), across((50, 79), (67, 77), (82.5, 73))),
        hems=(hem,),
        bow=(50, 19),
        buttons=path((50, 26), (50, 74)),
    )


def tiered_skirt() -> Shape:
    def tier(top: float, narrow: float, bottom: float, wide: float, gathers: int) -> Part:
        ruffle = [(50 + wide - 6 * step, bottom + (2 if step % 2 else 0)) for step in range(1, int(wide // 6) + 1)]
        outline = both((50, top), (50 + narrow, top, 0), (50 + wide, bottom, 0), *ruffle, (50, bottom + 1))
        span = (bottom - top) * 0.6
        lines = fan((50 - narrow, 50 + narrow, top), (50 - narrow * 1.1, 50 + narrow * 1.1, top + span), gathers)
        return Part(outline, lines=lines)

    hem = across((50, 91), (84, 89))
    return Shape(
        (
            tier(60, 24, 89, 34, 12),
            tier(37, 16, 64, 26.5, 9),
            tier(18, 10, 41, 18, 6),
            Part(both((50, 12), (60.5, 11.5, 0), (61, 18.5, 0), (50, 19.5))),
        ),
        edges=(across((50, 41), (68, 40)), across((50, 64.5), (76, 63.5)), hem),
        hems=(hem,),
        bow=(50, 17),
        buttons=path((50, 24), (50, 84)),
    )


def _trousers(outer: tuple[tuple[float, ...], ...], crotch: float, top: float, knee: tuple[float, ...]) -> Part:
    body = both((50, top), (61.5, top - 0.5, 0), *outer, (50, crotch, 0))
    fly = fold((50, top), (50, crotch), strength=0.5, width=0.9)
    bend = fold((53, crotch - 8), (51, crotch - 5), (50, crotch - 4), strength=0.35)
    pockets = folds((58, top + 5), (60, top + 11), (63.5, top + 14), strength=0.4)
    return Part(body, lines=(fly, bend, *pockets, *folds((57, crotch + 2), knee, strength=0.28)))


def slim_trousers() -> Shape:
    body = _trousers(((65.5, 26), (64, 54), (60, 92, 0), (53, 92.5, 0), (51.8, 62)), 35, 13, (56.6, 90))
    hems = path((53, 92.5), (60, 92))
    return _legs(body, 8.5, hems)


def wide_trousers() -> Shape:
    body = _trousers(((66, 26), (72, 58), (80, 90, 0), (54, 92.5, 0), (51.5, 62)), 36, 13, (66, 91))
    more = folds((60, 44), (73, 90), strength=0.2)
    return _legs(Part(body.outline, lines=(*body.lines, *more)), 8.5, path((54, 92.5), (80, 90)))


def cropped_trousers() -> Shape:
    body = _trousers(((68, 34), (68, 56), (65, 76, 0), (53, 77, 0), (51.4, 58)), 44, 18, (59.5, 74))
    cuff = Part(smooth((52.3, 75, 0), (66, 74, 0), (66, 82, 0), (52.7, 83, 0)), shade=0.9)
    return _legs(body, 13.5, path((52.7, 83), (66, 82)), *pair(cuff))


def _legs(body: Part, top: float, hem: Outline, *cuffs: Part) -> Shape:
    band = Part(both((50, top), (61.3, top - 0.5, 0), (62.2, top + 5.5, 0), (50, top + 6.5)))
    loops = tuple(Part(box(x - 0.9, top - 0.4, x + 0.9, top + 6.8, 0.4)) for x in (42.5, 57.5))
    return Shape(
        (body, band, *loops, *cuffs),
        edges=(across((50, top + 6.5), (62.2, top + 5.5)), hem, flip(hem)),
        hems=(hem, flip(hem)),
        bow=(50, top + 4),
        buttons=along(hem, 3)[1] + np.array([[0, -8.0], [0, -40.0]]),
    )


SKIRTS = {
    ("skirt", "pencil"): pencil_skirt,
    ("skirt", "pleated"): pleated_skirt,
    ("skirt", "tiered"): tiered_skirt,
    ("trousers", "slim"): slim_trousers,
    ("trousers", "wide"): wide_trousers,
    ("trousers", "cropped"): cropped_trousers,
}
