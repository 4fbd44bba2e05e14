"""BLEU, ROUGE and distinct n-grams against values reckoned by hand."""

import math

import pytest

from llmrec.evaluation.wording import bleu, distinct, rouge, words

SAID, WANTED = "the cat sat on the mat", "The cat is on the mat."


def test_words_are_small_and_without_punctuation_and_keep_apostrophes() -> None:
    assert words("I don't like it; really – 2 Stars!") == ["i", "don't", "like", "it", "really", "2", "stars"]


def test_rouge_counts_shared_words_pairs_and_the_longest_common_subsequence() -> None:
    # Shared: the, cat, on, the, mat of six and six; pairs: the-cat, on-the, the-mat of five and five.
    assert rouge(SAID, WANTED) == pytest.approx((5 / 6, 3 / 5, 5 / 6))
    # The order matters to ROUGE-L alone among words: "mat" or "cat" fit, not both.
    assert rouge("mat cat", "cat mat") == pytest.approx((1.0, 0.0, 0.5))
    assert rouge("", WANTED) == (0.0, 0.0, 0.0) == rouge(SAID, "")


def test_a_word_said_more_often_than_it_was_written_counts_no_more() -> None:
    one, _, _ = rouge("the the the the", "the cat")
    assert one == pytest.approx(2 * 1 / (4 + 2))


def test_bleu_is_the_mean_of_precisions_with_a_penalty_for_being_short() -> None:
    longer = "the cat sat on the mat today"
    right = (6 / 7) * (5 / 6) * (4 / 5) * (3 / 4)
    assert bleu([longer], [SAID]) == pytest.approx(right**0.25), "longer than the reference costs precision alone"
    assert bleu([SAID], [longer]) == pytest.approx(math.exp(1 - 7 / 6)), "all is right, but a word is missing"
    assert bleu([SAID, longer], [SAID, longer]) == pytest.approx(1.0)
    assert bleu([SAID], [WANTED]) == 0.0, "no run of four words is right, and nothing is smoothed"


def test_bleu_is_of_the_corpus_and_no_mean_of_texts() -> None:
    texts, references = [SAID, SAID], [SAID, WANTED]
    shared = [6 + 5, 5 + 3, 4 + 1, 3 + 0]
    every = [12, 10, 8, 6]
    wanted = math.prod(a / b for a, b in zip(shared, every, strict=True)) ** 0.25
    assert bleu(texts, references) == pytest.approx(wanted)


def test_nothing_said_has_no_bleu_and_no_variety() -> None:
    assert bleu(["", ""], [SAID, WANTED]) == 0.0
    assert distinct(["", ""], 2) == 0.0


def test_distinct_falls_where_every_text_says_the_same() -> None:
    assert distinct(["a b", "c d"], 2) == 1.0
    assert distinct(["a b", "a b", "a b"], 2) == pytest.approx(1 / 3)
    assert distinct(["a b", "a c"], 1) == pytest.approx(3 / 4)
