"""What reviews say of items is counted, and vectors of pictures are read for the words that they tell."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from llmrec.modeling.bank import Bank
from llmrec.modeling.gloss import fit_gloss
from llmrec.modeling.words import ItemWords
from llmrec.said import Said, count

WORDS = ("navy", "stripes", "linen")


def catalogue(items: int = 400, noise: float = 8.0) -> tuple[np.ndarray, Said, np.ndarray]:
    """Vectors whose strongest directions mean nothing and whose weakest tell three words; and what is said of items."""
    rng = np.random.default_rng(0)
    true = rng.random((items, 3)) < 0.3
    vectors = np.concatenate([noise * rng.normal(size=(items, 12)), true + 0.1 * rng.normal(size=(items, 3))], axis=1)
    share = np.clip(true * 0.6 + 0.05 * rng.random((items, 3)), 0, 1)
    said = Said(WORDS, share.astype(np.float32), np.full(items, 0.8, np.float32), share.mean(axis=0).astype(np.float32))
    return vectors.astype(np.float32), said, true


def test_a_gloss_tells_the_words_of_items_that_nobody_spoke_of() -> None:
    vectors, said, true = catalogue()
    heard = said.trust.copy()
    heard[300:] = 0
    vectors[3] = np.nan
    gloss = fit_gloss(vectors, Said(said.words, said.share, heard, said.usual))
    assert gloss is not None
    told = vectors[300:] @ gloss[:-1] + gloss[-1]
    for word in range(3):
        assert told[true[300:, word], word].min() > told[~true[300:, word], word].max() - 0.5
        assert np.corrcoef(told[:, word], true[300:, word])[0, 1] > 0.9
    everywhere = vectors[:300] @ gloss[:-1] + gloss[-1]
    assert abs(np.nanmean(everywhere)) < 0.05
    assert 0.8 < np.nanstd(everywhere, axis=0).mean() < 1.2


def test_vectors_that_tell_nothing_have_no_gloss() -> None:
    vectors, said, _ = catalogue()
    assert fit_gloss(np.random.default_rng(1).normal(size=vectors.shape).astype(np.float32), said) is None
    assert fit_gloss(vectors[:40], Said(said.words, said.share[:40], said.trust[:40], said.usual)) is None


def test_a_bank_keeps_its_gloss_and_words_are_made_of_what_is_told_alone(tmp_path: Path) -> None:
    vectors, said, _ = catalogue()
    vectors[7] = np.nan
    ids = pl.Series("item", [f"i{code}" for code in range(len(vectors))])
    Bank(ids, {"picture": vectors}, fit_gloss(vectors, said)).save(tmp_path)
    bank = Bank.load(tmp_path)
    assert set(bank.vectors) == {"picture"}
    words = ItemWords(bank, 16, size=1.0, content=("told",), width=8, rank=4).eval()
    assert words.widths == {"told": 3}
    assert words.known[:, 0].tolist() == np.isfinite(vectors).all(axis=1).astype(float).tolist()
    # New items go the same way by their content alone.
    read, _ = words.tables({"picture": torch.from_numpy(vectors[:5])})
    assert torch.allclose(read, words.inputs(torch.arange(5)), atol=1e-6)
    # The strong directions that mean nothing move no word.
    loud = vectors[:5].copy()
    loud[:, :12] += 1.0
    assert torch.allclose(words.prepare({"picture": torch.from_numpy(loud)})[0], words.content[:5], atol=0.2)


def test_where_pictures_tell_no_words_they_enter_as_they_are() -> None:
    vectors, _, _ = catalogue()
    words = ItemWords(Bank(pl.Series(range(len(vectors))), {"picture": vectors}), 16, size=1.0, content=("told",))
    assert words.widths == {"picture": vectors.shape[1]}


def test_without_its_picture_an_item_is_without_all_that_is_seen_of_it() -> None:
    vectors, said, _ = catalogue()
    tables = {
        "picture": vectors,
        "sight": vectors[:, ::-1].copy(),
        "popularity": np.ones((len(vectors), 1), np.float32),
    }
    gloss = fit_gloss(np.concatenate([tables["picture"], tables["sight"]], axis=1), said)
    bank = Bank(pl.Series(range(len(vectors))), tables, gloss)
    words = ItemWords(bank, 16, size=1.0, forget=0.5, dropout=0.0).train()
    torch.manual_seed(0)
    known = words._entering(words.content, words.known)[:, -4:]
    assert torch.equal(known[:, 0], known[:, 1])
    assert torch.equal(known[:, 0], known[:, 2])
    assert 0 < known[:, 0].mean() < 1
    assert (known.sum(dim=1) > 0).all(), "something is always left"


@pytest.mark.parametrize("reviewed", [True, False])
def test_words_that_tell_items_apart_are_counted_in_reviews_or_else_in_texts(reviewed: bool) -> None:
    rng = np.random.default_rng(0)
    looks = ["navy" if item % 2 else "pink" for item in range(40)]
    reviews = [[f"I {'love' if rng.random() < 0.5 else 'wear'} the {look} one" for _ in range(6)] for look in looks]
    own = [f"A {look} hat of ours" for look in looks]
    found = count(own, reviews if reviewed else [[] for _ in own])
    assert found is not None
    assert {"navy", "pink"} <= set(found.words)
    assert ("love" in found.words, "hat" in found.words) == (False, False)
    navy = found.share[:, found.words.index("navy")]
    assert navy.tolist() == [float(look == "navy") for look in looks]
    some = np.arange(40) < 20
    taught = count(own, reviews, some)
    assert taught is not None
    assert (taught.trust[20:] == 0).all()
    assert (taught.trust[:20] > 0).all()


def test_a_few_reviews_an_item_are_enough_for_words_that_tell_items_apart() -> None:
    rng = np.random.default_rng(1)
    kinds = [f"kind{letter}" for letter in "abcdefghijkl"]
    moods = [f"mood{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]

    def review(kind: str) -> str:
        words = [word for word in moods if rng.random() < 0.1]
        return " ".join([*words, kind if rng.random() < 0.5 else "thing", "whole"])

    texts = [[review(kinds[item % 12]) for _ in range(int(rng.integers(1, 7)))] for item in range(600)]
    found = count(["" for _ in texts], texts)
    assert found is not None
    assert set(kinds) <= set(found.words)
    assert not [word for word in found.words if word.startswith("mood")], "what anybody may say of anything"


def test_where_reviews_tell_few_words_the_items_own_texts_are_listened_to_as_well() -> None:
    looks = ["navy" if item % 2 else "pink" for item in range(60)]
    own = [f"A {'hat' if item % 3 else 'bag'} of ours" for item in range(60)]
    own[7] = ""
    reviews = [[f"The {look} one"] * 3 if item < 40 else [] for item, look in enumerate(looks)]
    found = count(own, reviews)
    assert found is not None
    assert {"navy", "pink", "bag"} <= set(found.words)
    navy, bag = (found.share[:, found.words.index(word)] for word in ("navy", "bag"))
    assert navy[:40].tolist() == [float(look == "navy") for look in looks[:40]]
    assert navy[40:] == pytest.approx(found.usual[found.words.index("navy")]), "nobody spoke of these: as usual"
    assert bag[7] == pytest.approx(found.usual[found.words.index("bag")]), "nothing is written of it"
    assert (found.trust > 0).all()
    assert found.trust[0] > found.trust[50]
