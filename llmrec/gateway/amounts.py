"""The numbers of a sentence: bounds of a price, and how many suggestions are asked for."""

import re

from llmrec.gateway.sentences import CURRENCY, LARGEST_COUNT, NUMBERS, UNITS, Sentence, phrase

_TENS = "|".join(word for word, number in NUMBERS.items() if number >= 5 and word != "couple")


def _number(name: str) -> str:
    number = rf"\d[\d.,]*(?:eur|usd|gbp|k)?|(?:a )?(?:{_TENS})"
    return rf"(?:(?P<{name}_before>{CURRENCY}) )?(?P<{name}>{number})(?: (?P<{name}_after>{CURRENCY}))?"


_N, _M = _number("n"), _number("m")
_LEAD = r"(?:for |priced (?:at )?|costing |costs? |price |prices |at |is |a |of |my |the |max |budget ){0,4}"
# (pattern, the operations of its numbers, whether a sign of money has to be there)
_PRICES: tuple[tuple[re.Pattern[str], tuple[str, ...], bool], ...] = (
    (phrase(rf"{_LEAD}between {_N} (?:and|to|-|–|—) {_M}"), ("at_least", "at_most"), False),
    (phrase(rf"{_LEAD}from {_N} (?:to|-|–|—|up to) {_M}"), ("at_least", "at_most"), False),
    (phrase(rf"{_LEAD}{_N} (?:to|-|–|—) {_M}"), ("at_least", "at_most"), True),
    (
        phrase(
            rf"{_LEAD}(?:at most|up to|maximum(?: of)?|max|no more than|not more than|not over|not above|"
            rf"no higher than|"
            rf"nothing over|nothing above|within|budget (?:of|is|around)?|until|≤|‹ =|a budget of|can spend|"
            rf"could spend|"
            rf"want to spend|spend up to|have only|only have|limit is) {_N}"
        ),
        ("at_most",),
        False,
    ),
    (phrase(rf"{_LEAD}{_N} (?:or (?:less|under|below|cheaper)|max|maximum|tops|at most|budget)"), ("at_most",), False),
    (
        phrase(
            rf"{_LEAD}(?:under|below|beneath|less than|lower than|cheaper than|less expensive than|fewer than|"
            rf"‹) {_N}"
        ),
        ("below",),
        False,
    ),
    (
        phrase(rf"{_LEAD}(?:at least|starting at|minimum(?: of)?|min|no less than|not less than|not under|≥) {_N}"),
        ("at_least",),
        False,
    ),
    (
        phrase(rf"{_LEAD}{_N} (?:or (?:more|over|above|up)|and (?:up|more|above)|upwards?|\+|plus)"),
        ("at_least",),
        False,
    ),
    (
        phrase(rf"{_LEAD}(?:over|above|more than|dearer than|more expensive than|pricier than|›) {_N}"),
        ("above",),
        False,
    ),
    (phrase(rf"{_LEAD}from {_N}"), ("at_least",), True),
    (phrase(rf"{_LEAD}(?:around|about|roughly|approximately|circa|ca) {_N}"), ("about",), True),
    (phrase(rf"{_LEAD}{_N}"), ("at_most",), True),
)
_ABOUT = 0.25  # how far “around 40” reaches to either side


def prices(sentence: Sentence) -> dict[str, float]:
    """The bounds of a price that a sentence sets."""
    found: dict[str, float] = {}
    if not any(character.isdigit() for character in sentence.line) and not sentence.has(_SPELT):
        return found
    for pattern, operations, with_money in _PRICES:
        for match, tokens in sentence.found(pattern):
            groups = match.groupdict()
            numbers = [(name, amount(groups[name])) for name in ("n", "m") if groups.get(name)]
            money = any(groups.get(f"{name}_{side}") for name, _ in numbers for side in ("before", "after"))
            money = money or any(groups[name][-1:].isalpha() and groups[name][0].isdigit() for name, _ in numbers)
            after = sentence.folded[tokens.stop] if tokens.stop < len(sentence.folded) else ""
            if any(value is None for _, value in numbers) or (not money and (with_money or after in UNITS)):
                continue
            values = sorted(value for _, value in numbers if value is not None)
            if operations == ("about",):
                operations, values = ("at_least", "at_most"), [values[0] * (1 - _ABOUT), values[0] * (1 + _ABOUT)]
            for operation, value in zip(operations, values, strict=True):
                found[operation] = round(value, 2)
            sentence.use(tokens)
    return found


_SPELT = phrase(_TENS)


_NO_DIGITS_AFTER = re.compile(r"[^0-9]+$")


def amount(text: str) -> float | None:
    """A number as people write it: 1,000 or 1.299,00 or 19,90 or twenty; None where it is none."""
    text = text.removeprefix("a ")
    if text in NUMBERS:
        return float(NUMBERS[text])
    thousand = 1000.0 if text.endswith("k") else 1.0
    text = _NO_DIGITS_AFTER.sub("", text)
    pieces = re.split("[.,]", text)
    signs = set(text) & set(".,")
    if len(signs) == 2:  # the last sign is that of the decimals
        text = "".join(pieces[:-1]) + "." + pieces[-1]
    elif len(pieces) > 2 or ("," in signs and len(pieces[-1]) == 3):
        text = "".join(pieces)
    else:
        text = ".".join(pieces)
    try:
        value = float(text) * thousand
    except ValueError:
        return None
    return value if value < 1e9 else None


_HOW_MANY = rf"(?P<count>\d{{1,4}}|{'|'.join(word for word, n in NUMBERS.items() if 1 < n <= 50)})"
_SUGGESTIONS = (
    "(?:suggestions?|recommendations?|ideas?|options?|alternatives?|choices?|picks?|results?|items?|"
    "products?|things?|"
    "pieces?|examples?|gifts?|presents?|proposals?|tips?|more|others?|best|different)"
)
_COUNTS = (
    phrase(rf"(?:your |the |my )?(?:top|best) {_HOW_MANY}(?! {CURRENCY})"),
    phrase(r"(?P<count>one|1|a single) (?:suggestion|recommendation|idea|option|pick|alternative)"),
    phrase(r"(?:just|only) (?P<count>one|1)(?= (?:please|$|[.!?]))"),
    phrase(rf"(?:a )?{_HOW_MANY}(?: of)?(?: (?!or |and |, )\S+)? {_SUGGESTIONS}"),
    phrase(
        r"(?:show|give|find|list|suggest|recommend|name|get|send|bring|want|see)(?: me| us)?(?: the| your)?(?: a)? "
        rf"{_HOW_MANY}(?! (?:{CURRENCY}|%|,|or)(?!\S))(?! (?:{'|'.join(sorted(UNITS))})(?!\S))"
    ),
)


def count_of(sentence: Sentence) -> int | None:
    """How many suggestions are asked for, where it is said."""
    for pattern in _COUNTS:
        for match, _ in sentence.found(pattern):
            said = match["count"]
            number = int(said) if said.isdecimal() else NUMBERS.get(said, 1)
            sentence.use(sentence.tokens(match, "count"))
            return min(number, LARGEST_COUNT) if number else None
    return None
