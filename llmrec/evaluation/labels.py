"""Letter labels in an evaluation: which list they put in order, what they change, and what the order does to them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.evaluation.run import MAIN, Cases, Ranked
from llmrec.retrieval.retriever import Retriever, ndcg, some_cases
from llmrec.significance import compare
from llmrec.splits import Split

if TYPE_CHECKING:
    from llmrec.tuning.labelling import Agreement, LabelRanking

JUDGES = 1_000
"""Validation targets by which the retriever is chosen, at most."""
ASKED_TWICE = 50
"""People whose candidates are shown in two orders, at most."""


def best_retriever(retrievers: Sequence[Retriever], split: Split, *, seed: int = 0) -> Retriever:
    """The best on validation; the last, which is a fusion, where nothing tells them apart."""
    cases = some_cases(split, "valid", JUDGES, seed=seed)
    return max(reversed(retrievers), key=lambda one: ndcg(one, cases))


def told(
    labels: "LabelRanking", systems: Sequence[Ranked], cases: Cases, *, trained: int, seed: int = 0
) -> dict[str, Any]:
    """What a report says of labels besides their measures: the gap to their retriever is paired over people."""
    own, floor = (next(one for one in systems if one.name == name) for name in (labels.name, labels.retriever.name))
    gaps = {name: asdict(compare(own.gains.column(name), floor.gains.column(name), seed=seed)) for name in MAIN}
    some = np.random.default_rng(seed).permutation(len(cases))[:ASKED_TWICE]
    order = labels.agreement([cases.histories[place] for place in some])
    gap = gaps[MAIN[0]]
    note = (
        f"{labels.name}: the first {labels.first} of {floor.name}, which is the best retriever on validation, in the "
        f"order of their labels; NDCG@10 {gap['mean']:+.4f} against it (p {gap['p']:.3f}, paired). "
        f"{_of_order(order, labels.first)}"
    )
    if labels.first > trained:
        note += f". The run learnt the first {trained} labels alone"
    return {
        "system": labels.name,
        "retriever": floor.name,
        "first": labels.first,
        "orders": labels.orders,
        "gaps": gaps,
        "order": asdict(order),
        "note": note + ".",
    }


def _of_order(order: "Agreement", first: int) -> str:
    """How much an answer depends on the order of the candidates, with 95 % intervals over people."""
    same, alike = order.same_first, order.correlation
    if same is None or alike is None:
        who = "a single one" if order.people else "none"
        return (
            f"What the order of candidates does to it cannot be told: of the people asked, {who} has a history and a "
            f"list of {first} candidates. Ask more people, or for fewer labels"
        )
    return (
        f"In two orders of the same candidates the first is the same for {same.mean:.0%} of {order.people} people "
        f"(95 %: {same.low:.0%} to {same.high:.0%}; chance: {1 / first:.0%}), the rank correlation "
        f"{alike.mean:.2f} (95 %: {alike.low:.2f} to {alike.high:.2f})"
    )
