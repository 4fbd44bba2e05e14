"""What is said of a model's looks: as much as the tests of it allow."""

import numpy as np

from llmrec.evaluation.looks import Change, looks
from llmrec.evaluation.run import Ranked, Run
from llmrec.retrieval.popularity import Popularity

PEOPLE = 400


def ranked(name: str, ranks: np.ndarray) -> Ranked:
    lists = np.full((PEOPLE, 20), -1)
    return Ranked(name, (Run(ranks, lists, np.ones(PEOPLE), None),))


def change(kind: str, what: str) -> Change:
    name = f"model, {'pictures ' if kind == 'pictures' else ''}{what}"
    return Change("model", kind, what, Popularity(np.zeros(3), name=name))


def told(**each: np.ndarray) -> dict:
    """What is found where the model itself ranks all targets third, and changed ones as given."""
    changes = [
        change("words" if "alone" in what or "without" in what else "pictures", what.replace("_", " ")) for what in each
    ]
    systems = [ranked("model", np.full(PEOPLE, 3))]
    systems += [ranked(one.system.name, ranks) for one, ranks in zip(changes, each.values(), strict=True)]
    return looks(changes, systems)


def test_what_is_worse_better_and_not_told_apart_is_said_apart() -> None:
    found = told(
        blank=np.full(PEOPLE, 30),
        shuffled=np.full(PEOPLE, 12),
        none=np.where(np.arange(PEOPLE) < 3, 4, np.where(np.arange(PEOPLE) < 5, 2, 3)),
        without_text=np.full(PEOPLE, 1),
        text_alone=np.full(PEOPLE, 9),
    )
    looked, more, so, worse, better = found["reading"]
    assert looked.startswith(
        "The model ranks better with the right pictures than with blank ones or those of any other items"
    )
    assert so == "It looks: it matters which picture an item has."
    assert so == "It looks: it matters which picture an item has."
    assert "no differently with the right pictures than with none" in more
    assert worse == "The model ranks worse with item words of text alone (p < 0.001)."
    assert better == "The model ranks better with item words without text (p < 0.001)."


def test_what_follows_is_no_more_than_what_was_beaten() -> None:
    same, far = np.full(PEOPLE, 3), np.full(PEOPLE, 40)
    assert told(blank=same, shuffled=same)["reading"][-1].startswith("Nothing here shows that it looks")
    assert told(blank=far, shuffled=same)["reading"][-1].startswith("It matters that there is a picture;")
    kind = {"shuffled_within_category": same}
    assert "of one category apart by their pictures is not shown" in told(shuffled=far, **kind)["reading"][-1]


def test_of_all_comparisons_those_that_are_made_are_corrected_for() -> None:
    rng = np.random.default_rng(1)
    close = np.where(rng.random(PEOPLE) < 0.05, 4, 3)
    one = told(blank=close)["rows"][0]
    several = told(blank=close, shuffled=np.full(PEOPLE, 3), none=np.full(PEOPLE, 3))["rows"][0]
    assert one["p"] == several["p"]
    assert several["corrected"] > one["corrected"] >= one["p"]


def test_nothing_is_said_where_nothing_was_changed() -> None:
    assert looks([], [ranked("model", np.full(PEOPLE, 3))]) is None
