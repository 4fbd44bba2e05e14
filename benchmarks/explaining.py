"""Whether explanations are true: a tuned run says why a person took a piece, and every claim in it is checked.

Asks about held-out choices that were made for their taste. In each answer the claims are found (the words of
benchmarks/claims.py, by the rules of llmrec/evaluation/claims.py) and held against the piece's row and the reasons in
truth/, which nothing that is trained may read. Beside the model stand texts that are not worth much, so that a
high share means something: the same model shown other pieces' pictures, a review of another piece of the same kind, a
text made of the label alone; and the person's own review, the ceiling.
The checked model is the product: an answer loses the sentences that name what neither reviewers agree on nor the item's
own text tells, where none is left the model is asked again, and at last nothing is said (llmrec/tuning/telling.py).

examples:
  python benchmarks/explaining.py work/run --quick
  python benchmarks/explaining.py work/run --cases 300 --json benchmarks/results/explaining.json
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
from claims import named, values_of
from record import arguments, record

from llmrec.evaluation.claims import Verdict, judged
from llmrec.evaluation.truth import true_items, true_rows

PACKAGES = ("torch", "transformers", "peft", "trl", "numpy")
WORDING = "why-it-fits-or-not"
QUICK = 24
TOGETHER = 16_384  # tokens of prompts that are answered at a time: a step costs nearly the same for many as for few
MODEL, CHECKED = "model", "model, checked"


@dataclass(frozen=True)
class Case:
    """One choice to explain."""

    row: int
    user: int
    item: int
    history: Sequence[int]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Shop:
    """What is true in the drawn shop: the pieces' values and, for each row of the log, cause, reasons and review."""

    values: Sequence[frozenset[str]]
    titles: Sequence[str]
    kinds: Sequence[str]
    told: pl.DataFrame

    @classmethod
    def read(cls, dataset: Any) -> "Shop":
        """Join the catalogue with its hidden truth; the log's order is the one of the open dataset."""
        rows, why = true_items(dataset), true_rows(dataset)
        assert rows is not None, "whoever asks looks for truth/ first"
        assert why is not None
        told = dataset.interactions.select("rating", "review").collect().hstack(why.select("cause", "reasons"))
        values = [values_of(row) for row in rows.iter_rows(named=True)]
        return cls(values, rows["title"].to_list(), rows["kind"].to_list(), told)


def cases(shop: Shop, split: Any, part: str, count: int, seed: int) -> list[Case]:
    """Choices of a part that taste decided, drawn at random."""
    owner = split.log.user_of_rows()
    causes, reasons = shop.told["cause"].to_list(), shop.told["reasons"].to_list()
    found = [
        Case(row, int(owner[row]), item, history.tolist(), tuple(reasons[row]))
        for row, history, item in split.cases(part)
        if causes[row] == "taste" and reasons[row]
    ]
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[place] for place in order]


def prompts_for(opened: Any, source: Any, wording: str, asked: Sequence[Case]) -> Iterator[list[Any]]:
    """The explanation task's own prompts for the cases, without anything that the person said of the piece."""
    from llmrec.prompts import Turn
    from llmrec.tasks import Happening, draft, finish, measure
    from llmrec.tuning.material import written

    template = opened.prompts.template("explanation", wording)
    sizes = measure(template, source.meter)
    for case in asked:
        happening = Happening(case.row, case.user, case.item, case.history, frozenset(case.history))
        made = draft(
            "explanation", template, happening, source.shelf, source.labels, source.features, source.scale, Random(0)
        )
        example = made and finish(made, source.shelf, source.labels, sizes, 0, source.limits)
        assert example, "a wording without a hint serves every row"
        yield [Turn(role, written(said)) for role, said in example.prompt]


def spoken(
    opened: Any,
    source: Any,
    index: Any,
    turns: Sequence[Any],
    asked: Sequence[Case],
    longest: int,
    seed: int,
    *,
    apart: bool,
) -> dict[str, list[str]]:  # fmt: skip
    """What the model says: as it is and checked, and shown the pictures of other pieces, if asked by each way apart."""
    from llmrec.modeling.album import Album
    from llmrec.modeling.transcript import Transcriber
    from llmrec.retrieval.words import texts_of
    from llmrec.tuning.material import picture_paths
    from llmrec.tuning.telling import answers, explanations

    def progress(what: str, done: int, whole: int | None) -> None:
        print(f"\r{what}: {done} of {whole}", end="", file=sys.stderr, flush=True)

    def ask(ranker: Any, write: Any) -> list[str]:
        lines = [write.prompt(one) for one in turns]
        return answers(ranker, write, lines, longest=longest, batch_tokens=TOGETHER, progress=progress)

    dataset = source.dataset
    paths = picture_paths(dataset)
    there = np.array([code for code, path in enumerate(paths) if path is not None])
    mixed = list(paths)
    for code, other in zip(there, np.random.default_rng(seed).permutation(there), strict=True):
        mixed[code] = paths[other]
    ranker = opened.ranking.ranker
    texts = {MODEL: ask(ranker, opened.write)}
    own = texts_of(dataset.items.collect())
    lines, items = [opened.write.prompt(one) for one in turns], [case.item for case in asked]
    texts[CHECKED], times = explanations(
        ranker, opened.write, lines, items, source.features, own=own, longest=longest, batch_tokens=TOGETHER, seed=seed
    )
    print(f"\nasked {np.mean(times):.2f} times a case", file=sys.stderr)
    if "picture" in opened.bank.vectors:
        other = opened.control("shuffled", index, seed=seed).ranker
        write = Transcriber(opened.write.base, Album(opened.write.base, mixed), opened.write.positions)
        texts["model, pictures shuffled"] = ask(other, write)
        if apart:
            texts["shuffled in item words"] = ask(other, opened.write)
            texts["shuffled visual tokens"] = ask(ranker, write)
    print(file=sys.stderr)
    return texts


def baselines(shop: Shop, split: Any, asked: Sequence[Case], seed: int) -> dict[str, list[str]]:
    """Texts that need no model."""
    rng = np.random.default_rng(seed)
    reviews = shop.told["review"].fill_null("").to_list()
    ratings = shop.told["rating"].fill_null(0).to_list()
    by_kind: dict[str, list[int]] = {}
    for row in split.rows("train").tolist():
        if reviews[row] and ratings[row] >= 4:
            by_kind.setdefault(shop.kinds[split.log.item[row]], []).append(row)
    other = []
    for case in asked:
        rows = by_kind[shop.kinds[case.item]]
        drawn = int(rng.integers(len(rows)))
        while split.log.item[rows[drawn]] == case.item:
            drawn = int(rng.integers(len(rows)))
        other.append(reviews[rows[drawn]])
    label = [f"I took it because it is the {shop.titles[case.item]}: just what I was looking for." for case in asked]
    return {"another piece's review": other, "a template from the title": label}


def measured(texts: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The figures of one system."""

    def share_of(these: Iterable[bool]) -> float:
        return round(sum(these) / len(texts), 4)

    def share(holds: Callable[[Verdict], bool]) -> float:
        return share_of(map(holds, verdicts))

    return {
        "true_reason": share(lambda one: bool(one.reasons)),
        "true_reason_or_kind": share(lambda one: bool(one.reasons) or one.kind),
        "contradicts": share(lambda one: bool(one.contradictions)),
        "wrong_history": share(lambda one: bool(one.wrong_history)),
        "no_claim": share(lambda one: all(claim.attribute == "kind" for claim in one.claims)),
        "silent": share_of(not text for text in texts),
        "words": round(float(np.mean([len(text.split()) for text in texts])), 1),
        "distinct": round(len(set(texts)) / len(texts), 4),
    }


def main() -> None:
    from llmrec.artifact import read_json
    from llmrec.recommender import Recommender
    from llmrec.retrieval.index import Index
    from llmrec.tuning.run import MANIFEST, REMEDY
    from llmrec.tuning.telling import mute

    parser = arguments(__doc__ or "")
    parser.add_argument("run", type=Path, help="folder of a tuned run")
    parser.add_argument("--index", type=Path, help="its index, if that was moved")
    parser.add_argument("--dataset", type=Path, help="the drawn shop, if that was moved")
    parser.add_argument("--cases", type=int, default=300, help="how many choices are to be explained")
    parser.add_argument("--part", choices=("test", "valid"), default="test")
    parser.add_argument("--wording", default=WORDING, help="a wording of the explanation task, without a hint")
    parser.add_argument("--apart", action="store_true", help="shuffle pictures in item words and visual tokens apart")
    parser.add_argument("--longest", type=int, default=64, help="the most tokens of an answer")
    parser.add_argument("--show", type=int, default=12, help="how many answers are printed in full")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="write all texts with their verdicts, as JSON lines")
    asked = parser.parse_args()
    told = read_json(asked.run, MANIFEST, kind="a tuned run", remedy=REMEDY)
    index = Index.open(asked.index or Path(told["index"]["folder"]))
    dataset = index.dataset(asked.dataset)
    if not (dataset.folder / "truth").is_dir():
        parser.error(
            f"{dataset.folder} has no truth/: only a drawn shop can be asked. Make one: data_builders/atelier.py"
        )
    split = index.split(dataset)
    opened = Recommender.open(asked.run, index, dataset)
    silent = mute(opened.ranking.ranker, opened.write)
    if silent:
        raise SystemExit(f"{asked.run} cannot be let speak here: {silent}")
    shop = Shop.read(dataset)
    chosen = cases(shop, split, asked.part, QUICK if asked.quick else asked.cases, asked.seed)
    source = opened.source(dataset, tasks={"explanation": 1.0})
    turns = list(prompts_for(opened, source, asked.wording, chosen))
    texts = spoken(opened, source, index, turns, chosen, longest=asked.longest, seed=asked.seed, apart=asked.apart)
    texts |= baselines(shop, split, chosen, asked.seed)

    def judge(case: Case, text: str) -> Verdict:
        return judged(text, named, shop.values[case.item], [shop.values[code] for code in case.history], case.reasons)

    verdicts = {
        name: [judge(case, text) for case, text in zip(chosen, said, strict=True)] for name, said in texts.items()
    }
    tables = {name: measured(texts[name], verdicts[name]) for name in texts}
    reviews = shop.told["review"].fill_null("").to_list()
    own = [case for case in chosen if reviews[case.row]]
    if own:
        said = [reviews[case.row] for case in own]
        tables["the person's own review"] = measured(said, [judge(*pair) for pair in zip(own, said, strict=True)])

    for place, case in enumerate(chosen[: asked.show]):
        verdict = verdicts[CHECKED][place]
        print(f"\n{shop.titles[case.item]} (true reasons: {', '.join(case.reasons)})\n  {texts[MODEL][place]}")
        print(f"  checked: {texts[CHECKED][place]}")
        print(f"  -> named: {', '.join(sorted(verdict.reasons)) or 'none'}", end="")
        print(f"; CONTRADICTS: {', '.join(sorted(verdict.contradictions))}" if verdict.contradictions else "")
    columns = list(tables[MODEL])
    print(f"\n{len(chosen)} choices, wording {asked.wording}\n{'':28}" + "".join(f"{name:>21}" for name in columns))
    for name, row in tables.items():
        print(f"{name:28}" + "".join(f"{row[column]:>21g}" for column in columns))
    print()
    if asked.texts:
        asked.texts.parent.mkdir(parents=True, exist_ok=True)
        with asked.texts.open("w", encoding="utf-8") as out:
            for place, case in enumerate(chosen):
                line = {"item": dataset.log.items[case.item], "reasons": case.reasons}
                line |= {name: said[place] for name, said in texts.items()}
                line["contradictions"] = sorted(verdicts[CHECKED][place].contradictions)
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
    figures = {"cases": float(len(chosen))}
    for name, row in tables.items():
        short = name.replace("'", "").replace(",", "").replace(" ", "_")
        figures |= {f"{short}_{column}": value for column, value in row.items()}
    reach = {"model_checked_true_reason": (">=", 0.6), "model_checked_contradicts": ("<=", 0.05)}
    data = {dataset.name: dataset.fingerprint}
    if not record("explaining", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data):
        sys.exit(1)


if __name__ == "__main__":
    main()
