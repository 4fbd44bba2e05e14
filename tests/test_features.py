"""Words that tell of items are found by who shares them, and explanations are made of what is told."""

from random import Random

from llmrec.features import Features, learn_features

MANNERS = ("Recommended.", "It arrived on Monday.", "My bank advised against it.")


def test_a_word_tells_of_an_item_when_others_say_it_of_the_same_item_and_not_of_its_category() -> None:
    rng = Random(0)
    items = [place % 12 for place in range(600)]
    texts = [f"{rng.choice(MANNERS)} I like the {'navy' if item == 3 else 'pink'} hat." for item in items]
    found = learn_features(items, texts, ["hats"] * 12)
    assert set(found.counts) == {"navy"}
    assert set(found.of_item) == {3}


def test_a_word_of_the_category_alone_tells_nothing() -> None:
    items = [place % 12 for place in range(600)]
    texts = ["Danced in them." if item < 6 else "Survived the dishwasher." for item in items]
    assert not learn_features(items, texts, ["shoes"] * 6 + ["mugs"] * 6).counts


def test_what_is_told_names_a_feature_that_others_name_too() -> None:
    features = Features({"navy": 30, "stripes": 30, "drum": 20}, {7: {"navy": 1.0, "stripes": 1.0}})
    review = (
        "It rained. I love the navy of it. Guests ask. Those stripes did the rest. And the drum shape. Recommended."
    )
    assert features.told(review, 7) == "I love the navy of it. Those stripes did the rest."
    assert features.told("It rained. Recommended.", 7) == ""
    assert features.told(review, 8) == ""
    assert features.told("Yes. The navy. Sold. Happy.", 7) == "The navy. Sold. Happy."
    assert features.hint("Those stripes and the navy") == "stripes"


def test_too_few_reviews_tell_no_words_and_a_review_is_taken_whole() -> None:
    found = learn_features([0, 1], [None, "I love the navy of it."], ["hats", "hats"])
    assert not found.counts
    assert not found.of_item
    assert found.told("It rained. I love the navy of it.", 1) == "It rained. I love the navy of it."


def test_an_answer_keeps_the_sentences_that_name_nothing_unknown() -> None:
    features = Features({"navy": 30, "stripes": 30, "drum": 20}, {7: {"navy": 1.0, "stripes": 2.0}})
    known = features.known(7, "A Drum lamp")
    assert known == {"navy", "stripes", "drum"}
    assert features.kept("I like navy. And stripes on pink.", known) == "I like navy. And stripes on pink."
    assert features.kept("Navy it is. A drum. Stripes!", known - {"drum"}) == "Navy it is. Stripes!"


def test_a_sentence_is_said_that_is_whole_not_short_and_names_only_what_is_known() -> None:
    features = Features({"navy": 30, "drum": 20}, {7: {"navy": 1.0}})
    known = features.known(7)
    assert features.sayable("I like the navy of it.", known)
    for left_out in ("The navy.", "I like the navy of it", "I like the navy drum of it.", "It came on a Monday.", ""):
        assert not features.sayable(left_out, known), left_out
    assert Features().sayable("Yes.", known), "where no words tell of items, nothing can be checked"
    assert not Features().sayable("I like", known)


def test_what_is_agreed_of_an_item_and_shared_by_a_history_is_told_the_surest_first() -> None:
    features = Features(
        {"navy": 30, "stripes": 30, "drum": 20},
        {7: {"navy": 1.0, "stripes": 2.0}, 8: {"navy": 1.5, "drum": 3.0}, 9: {"navy": 0.6}},
    )
    assert features.agreed(7) == ["stripes", "navy"]
    assert features.agreed(7, 1) == ["stripes"]
    assert features.agreed(3) == []
    assert features.taste([7, 8, 9]) == ["navy"]
    assert features.taste([7]) == []
