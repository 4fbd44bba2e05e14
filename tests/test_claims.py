"""The claims of an explanation are found, told apart from what is denied or said of earlier pieces, and judged."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from claims import named as find

from llmrec.evaluation import claims
from llmrec.evaluation.claims import Verdict

PIECE = frozenset({"kind=hat", "silhouette=sun hat", "colour=navy", "pattern=leaves", "material=wool", "trim=bow"})
SHOE = frozenset({"kind=shoe", "colour=red"})


def named(text: str) -> set[str]:
    return {claim.name for claim in claims.claims(text, find)}


def judged(text: str, piece: frozenset[str], history: list[frozenset[str]], reasons: list[str]) -> Verdict:
    return claims.judged(text, find, piece, history, reasons)


def test_values_are_found_and_words_inside_other_words_are_not() -> None:
    assert named("Ordered on Monday; the navy wool and those leaves!") == {
        "colour=navy",
        "material=wool",
        "pattern=leaves",
    }
    assert named("It leaves nothing to wish for in the lamplight, a tall order.") == set()
    assert named("Quill House made it plain") == {"brand=Quill House", "pattern=plain"}


def test_a_court_shoe_is_a_shape_and_a_shoe() -> None:
    assert named("I like the court shoe shape.") == {"silhouette=court shoe", "kind=shoe"}


def test_praise_names_a_reason_and_a_complaint_does_not() -> None:
    assert judged("My heart jumped at that navy.", PIECE, [], ["colour=navy"]).reasons == {"colour=navy"}
    assert not judged("I do not like that navy.", PIECE, [], ["colour=navy"]).reasons
    assert not judged("That navy? No.", PIECE, [], ["colour=navy"]).reasons


def test_the_kind_is_a_noun_and_no_reason() -> None:
    verdict = judged("A fine hat.", PIECE, [], ["kind=hat"])
    assert verdict.kind
    assert not verdict.reasons


def test_what_is_not_so_contradicts_also_when_a_true_value_is_denied() -> None:
    assert judged("I like the stripes.", PIECE, [], []).contradictions == {"pattern=stripes"}
    assert judged("It has no bow.", PIECE, [], []).contradictions == {"trim=bow"}
    assert not judged("It has no stripes.", PIECE, [], []).contradictions


def test_an_earlier_piece_is_held_against_the_history() -> None:
    text = "My last order here was a pair of shoes; I came back."
    assert not judged(text, PIECE, [SHOE], []).contradictions
    assert not judged(text, PIECE, [SHOE], []).wrong_history
    assert judged(text, PIECE, [], []).wrong_history == {"kind=shoe"}
