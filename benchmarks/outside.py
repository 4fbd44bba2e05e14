"""Others' own code on our splits: cornac's SASRec, GRU4Rec, VBPR and BPR beside the retrievers of an index.

Each is fitted on the training rows of the index's split and, where it can choose an epoch, chooses on validation; then
all rank every item for the same people, ties against the ranker. Settings are cornac's defaults but for those in
SETTINGS, which say what was changed. VBPR takes the index's picture vectors and is left out where there are none. The
package is not one of ours: pip install cornac==3.0.1 matplotlib

examples:
  python benchmarks/outside.py work/demo/index --quick
  python benchmarks/outside.py work/amazon/beauty/index work/amazon/toys/index --json benchmarks/results/outside.json
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import arguments, record

sys.path.insert(0, str(Path(__file__).parent.parent))
PACKAGES = ("torch", "numpy", "cornac")
SHOWN = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
SETTINGS: dict[str, dict[str, Any]] = {
    # An epoch is chosen by NDCG@10 of some validation people, as ours is; defaults would take the last of ten.
    "SASRec": {"n_epochs": 30, "model_selection": "best", "val_eval_every": 3, "val_metric": "ndcg", "val_k": 10},
    "GRU4Rec": {"n_epochs": 30, "model_selection": "best", "val_eval_every": 3, "val_metric": "ndcg", "val_k": 10},
    "VBPR": {"k": 32, "k2": 32},
    "BPR": {"k": 64, "max_iter": 200, "learning_rate": 0.05},
}
JUDGES = 500  # validation people by whom an epoch is chosen


class Outsider:
    """A fitted model of cornac as one of our retrievers. Whoever is asked for is known by the history."""

    def __init__(
        self, name: str, model: Any, people: dict[bytes, int], to_item: np.ndarray, items: int, by_history: bool
    ):
        self.name, self.model, self.people, self.to_item = name, model, people, to_item
        self.items, self.by_history = items, by_history
        self.from_item = {int(item): place for place, item in enumerate(to_item.tolist())}

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Scores of all items; items that cornac never saw in training have none."""
        found = np.full((len(histories), self.items), -np.inf, dtype=np.float32)
        for row, history in zip(found, histories, strict=True):
            person = self.people[np.asarray(history, dtype=np.int32).tobytes()]
            if self.by_history:
                known = [self.from_item[item] for item in history.tolist() if item in self.from_item]
                told = self.model.score(person, known)
            elif person < 0:  # it learnt from nothing that this person took
                continue
            else:
                told = self.model.score(person)
            row[self.to_item] = np.asarray(told, dtype=np.float32)[: len(self.to_item)]
        return found


def systems_of(index: Any, split: Any, *, quick: bool, seed: int) -> list[Outsider]:
    """All models of cornac, fitted on the training rows."""
    import cornac
    from cornac.data import Dataset, ImageModality, SequentialDataset

    from llmrec.splits import TRAIN

    log = split.log
    owner, rows = log.user_of_rows(), np.flatnonzero(split.part == TRAIN)
    triples = [(str(owner[row]), str(log.item[row]), 1.0) for row in rows.tolist()]
    walks = [(str(owner[row]), str(owner[row]), str(log.item[row]), 1) for row in rows.tolist()]
    pairs = Dataset.from_uir(triples, seed=seed)
    walked = SequentialDataset.build(walks, fmt="USIT", seed=seed)
    judges = np.random.default_rng(seed).permutation(split.rows("valid"))[:JUDGES]
    lines = [
        (str(owner[row]), str(owner[row]), str(log.item[place]), int(place))
        for row in np.sort(judges).tolist()
        for place in range(int(log.start[owner[row]]), row + 1)
    ]
    judged = SequentialDataset.build(
        lines,
        fmt="USIT",
        global_uid_map=walked.uid_map,
        global_iid_map=walked.iid_map,
        seed=seed,
        exclude_unknowns=True,
    )
    people = {
        np.asarray(history, dtype=np.int32).tobytes(): (int(owner[row]), part)
        for part in ("valid", "test")
        for row, history, _ in split.cases(part)
    }
    epochs = {"n_epochs": 1, "model_selection": "last"} if quick else {}

    def wrapped(name: str, model: Any, data: Any, *, by_history: bool) -> Outsider:
        known = {key: data.uid_map.get(str(person), -1) for key, (person, _) in people.items()}
        to_item = np.array([int(item) for item in data.iid_map], dtype=np.int64)
        return Outsider(f"cornac {name}", model, known, to_item, len(log.items), by_history)

    found = []
    for name in ("SASRec", "GRU4Rec"):
        began = time.perf_counter()
        model = getattr(cornac.models, name)(seed=seed, verbose=False, **{**SETTINGS[name], **epochs})
        model.fit(walked, None if quick else judged)
        found.append(wrapped(name, model, walked, by_history=True))
        print(f"{name}: fitted in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    bpr = cornac.models.BPR(seed=seed, verbose=False, **{**SETTINGS["BPR"], **({"max_iter": 2} if quick else {})})
    found.append(wrapped("BPR", bpr.fit(pairs), pairs, by_history=False))
    if "picture" in index.store.kinds:
        names = [log.items[int(item)] for item in pairs.iid_map]
        seen = np.nan_to_num(index.graphs.now().vectors(names, "picture"))
        pictures = ImageModality(features=seen, ids=list(pairs.iid_map), normalized=True)
        pictures.build(id_map=pairs.iid_map)
        pairs.add_modalities(item_image=pictures)
        began = time.perf_counter()
        vbpr = cornac.models.VBPR(
            seed=seed, verbose=False, **{**SETTINGS["VBPR"], **({"n_epochs": 1} if quick else {})}
        )
        found.append(wrapped("VBPR", vbpr.fit(pairs), pairs, by_history=False))
        print(f"VBPR: fitted in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    from llmrec.evaluation.run import cases_of, rank_all
    from llmrec.retrieval.index import Index
    from llmrec.significance import compare, intervals

    parser = arguments(__doc__ or "")
    parser.add_argument("index", type=Path, nargs="+", help="an index, whose dataset, split and retrievers are taken")
    parser.add_argument("--limit", type=int, metavar="N", help="ask so many people of the test part")
    asked = parser.parse_args()
    figures: dict[str, float] = {}
    data: dict[str, str] = {}
    for folder in asked.index:
        index = Index.open(folder)
        dataset = index.dataset()
        data[dataset.name] = dataset.fingerprint
        split = index.split(dataset)
        cases = cases_of(split, limit=200 if asked.quick else asked.limit)
        outsiders = systems_of(index, split, quick=asked.quick, seed=asked.seed)
        ranked = rank_all([*index.retrievers, *outsiders], cases, seed=asked.seed)
        ours = max(ranked[: len(index.retrievers)], key=lambda one: float(one.gains.column("ndcg@10").mean()))
        print(f"\n{dataset.name}: {len(cases):,} people, {len(split.log.items):,} items")
        print(f"  {'':28}" + "".join(f"{measure:>10}" for measure in SHOWN) + "   95 % of ndcg@10")
        for one in sorted(ranked, key=lambda one: -float(one.gains.column("ndcg@10").mean())):
            (sure,) = intervals(one.gains.column("ndcg@10")[:, None])
            means = one.gains.means()
            print(f"  {one.name:28}" + "".join(f"{means[measure]:>10.4f}" for measure in SHOWN), end="")
            print(f"   {sure.low:.4f} to {sure.high:.4f}")
            short = f"{dataset.name}_{one.name}".replace(" ", "_").lower()
            figures |= {f"{short}_{measure}": round(means[measure], 4) for measure in SHOWN}
        best = max(ranked[len(index.retrievers) :], key=lambda one: float(one.gains.column("ndcg@10").mean()))
        gap = compare(ours.gains.column("ndcg@10"), best.gains.column("ndcg@10"), seed=asked.seed)
        print(f"  {ours.name} minus {best.name}: {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), p {gap.p:.4f}")
    if not record("outside", figures, {}, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data):
        sys.exit(1)


if __name__ == "__main__":
    main()
