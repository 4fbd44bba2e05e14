"""The brands, categories and attributes of a sentence, and the filter that they make."""

from typing import Any, NamedTuple

from llmrec.gateway.names import Meaning, Names, stem
from llmrec.gateway.sentences import FILLERS, Sentence, is_word, words_in

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
