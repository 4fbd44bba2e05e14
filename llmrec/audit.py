"""Looks for what would make later figures wrong: leaks between splits, ids that tell the order, twins, copied words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.dataset import Dataset
from llmrec.likeness import likeness
from llmrec.log import Log, mixed, rank_of_ids, short_steps
from llmrec.progress import Progress
from llmrec.splits import TEST, TRAIN, VALID, Split, split_by_name

Verdict = Literal["pass", "warn", "fail"]
Numbers = npt.NDArray[Any]

WORTH_NAMING = 0.01  # a share below this moves no figure that a report shows
SAME_MOMENT = 0.05
NOT_IN_ORDER = 0.8
LATE_TRAINING = 0.001
LONG_ENOUGH_TO_TELL = 4  # people with fewer items are alike by chance
WORDS_OF_ONES_OWN = 40  # characters: shorter reviews ("Great!") are equal by chance
ORDER_IN_APPEARANCE = 0.9
TELLING_RANK = 0.9
FUTURE_NAMES = re.compile(
    r"(average|avg|mean|overall)_?(rating|score|stars)|(rating|review|vote|sale|click|view|like|purchase)s?_?"
    r"(number|count|total|rank)|(num|number|n|total)_?(of_?)?(ratings|reviews|votes|sales|clicks|views|likes)"
    r"|sales?_?rank|popularity|best_?seller",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """What one check saw; where that is not well, what it means and what to do about it."""

    check: str
    verdict: Verdict
    seen: str
    meaning: str = ""
    remedy: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """All findings about one dataset under one split."""

    dataset: str
    split: str
    sizes: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether figures measured on this dataset and split would be wrong."""
        return any(finding.verdict == "fail" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "failed": self.failed}


def audit(
    dataset: Dataset, *, split: str = "leave-one-out", pictures: bool = True, progress: Progress | None = None
) -> Audit:
    """Run every check on a dataset as that split would use it."""
    made = split_by_name(dataset.log, split, clock=dataset.clock)
    checks: list[Callable[[Dataset, Split], Finding]] = [
        taken_again,
        twin_items,
        order_in_time,
        training_after_the_target,
        twin_people,
        items_between_splits,
        order_in_ids,
        copied_reviews,
        columns_from_the_future,
    ]
    findings = []
    for done, check in enumerate(checks):
        if progress:
            progress("checking", done, len(checks))
        findings.append(check(dataset, made))
    if pictures:
        findings.append(twin_pictures(dataset, made, progress))
    told = (one if one.verdict != "pass" else replace(one, meaning="", remedy="") for one in findings)
    return Audit(dataset.name, split, made.sizes(), tuple(told))


def taken_again(_: Dataset, split: Split) -> Finding:
    """Targets that the same person had taken before."""
    rows, targets = _first_of_pair(split.log), _targets(split)
    known = _share(~rows[targets])
    return Finding(
        "taken again",
        "warn" if known > WORTH_NAMING else "pass",
        f"{_share(~rows):.1%} of all rows and {known:.1%} of the targets are items that the person had taken before",
        "An evaluation that leaves out what a person has cannot find such a target; one that does not is led by habit.",
        "Decide which question is asked; drop repeats in the source if it is about new items.",
        {"rows": _share(~rows), "targets": known},
    )


def twin_items(dataset: Dataset, split: Split) -> Finding:
    """Items under several ids: same title, brand and description."""
    words = dataset.items.select(_plain("title"), _plain("brand"), _plain("description")).collect()
    group = (
        words.with_row_index("first")
        .select(
            pl.when(pl.col("title") != "")
            .then(pl.col("first").min().over("title", "brand", "description"))
            .otherwise("first")
        )["first"]
        .to_numpy()
    )
    share = _share(np.bincount(group, minlength=len(group))[group] > 1)
    leaked = _twin_in_history(split, group)
    return Finding(
        "items written twice",
        "fail" if leaked > 5 * WORTH_NAMING else "warn" if max(share, leaked) > WORTH_NAMING else "pass",
        f"{share:.1%} of the items share title, brand and description with another; "
        f"for {leaked:.1%} of the targets such a twin is in the history",
        "The answer then stands in the prompt under another id, and models cannot tell such items apart by words.",
        "Merge the ids of one product (colours, sizes, editions) before building.",
        {"items": share, "targets": leaked},
    )


def order_in_time(dataset: Dataset, split: Split) -> Finding:
    """Rows of one person at the same moment: what came first is then unknown."""
    log = split.log
    if dataset.clock == "order":
        return Finding(
            "order in time",
            "pass",
            "the log says what came first, but not when",
        )
    follows = np.zeros(len(log), dtype=bool)
    follows[1:] = (np.diff(log.time) == 0) & (log.position_of_rows()[1:] > 0)
    later = _share(follows[log.position_of_rows() > 0])
    targets = _share(follows[_targets(split)])
    return Finding(
        "order in time",
        "fail" if later > NOT_IN_ORDER else "warn" if targets > SAME_MOMENT else "pass",
        f"{later:.1%} of the rows, and {targets:.1%} of the targets, share their moment with the person's row before",
        "Their order was drawn by lot, so which of them is the target is chance, and no model can foresee it.",
        "Bring finer timestamps if the source has them; otherwise read next-item figures with that in mind.",
        {"rows": later, "targets": targets},
    )


def training_after_the_target(dataset: Dataset, split: Split) -> Finding:
    """How much of the training rows happened after a target that it is measured on."""
    log = split.log
    trained = np.sort(log.time[split.part == TRAIN])
    times = log.time[split.part == TEST]
    if dataset.clock == "order" or not len(times) or not len(trained):
        return Finding("training after the target", "pass", "cannot be told without times")
    late = float(1 - np.searchsorted(trained, times, side="right").mean() / len(trained))
    honest = split.name != "leave-one-out"
    return Finding(
        "training after the target",
        "pass" if late < LATE_TRAINING else "fail" if honest else "warn",
        f"on average {late:.1%} of the training rows happened after a test target",
        "Leave-one-out lets a model learn from other people's future: new items and fashions are known in advance.",
        "Report the temporal split beside it: llmrec audit DATASET --split temporal",
        {"share": late},
    )


def twin_people(_: Dataset, split: Split) -> Finding:
    """People with the very same history: one person twice, or a machine."""
    log = split.log
    lengths = np.diff(log.start)
    long = lengths >= LONG_ENOUGH_TO_TELL
    places = log.position_of_rows().astype(np.uint64)
    with np.errstate(over="ignore"):
        marks = np.concatenate([[np.uint64(0)], np.cumsum(mixed(mixed(places) ^ log.item.astype(np.uint64)))])
        of_people = (marks[log.start[1:]] - marks[log.start[:-1]])[long]
    _values, same, counts = np.unique(of_people, return_inverse=True, return_counts=True)
    share = _share(counts[same] > 1)
    return Finding(
        "people twice",
        "fail" if share > 5 * WORTH_NAMING else "warn" if share > WORTH_NAMING else "pass",
        f"{share:.2%} of the people with {LONG_ENOUGH_TO_TELL} items or more have the very history of somebody else",
        "What one of them did teaches what the other will do, to the letter.",
        "Merge the accounts, or leave machines out of the log.",
        {"people": share},
    )


def items_between_splits(_: Dataset, split: Split) -> Finding:
    """Targets whose item was never trained on, and cold items that were."""
    log = split.log
    trained = np.zeros(len(log.items), dtype=bool)
    trained[log.item[split.part == TRAIN]] = True
    unseen = _share(~trained[log.item[_targets(split)]])
    figures = {"targets_unseen": unseen, "cold_items": float(len(split.cold))}
    if len(split.cold):
        leaked = int(trained[split.cold].sum())
        return Finding(
            "items between splits",
            "fail" if leaked else "pass",
            f"{leaked:,} of {len(split.cold):,} cold items were trained on",
            "A cold item must be new to the model.",
            "Make the split again from the dataset.",
            figures,
        )
    return Finding(
        "items between splits",
        "warn" if unseen > 0.1 else "pass",
        f"{unseen:.1%} of the targets are items that no training row holds",
        "A model that knows items by id alone cannot find them; one that reads content can.",
        "Report them apart, or look at --split cold-items.",
        figures,
    )


def order_in_ids(_: Dataset, split: Split) -> Finding:
    """Ids that follow the order of the log: P5 numbered items along the histories, so the next number was the answer.

    Related items often stand side by side in a catalogue and in a history, but then in both directions alike; what
    tells an order is a surplus of steps forward.
    """
    log = split.log
    rank = rank_of_ids(log.items)
    steps = short_steps(rank[log.item], log.user_of_rows())
    appearance = _rank_correlation(*_first_seen(log, rank))
    told = steps.tell_an_order
    return Finding(
        "order in ids",
        "fail" if told else "warn" if appearance > ORDER_IN_APPEARANCE else "pass",
        f"the next item has one of the next three ids in {steps.forward:.1%} of the steps, one of the three before "
        f"in {steps.backward:.1%}; ids and first appearance correlate by {appearance:.2f}",
        "The ids were given out along the histories, or rows of one moment are listed by id: whoever reads ids is told "
        "which item comes next, test items included."
        if told
        else "Ids that follow the calendar tell the age of an item: a fact about it, but one that text may not tell.",
        "Number the items in a random order; let llmrec break ties in time, which it does by lot.",
        {"forward": steps.forward, "backward": steps.backward, "appearance": appearance},
    )


def copied_reviews(dataset: Dataset, split: Split) -> Finding:
    """The words of a target's review that can be read before: in the person's history or in the catalogue."""
    rows = dataset.interactions.select("item", _plain("review")).collect()
    owner = pl.Series(split.log.user_of_rows())
    told = rows.with_columns(owner.alias("user"), pl.Series(split.part).alias("part")).with_row_index("row")
    told = told.filter(pl.col("review").str.len_chars() >= WORDS_OF_ONES_OWN)
    before = told.with_columns(again=~pl.struct("user", "review").is_first_distinct())
    targets = before.filter(pl.col("part").is_in([VALID, TEST]))
    catalogue = dataset.items.select("item", _plain("description").alias("written")).collect()
    inside = targets.join(catalogue, on="item", how="left").select(
        pl.col("written").str.contains(pl.col("review"), literal=True).fill_null(False).alias("inside")
    )["inside"]
    copied = _share(targets["again"].to_numpy())
    printed = _share(inside.to_numpy())
    worst = max(copied, printed)
    return Finding(
        "reviews of the target",
        "fail" if worst > WORTH_NAMING else "warn" if worst > WORTH_NAMING / 10 else "pass",
        f"of {len(targets):,} targets with a review, {copied:.1%} repeat an earlier review of the same person, and "
        f"{printed:.1%} have theirs printed in the catalogue"
        if len(targets)
        else "no target has a review of some length",
        "Explanations are measured against these words: where they can be copied, a high score says nothing.",
        "Take such reviews out of the log or the descriptions.",
        {"in_history": copied, "in_catalogue": printed},
    )


def columns_from_the_future(dataset: Dataset, split: Split) -> Finding:
    """Attributes that sum up the whole log: ratings, counts and ranks that were taken after the targets."""
    named = [name for name in dataset.attributes if FUTURE_NAMES.search(name)]
    table = dataset.items.select(dataset.attributes).collect()
    log = split.log
    counts = np.bincount(log.item, minlength=len(log.items))
    ratings = dataset.interactions.select("rating").collect()["rating"].to_numpy()
    rated = np.isfinite(ratings)
    of_ratings = np.bincount(log.item[rated], minlength=len(log.items))
    sums = np.bincount(log.item[rated], weights=ratings[rated], minlength=len(log.items))
    telling = []
    for name in table.columns:
        if not table.schema[name].is_numeric():
            continue
        values = table[name].cast(pl.Float64).to_numpy()
        known = np.isfinite(values)
        enough = known & (of_ratings >= 5)
        worth = [_rank_correlation(values[known], counts[known])]
        worth.append(_rank_correlation(values[enough], sums[enough] / of_ratings[enough]))
        if max(map(abs, worth)) > TELLING_RANK:
            telling.append(name)
    both = ", ".join(dict.fromkeys([*telling, *named]))
    return Finding(
        "columns from the future",
        "fail" if telling else "warn" if named else "pass",
        f"attributes: {both}" if both else f"none of {len(table.columns)} attributes sums up the log",
        "Counts, ranks and mean ratings of the whole log know what happened after a target.",
        "Leave them out of the catalogue, or compute them from the training rows alone.",
        {"telling": float(len(telling)), "named": float(len(named))},
    )


def twin_pictures(dataset: Dataset, split: Split, progress: Progress | None = None) -> Finding:
    """Pictures that look the same on different items."""
    paths = [dataset.picture(image) for image in dataset.items.select("image").collect()["image"]]
    found = likeness(paths, progress)
    shown = sum(path is not None for path in paths)
    share, placeholder = found.alike / max(1, shown), found.largest / max(1, shown)
    numbers = np.where(found.group >= 0, found.group, len(paths) + np.arange(len(paths)))
    leaked = _twin_in_history(split, numbers)
    return Finding(
        "near-duplicate pictures",
        "warn" if max(share / 5, placeholder, leaked) > WORTH_NAMING else "pass",
        f"{found.alike:,} of {shown:,} pictures look like another's, {found.largest:,} of them alike; "
        f"for {leaked:.1%} of the targets the picture stands in the history on another item"
        if shown
        else "there are no pictures",
        "Pictures cannot tell such items apart; many alike are a placeholder such as 'no picture available'.",
        "Leave placeholders out of the image column, and merge ids that are one product.",
        {"alike": float(found.alike), "largest": float(found.largest), "targets": leaked},
    )


def _targets(split: Split) -> npt.NDArray[np.int64]:
    """The rows that are asked for, of validation and test."""
    return np.flatnonzero((split.part == VALID) | (split.part == TEST))


def _first_of_pair(log: Log) -> npt.NDArray[np.bool_]:
    """Mark each row that is the person's first with its item."""
    pair = log.user_of_rows().astype(np.int64) * len(log.items) + log.item
    first = np.zeros(len(log), dtype=bool)
    first[np.unique(pair, return_index=True)[1]] = True  # the index of the first row: rows are in order of time
    return first


def _twin_in_history(split: Split, group: npt.NDArray[np.int64]) -> float:
    """The share of targets that have another item of their group in the history."""
    log = split.log
    twins = np.bincount(group)[group] > 1
    rows = [row for row in _targets(split) if twins[log.item[row]]]
    owner = log.user_of_rows()
    hits = 0
    for row in rows:
        history = log.item[log.start[owner[row]] : row]
        hits += bool(((group[history] == group[log.item[row]]) & (history != log.item[row])).any())
    return hits / max(1, len(_targets(split)))


def _first_seen(log: Log, rank: Numbers) -> tuple[Numbers, Numbers]:
    """Of each item that was taken: the rank of its id, and when it was taken first."""
    first = np.full(len(log.items), np.iinfo(np.int64).max)
    np.minimum.at(first, log.item, log.time)
    taken = first < np.iinfo(np.int64).max
    return rank[taken], first[taken]


def _rank_correlation(left: Numbers, right: Numbers) -> float:
    """Spearman's correlation; 0 where there is nothing to compare."""
    from scipy.stats import spearmanr

    if len(left) < 20 or len(np.unique(left)) < 2 or len(np.unique(right)) < 2:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _plain(column: str) -> pl.Expr:
    """A text without case and spacing, "" where it is missing."""
    return pl.col(column).fill_null("").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _share(mask: npt.NDArray[np.bool_]) -> float:
    return float(mask.mean()) if len(mask) else 0.0
