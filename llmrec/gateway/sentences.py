"""One thing that a person said, taken apart: prices, brands, categories, attributes, a count, and the words left over.

A sentence is a list of tokens in one line of small words with single spaces. Patterns run over that line; what they
recognise is used up, so that in the end only the words are left that a search should look for.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from llmrec.cleaning import clean
from llmrec.gateway.names import APART, Meaning, Names, folded_word, stem

LONGEST = 1_200  # characters that are read of a message: its beginning and its end
LONGEST_WORDS = 300  # characters of words that go on to a search and into prompts
LARGEST_COUNT = 20


def words_in(text: str) -> frozenset[str]:
    """Words, given as one text."""
    return frozenset(text.split())


_SMALL_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
NUMBERS = {word: number for number, word in enumerate(_SMALL_NUMBERS)} | {
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
}
NUMBERS |= {"eighty": 80, "ninety": 90, "hundred": 100, "couple": 2, "thousand": 1000}

_TOKEN = re.compile(rf"(\d++(?:[.,]\d++)*+)(?!\w)|([^{APART}'’‘]+(?:['’][^{APART}'’‘]+)*)|([,.;:!?$£€¥#%&+‹›≤≥–—-])")
_APOSTROPHE_QUOTES = re.compile("[‘`´]")

CURRENCY = r"(?:[$£€¥]|eur|euros?|usd|dollars?|gbp|pounds?|bucks|quid)"
_MARK_OF_MONEY = re.compile(CURRENCY)
_TENS = "|".join(word for word, number in NUMBERS.items() if number >= 5 and word != "couple")
UNITS = words_in(
    "year years month months week weeks day days hour hours minute minutes min mins cm mm m km inch inches "
    "in feet ft "
    "kg g gram grams lb lbs oz ml l cl litre litres liter liters people persons guests pieces pcs stars star "
    "pages watts "
    "watt w volts % percent percents per times x times"
)


NEGATORS = words_in(
    "not no nothing never without except excluding nor neither avoid avoiding hate dislike minus isnt arent dont "
    "doesnt wont"
)
_NEGATING_PAIRS = frozenset({("other", "than"), ("but", "not"), ("apart", "from"), ("anything", "but"), ("besides",)})
_BETWEEN = words_in(
    "by from in of with made any the a an anything something it be to brand category is are want like need "
    "one ones "
    "from more those these items things for me really so very too have has got see show"
)
VERB_BEFORE = words_in("to will would does can could should must may might i you we they it that this doesnt dont wont")
_ONES = words_in("one ones thing things stuff product products item items piece pieces please")

FILLERS = words_in(
    # grammar
    "a an and are as at be been being but by can do does did for from had has have having he her hers him "
    "his i if in into is it its "
    "me my mine myself no not of off on onto or our ours out she so such than that the their theirs them "
    "then there "
    "these they this those to too up us was we were what which who whom whose will with would you your yours "
    "am im id "
    "ive ill youre youd youll youve wed weve theyd theyre hes without under over below above between next "
    "similar alike its thats theres whats dont didnt doesnt isnt arent wasnt cant couldnt wont wouldnt "
    "shouldnt should "
    "could may might must shall all any some each every both either neither nor also just only very really "
    "quite rather "
    "much many more most less least few little lot lots bit kind kinds sort sorts type types about how when "
    "where why "
    "because though although while until since here now today again still yet ever never always usually normally often "
    "mostly generally typically maybe "
    "perhaps however "
    "whatever else other others another same instead different currently one ones two thing things something "
    "anything "
    "everything nothing someone somebody anyone anybody everyone everybody stuff item items piece pieces "
    "product products "
    "article articles option options choice choices alternative alternatives lets let us oh ah well um uh hm "
    "hmm so yes yeah yep no nope "
    "ok okay sure right etc eg "
    # wishing
    "want wanted wanting wants wish wishes wishing like liked likes looking look searching search find "
    "finding found need "
    "needs needed love loved get getting give gives giving got show shows showing see seeing list suggest suggests "
    "suggesting suggested suggestion suggestions recommend recommends recommending recommended recommendation "
    "recommendations propose advise advice idea ideas inspire inspiration tell buy buying purchase order try "
    "trying take "
    "taking pick picks picking choose choosing hoping hope meant mean enjoy enjoying hot trending bored "
    "happen happens decide deciding background sounds seem seems feel feels ugly boring consider considering "
    "idk dunno wonder wondering ask asking question able else except excluding besides apart exclude topic "
    "subject think thinking thought know bring help helps search hunting "
    "shopping shop store available sell sells selling carry stock offer offers offering possible preferably "
    "ideally "
    "interested prefer please pls plz kindly thanks thank hi hello hey dear make makes making made go going "
    "come surprise match matching "
    "matches suit suits fit costs cost costing price priced prices worth budget money maximum minimum max "
    "min spend around "
    "brand brands category called named top best good great nice lovely cool perfect favourite favorite "
    "interesting "
    "special decent amazing awesome fine better question quick asap thx assistant"
)
# An earlier colour goes when another one is asked for.
COLOURS = words_in(
    "red blue green yellow orange purple violet pink brown black white grey gray beige cream teal navy "
    "turquoise gold "
    "golden silver maroon olive lilac lavender magenta cyan indigo coral mint khaki ivory burgundy crimson"
)


@dataclass
class Sentence:
    """A text as tokens; `used` are those that have been understood."""

    text: str
    written: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    line: str = ""
    used: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, text: str, limit: int = LONGEST) -> "Sentence":
        """A foreign text, made harmless and taken apart; of a long one, the beginning and the end."""
        if len(text) > limit:
            text = f"{text[: limit // 2]} {text[-limit // 2 :]}"
        sentence = cls(_APOSTROPHE_QUOTES.sub("'", clean(text)))
        place = 0
        for found in _TOKEN.finditer(sentence.text):
            token = found[0]
            plain = "and" if token == "&" else folded_word(token) if found[2] else token
            if plain:
                sentence.written.append(token)
                sentence.folded.append(plain)
                sentence.spans.append(found.span())
                sentence.starts.append(place)
                place += len(plain) + 1
        sentence.line = " ".join(sentence.folded)
        return sentence

    @cached_property
    def bare(self) -> str:
        """Its words alone."""
        return " ".join(word for word in self.folded if is_word(word))

    def has(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern is in it."""
        return pattern.search(self.line) is not None

    def found(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], range]]:
        """Where a pattern is among the tokens that are not used yet."""
        for match in pattern.finditer(self.line):
            tokens = self.tokens(match)
            if self.used.isdisjoint(tokens):
                yield match, tokens

    def tokens(self, match: re.Match[str], group: int | str = 0) -> range:
        """The tokens of a match."""
        return range(bisect_left(self.starts, match.start(group)), bisect_left(self.starts, match.end(group)))

    def use(self, tokens: range) -> None:
        """Take tokens as understood."""
        self.used.update(tokens)

    def left_over(self) -> list[int]:
        """The tokens that nothing has understood and that mean something."""
        return [
            place
            for place, word in enumerate(self.folded)
            if place not in self.used and is_word(word) and word not in FILLERS
        ]

    def words(self) -> str:
        """What is left over, as it was written."""
        made, last = "", None
        for place in self.left_over():
            start, end = self.spans[place]
            joined = last is not None and self.text[last:start] == "-"
            made += ("-" if joined else " ") + self.text[start:end]
            last = end
        return clean(made, LONGEST_WORDS)


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, not a mark."""
    return token[0].isalnum() or len(token) > 1 or ord(token[0]) > 0x2FFF


def phrase(alternatives: str) -> re.Pattern[str]:
    """A pattern of whole tokens."""
    return re.compile(rf"(?<!\S)(?:{alternatives})(?!\S)")


# --- prices ------------------------------------------------------------------------------------------------------


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


# --- values of fields --------------------------------------------------------------------------------------------


class Value(NamedTuple):
    """A value of a field that a sentence names, wanted or not."""

    field: str
    value: str | bool
    wanted: bool
    tokens: range


def values(sentence: Sentence, names: Names) -> list[Value]:
    """The brands, categories and attributes that a sentence names; what is said in passing stays among the words."""
    found: list[Value] = []
    place = 0
    stems = [stem(word) for word in sentence.folded]
    while place < len(stems):
        one = _value_at(sentence, stems, place, names, found) if place not in sentence.used else None
        if one is None:
            place += 1
        else:
            found.append(one)
            place = max(place + 1, one.tokens.stop)
    return _heads(sentence, found)


def _value_at(sentence: Sentence, stems: list[str], place: int, names: Names, before: list[Value]) -> Value | None:
    longest = min(names.phrase_starts.get(stems[place], 0), len(stems) - place)
    for count in range(longest, 0, -1):
        meanings = names.phrases.get(" ".join(stems[place : place + count]))
        tokens = range(place, place + count)
        if not meanings or not sentence.used.isdisjoint(tokens):
            continue
        for meaning in _in_order(meanings, sentence, place):
            column = _column_beside(stems, tokens, meaning.field, names)
            if column is not None or _is_meant(sentence, stems, tokens, meaning, names, before):
                wanted = not _negated(sentence, tokens if column is None else column, before, meaning.field)
                return Value(meaning.field, meaning.value, wanted, column or tokens)
    return None


def _in_order(meanings: tuple[Meaning, ...], sentence: Sentence, place: int) -> list[Meaning]:
    """What a phrase means most likely first: after “by”, a brand; else a category, then an everyday attribute."""
    by = _before(sentence, place) in {"by", "from", "brand"}
    order = {"brand": 0 if by else 3, "categories": 1}
    return sorted(meanings, key=lambda one: order.get(one.field, 2 if one.plain else 4))


def _before(sentence: Sentence, place: int) -> str:
    """The word before, articles aside."""
    place -= 1
    while place >= 0 and sentence.folded[place] in {"the", "a", "an", "some", "any", "your"}:
        place -= 1
    return sentence.folded[place] if place >= 0 else ""


def _column_beside(stems: list[str], tokens: range, name: str, names: Names) -> range | None:
    """A value with its column's name beside it (“colour red”, “the Lantern collection”), as the tokens of both."""
    called = [words.split() for words, column in names.attributes.items() if column == name] or [[stem(name)]]
    called += [["color"]] if called == [["colour"]] else [["colour"]] if called == [["color"]] else []
    called += [["category"]] if name == "categories" else []
    for words in called:
        if stems[max(0, tokens.start - len(words)) : tokens.start] == words:
            return range(tokens.start - len(words), tokens.stop)
        if stems[tokens.stop : tokens.stop + len(words)] == words and words != ["size"]:
            return range(tokens.start, tokens.stop + len(words))
    return None


def _is_meant(
    sentence: Sentence, stems: list[str], tokens: range, meaning: Meaning, names: Names, before: list[Value]
) -> bool:
    """Whether a phrase that can mean a value does so where it stands."""
    place = tokens.start
    last = sentence.folded[place - 1] if place else ""
    capital = place > 0 and sentence.written[place][:1].isupper() and sentence.folded[place - 1] not in {".", "!", "?"}
    cue = _before(sentence, place)
    if meaning.field == "categories":
        return last not in {"at", "your"} and not (len(tokens) == 1 and last in VERB_BEFORE - {"that", "this", "it"})
    if meaning.field == "brand":
        after = stems[tokens.stop] if tokens.stop < len(stems) else ""
        thing = after in _ONES or any(one.field == "categories" for one in names.phrases.get(after, ()))
        listed = bool(before) and before[-1].field == "brand" and before[-1].tokens.stop >= place - 2
        alone = {word for word in sentence.folded if is_word(word) and word not in FILLERS} == set(
            sentence.folded[place : tokens.stop]
        )
        cued = cue in {"by", "from", "of", "brand", "only", "not", "no", "nor", "than"}
        return len(tokens) > 1 or capital or cued or thing or listed or alone
    if isinstance(meaning.value, bool):
        return True
    if len(str(meaning.value)) == 1 or str(meaning.value).replace(".", "").isdigit():
        return False
    made = place > 1 and sentence.folded[place - 2] in {"make", "want", "have", "get", "like", "love", "need", "prefer"}
    if len(tokens) == 1 and last in VERB_BEFORE and not (made and last in {"it", "that", "this"}):
        return False
    return meaning.plain or capital or (len(tokens) > 1 and cue in {"from", "in", "of", "by"})


def _negated(sentence: Sentence, tokens: range, before: list[Value], name: str) -> bool:
    place = tokens.start - 1
    for _ in range(6):
        if place < 0:
            return False
        word = sentence.folded[place]
        pair = (sentence.folded[place - 1], word) if place else ("", word)
        if word in NEGATORS or pair in _NEGATING_PAIRS:
            return True
        if word in {"or", "and", ","} and before and before[-1].field == name and before[-1].tokens.stop >= place - 1:
            return not before[-1].wanted
        if word not in _BETWEEN:
            return False
        place -= 1
    return False


def _heads(sentence: Sentence, found: list[Value]) -> list[Value]:
    """The values that count; of several categories, the one that the others describe (“kitchen lamp”)."""
    kept: list[Value] = []
    for one in found:
        wanted = [other for other in kept if other.field == "categories" and other.wanted]
        if one.field == "categories" and one.wanted and wanted:
            last = wanted[-1]
            between = sentence.folded[last.tokens.stop : one.tokens.start]
            if not between:
                kept.remove(last)
            elif not set(between) <= {"or", "and", ",", "a", "an", "some", "the", "maybe", "either"}:
                continue
        kept.append(one)
    for one in kept:
        sentence.use(one.tokens)
    return kept


def drop_unwanted(sentence: Sentence) -> None:
    """Use up what is not wanted but is no value of a field: a search for “no stripes” must not look for stripes."""
    for place, word in enumerate(sentence.folded):
        alone = word == "no" and sentence.folded[place + 1 : place + 2] in ([","], ["."], ["!"])
        if word not in NEGATORS or alone:
            continue
        for after in range(place + 1, min(place + 5, len(sentence.folded))):
            if sentence.folded[after] in _CLAUSE_ENDS:
                break
            sentence.used.add(after)


_CLAUSE_ENDS = words_in(", . ; ! ? but and with in under below over for by from that which only just")


# --- counts ------------------------------------------------------------------------------------------------------

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


# --- a filter of it all ------------------------------------------------------------------------------------------


def filters_of(bounds: dict[str, float], found: list[Value], names: Names) -> dict[str, dict[str, Any]]:
    """Bounds and values as a filter of `llmrec.retrieval.filters`."""
    fields = names.store.layout.fields
    where: dict[str, dict[str, Any]] = {}
    if bounds and fields["price"].kind in ("number", "whole"):
        where["price"] = dict(bounds)
    for one in found:
        kind = fields[one.field].kind
        if kind == "texts" and one.wanted and names.says_nothing(one.field, one.value):
            continue
        if kind == "flag":
            where[one.field] = {"is": one.wanted}
            continue
        operation = "not" if not one.wanted else "has" if kind == "texts" else "any_of"
        listed = where.setdefault(one.field, {}).setdefault(operation, [])
        if one.value not in listed:
            listed.append(one.value)
    return where


def merged(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """An earlier filter refined by a later one: what is said anew replaces what was said before."""
    where = {name: dict(condition) for name, condition in old.items()}
    for name, condition in new.items():
        before = where.get(name, {})
        if name == "price":
            where[name] = _bounds(before, condition)
            continue
        wanted = next((key for key in ("any_of", "has", "is") if key in condition), None)
        if wanted:
            kept = {"not": [one for one in before.get("not", []) if one not in _list(condition[wanted])]}
            where[name] = {wanted: condition[wanted]} | (kept if kept["not"] else {})
        if "not" in condition:
            unwanted = list(dict.fromkeys([*where.get(name, {}).get("not", []), *condition["not"]]))
            rest = {
                key: left
                for key, value in where.get(name, {}).items()
                if key != "not" and (left := [one for one in _list(value) if one not in unwanted])
            }
            where[name] = {**rest, "not": unwanted}
    return where


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_UPPER, _LOWER = ("below", "at_most"), ("above", "at_least")


def _bounds(old: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    bounds = dict(new)
    for same, opposite, fits in ((_UPPER, _LOWER, min), (_LOWER, _UPPER, max)):
        if any(key in new for key in same):
            continue
        limit = [new[key] for key in opposite if key in new]
        for key in same:
            if key in old and (not limit or fits([old[key], *limit]) != old[key]):
                bounds[key] = old[key]
    return bounds
