"""Candidates for many people at once, for a nightly job: a block of people for every core, no store in between."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from llmrec.log import Codes
from llmrec.retrieval.fusion import DEEP, Candidates, fuse
from llmrec.retrieval.neighbours import Neighbours
from llmrec.retrieval.retriever import Floats, Retriever, best, leave_out
from llmrec.retrieval.sasrec import SasRec

BLOCK = 64  # people: their scores of 100,000 items still fit where memory is used again and not asked for anew


def top_candidates(
    parts: Sequence[Retriever],
    histories: Sequence[Codes],
    count: int,
    *,
    weights: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.int64]:
    """The fused candidates of each person as item codes, best first; -1 where there are fewer."""
    import torch

    blocks = [histories[begin : begin + BLOCK] for begin in range(0, len(histories), BLOCK)]
    threads = torch.get_num_threads()
    # What costs is in numpy, scipy and torch, which run beside Python: a block a core, and no core asked by two blocks.
    with ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(lambda block: _block(parts, block, count, weights), blocks))
    torch.set_num_threads(threads)
    return np.concatenate([*found, np.zeros((0, count), dtype=np.int64)])


def _block(
    parts: Sequence[Retriever], histories: Sequence[Codes], count: int, weights: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int64]:
    answer = np.full((len(histories), count), -1, dtype=np.int64)
    lists = [_best(part, histories) for part in parts]
    for row, (items, scores) in enumerate(fuse(lists, weights)):
        top = items[np.argsort(-scores, kind="stable")[:count]]
        answer[row, : len(top)] = top
    return answer


def _best(part: Retriever, histories: Sequence[Codes]) -> Candidates:
    if isinstance(part, Neighbours):
        return _sparse(part, histories)
    if isinstance(part, SasRec):
        return _dense(part, histories)
    return Candidates(*best(leave_out(part.score(histories), histories), DEEP))


def _sparse(part: Neighbours, histories: Sequence[Codes]) -> Candidates:
    """The best of each sparse row, without ever holding a row of all items."""
    rows = part.sparse_scores(histories)
    items = np.full((len(histories), DEEP), -1, dtype=np.int64)
    scores = np.full((len(histories), DEEP), -np.inf, dtype=np.float32)
    owned = np.zeros(rows.shape[1], dtype=bool)
    for row, history in enumerate(histories):
        own = slice(rows.indptr[row], rows.indptr[row + 1])
        found, values = rows.indices[own], rows.data[own]
        owned[history] = True
        free = ~owned[found]
        owned[history] = False
        found, values = found[free], values[free]
        top = _order(values)
        items[row, : len(top)], scores[row, : len(top)] = found[top], values[top]
    return Candidates(items, scores)


def _order(values: Floats) -> npt.NDArray[np.int64]:
    if len(values) > DEEP:
        some = np.argpartition(-values, DEEP - 1)[:DEEP]
        return np.asarray(some[np.argsort(-values[some], kind="stable")])
    return np.argsort(-values, kind="stable")


def _dense(part: SasRec, histories: Sequence[Codes]) -> Candidates:
    """Scores of all items and their best by torch, which finds the best faster than numpy does."""
    import torch

    vectors = torch.from_numpy(part.vectors)
    scores = torch.from_numpy(part.people(histories)) @ vectors.T
    scores.numpy()[[not len(history) for history in histories]] = -np.inf
    leave_out(scores.numpy(), histories)
    top = torch.topk(scores, min(DEEP, scores.shape[1]), dim=1)
    values = top.values.numpy()
    return Candidates(np.where(np.isfinite(values), top.indices.numpy(), -1), values)
