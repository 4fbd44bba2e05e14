"""What a tower has learnt, on items that taught it nothing: texts found by pictures, and columns read by a line."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
RESTRAINTS = (1e-4, 1e-3, 1e-2, 1e-1)


def recall(pictures: Floats, texts: Floats, *, among: int = 100, draws: int = 20, seed: int = 0) -> dict[str, float]:
    """How often a picture's own text is the nearest, or one of ten, among so many texts drawn anew for each draw.

    Ties count against it.
    """
    among = min(among, len(pictures))
    rng = np.random.default_rng(seed)
    ranks = []
    for _ in range(draws if among < len(pictures) else 1):
        chosen = rng.permutation(len(pictures))[:among]
        likeness = pictures[chosen] @ texts[chosen].T
        ranks.append((likeness >= np.diagonal(likeness)[:, None]).sum(axis=1))
    every = np.concatenate(ranks)
    return {"recall@1": float((every <= 1).mean()), "recall@10": float((every <= 10).mean()), "among": among}


def reads(
    vectors: Floats, values: Sequence[str | None], learn: Places, ask: Places, *, steps: int = 100
) -> dict[str, float] | None:
    """The share of asked rows whose value a logistic regression on the vectors reads, and that of the commonest.

    The restraint on its weights is chosen on a fifth of the rows that it learns from. None where there is nothing to
    tell apart.
    """
    learn = np.array([row for row in learn.tolist() if values[row] is not None], dtype=np.int64)
    known = sorted({str(values[row]) for row in learn.tolist()})
    number = {name: place for place, name in enumerate(known)}
    ask = np.array([row for row in ask.tolist() if values[row] in number], dtype=np.int64)
    if len(known) < 2 or len(ask) < 10 or len(learn) < 5 * len(known):
        return None
    table = torch.from_numpy((vectors - vectors[learn].mean(axis=0)) / (vectors[learn].std(axis=0) + 1e-6))
    wanted = torch.tensor([number.get(str(value), 0) for value in values])
    later = np.arange(len(learn)) % 5 == 0
    tried = [
        (_right(table, wanted, _line(table, wanted, learn[~later], len(known), one, steps), learn[later]), one)
        for one in RESTRAINTS
    ]
    line = _line(table, wanted, learn, len(known), max(tried)[1], steps)
    common = int(np.bincount(wanted[learn].numpy()).argmax())
    return {
        "accuracy": _right(table, wanted, line, ask),
        "commonest": float((wanted[ask] == common).float().mean()),
        "values": len(known),
    }


Line = tuple[torch.Tensor, torch.Tensor]


def _line(table: torch.Tensor, wanted: torch.Tensor, rows: Places, kinds: int, restraint: float, steps: int) -> Line:
    weight = torch.zeros(table.shape[1], kinds, requires_grad=True)
    bias = torch.zeros(kinds, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps)

    def closure() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(table[rows] @ weight + bias, wanted[rows])
        loss = loss + restraint * weight.pow(2).sum()
        torch.autograd.backward(loss)
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _right(table: torch.Tensor, wanted: torch.Tensor, line: Line, rows: Places) -> float:
    weight, bias = line
    return float(((table[rows] @ weight + bias).argmax(dim=1) == wanted[rows]).float().mean())
