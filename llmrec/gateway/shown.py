"""What a person can point at: the items that were shown to them, and those that a sentence refers to.

What was shown is read from the messages, best source first: the `llmrec` field that an answer carried, if the client
sends it back; the numbered lines of an answer's text; titles in its text. All of it is data that a client may have
made up: only what the catalogue knows counts. An entry that the catalogue does not know keeps its place, so that the
third stays the third.
"""

import functools
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.gateway.names import LONGEST_TITLE, Known, Names, folded, stem
from llmrec.gateway.sentences import FILLERS, NUMBERS, UNITS, Sentence, is_word, phrase, words_in

MOST_SHOWN = 50
LONGEST_ANSWER = 20_000  # characters of an answer that are read
LONGEST_JSON = 100_000
PROSE = 4_000  # characters of an answer without a list in which titles are looked for

Shown = tuple[str | None, ...]

_LINE = re.compile(r"^[ \t]{0,8}(?:\d{1,3}[.)]|[-*•])[ \t]+\*\*([^\n]{1,600}?)\*\*", re.MULTILINE)


def parts_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a message's content, whatever a client has put there."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content[:100] if isinstance(part, Mapping)] if isinstance(content, list) else []


def text_of(message: Mapping[str, Any], limit: int = LONGEST_ANSWER) -> str:
    """The text of a message; of a long one, the beginning and the end."""
    texts = [part["text"] for part in parts_of(message) if isinstance(part.get("text"), str)]
    text = "\n".join(texts)
    return text if len(text) <= limit else f"{text[: limit // 2]}\n{text[-limit // 2 :]}"


def pictures_of(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The parts of a message that are pictures, as they were sent."""
    return tuple(part for part in parts_of(message) if part.get("type") == "image_url")


def shown_in(message: Mapping[str, Any], names: Names) -> Shown:
    """The items that an assistant's or a tool's message shows, in order."""
    if message.get("role") in ("tool", "function"):
        return _listed(_json(text_of(message, LONGEST_JSON)), names)
    if message.get("role") != "assistant":
        return ()
    echoed = _listed(message.get("llmrec"), names)
    if echoed:
        return echoed
    text = text_of(message)
    lines: list[str | None] = []
    for match in list(_LINE.finditer(text))[:MOST_SHOWN]:
        twins = names.titled(match[1])
        lines.append(next((item for item in twins if item not in lines), twins[0] if twins else None))
    if any(lines):
        return tuple(lines)
    return tuple(dict.fromkeys(item for item, _ in titles_in(Sentence.of(text, PROSE), names, as_written=True)))


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        return None


def _listed(content: Any, names: Names) -> Shown:
    """The items of a list that is called `items`, or is one; empty where none of them is known."""
    if isinstance(content, Mapping) and isinstance(content.get("llmrec"), Mapping):
        content = content["llmrec"]
    if isinstance(content, Mapping):
        content = content.get("items")
    if not isinstance(content, list):
        return ()
    found: list[str | None] = []
    for entry in content[:MOST_SHOWN]:
        item = (entry.get("item") or entry.get("id")) if isinstance(entry, Mapping) else entry
        found.append(item if isinstance(item, str) and item in names.known else None)
    return tuple(found) if any(found) else ()


def titles_in(sentence: Sentence, names: Names, *, as_written: bool = False) -> list[tuple[str, range]]:
    """The items whose titles, of two or more words, a sentence holds, with where; twins give the first."""
    found: list[tuple[str, range]] = []
    places = [place for place, word in enumerate(sentence.folded) if is_word(word)]
    words = [sentence.folded[place] for place in places]
    at = 0
    while at < len(words):
        longest = min(names.title_starts.get(words[at], 0), LONGEST_TITLE, len(words) - at)
        for count in range(longest, 1, -1):
            item = names.titles.get(" ".join(words[at : at + count]))
            tokens = range(places[at], places[at + count - 1] + 1)
            if item and (not as_written or _same_case(sentence, tokens, names.known[item].title)):
                found.append((item, tokens))
                at += count - 1
                break
        at += 1
    return found


def _same_case(sentence: Sentence, tokens: range, title: str) -> bool:
    written = [sentence.written[place] for place in tokens if is_word(sentence.folded[place])]
    return written == [token for token in Sentence.of(title).written if is_word(token)]


# --- what a sentence refers to -----------------------------------------------------------------------------------

_ORDINALS = {
    word: place
    for place, words in enumerate(
        (
            "first 1st",
            "second 2nd",
            "third 3rd",
            "fourth 4th",
            "fifth 5th",
            "sixth 6th",
            "seventh 7th",
            "eighth 8th",
            "ninth 9th",
            "tenth 10th",
        )
    )
    for word in words.split()
} | {"last": -1, "final": -1, "bottom": -1}
_THING = (
    "(?: (?:one|item|option|suggestion|product|choice|recommendation|pick|thing|piece|ones|result|entry|on the list))?"
)
_NOT_ORDINAL = (
    r"(?! (?:time|times|hand|class|aid|floor|name|of all|week|month|year|night|day|days|minute|edition|"
    r"things? first))"
)
_SMALL = "|".join(word for word, n in NUMBERS.items() if 1 <= n <= 10)
_SLICE = phrase(r"(?:the )?(?P<end>first|last) (?P<count>two|three|four|five|[2-9])(?: ones| items)?")
_ORDINAL = phrase(rf"(?:the |your |my |that )?(?P<which>{'|'.join(_ORDINALS)}){_THING}{_NOT_ORDINAL}")
_BUT_LAST = phrase("(?:the )?(?:second last|second to last|last but one|next to last|penultimate)(?: one)?")
_NUMBERED = phrase(
    rf"(?:number|no|nr|num|option|item|position|suggestion|#|№)(?: [.#])? ?(?P<which>\d{{1,2}}|{_SMALL})"
)
_HASH = phrase(r"(?:the )?(?P<which>\d{1,2}|one|two|three|four|five)(?: one)?(?! (?:more|other|others|further))")
_MIDDLE = phrase("(?:the )?middle(?: one)?")
_BOTH = phrase("(?:the )?both(?: of (?:them|these|those))?|the two(?: of them)?|these two|those two|the pair")
_ALL = phrase(
    "(?:all|each|any|every one|none|neither|either|some|one)(?: of)? (?:the )?(?:them|these|those|"
    "your suggestions|your "
    "recommendations|your picks|three|four|five|the above|above)|these|those|them|they|your "
    "(?:suggestions|recommendations|picks|list)|the above|this list|the (?:list|ranking|order|selection|"
    "suggestions|recommendations|results)|neither|none"
)
_OTHERS = phrase("(?:the )other (?:one|ones|two|three|four|item|items|option|options)|the others?|the rest")
_EXTREME = phrase(
    r"(?:the )?(?:(?P<low>cheapest|least expensive|lowest priced)|(?P<high>most expensive|dearest|priciest|"
    r"costliest))"
    r"(?: one| item| option| of them| of these)?"
)
_IT = phrase(
    "(?:this|that)(?: one| item| product| thing| piece| suggestion| recommendation)?|it|its|"
    "the same(?: one)?|the one|same"
)
_NAMING = words_in(
    "like to about recommend recommended suggest suggested choose why between and or than with versus vs explain "
    "describe compare not the"
)
_FILTERING = words_in("by from of in with no not only or and than but just any some more a an")
_POINTING = words_in("the this that these those your")


@dataclass(frozen=True)
class Sight:
    """What a person has before them: the last list, and of it those that were talked about since."""

    shown: Shown = ()
    focus: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[str, ...]:
        """The shown items that the catalogue knows."""
        return tuple(dict.fromkeys(item for item in self.shown if item))

    @property
    def this(self) -> tuple[str, ...]:
        """What “this” is: what was talked about last, else the first that was shown."""
        return self.focus[:1] or self.items[:1]

    @property
    def these(self) -> tuple[str, ...]:
        """What “these” are."""
        return self.focus if len(self.focus) > 1 else self.items

    def at(self, place: int) -> tuple[str, ...]:
        """The item at a place of the list, where there is one."""
        if not -len(self.shown) <= place < len(self.shown):
            return ()
        item = self.shown[place]
        return (item,) if item else ()


@dataclass(frozen=True)
class Pointed:
    """The items that a sentence refers to, in order, and whether it does so by more than “this” or “them”."""

    items: tuple[str, ...] = ()
    said: bool = False
    """Whether it refers to something at all, known or not."""
    named: bool = False
    """Whether by place, title or feature."""
    pronoun: bool = False


def pointed_at(sentence: Sentence, sight: Sight, names: Names, *, loose: bool, numbers: bool) -> Pointed:
    """What a sentence refers to; its words for it are used up.

    With `loose`, a word that only one of the shown items has needs no “the” before it; with `numbers`, a bare number
    is a place in the list.
    """
    found: list[tuple[int, tuple[str, ...]]] = []

    def take(tokens: range, items: Iterable[str]) -> None:
        sentence.use(tokens)
        found.append((tokens.start, tuple(items)))

    for item, tokens in _ids_in(sentence, names):
        take(tokens, (item,))
    for item, tokens in titles_in(sentence, names):
        if sentence.used.isdisjoint(tokens) and (loose or len(tokens) > 1):
            twins = names.twins.get(" ".join(folded(names.known[item].title)), (item,))
            take(tokens, next(((one,) for one in twins if one in sight.items), (item,)))
    for place in range(1, len(sentence.folded)):
        title = names.titles.get(sentence.folded[place])
        proper = sentence.written[place][:1].isupper() and sentence.folded[place - 1] in _NAMING
        if title and proper and place not in sentence.used:
            take(range(place, place + 1), (title,))
    for match, tokens in sentence.found(_SLICE):
        size = int(match["count"]) if match["count"].isdecimal() else NUMBERS[match["count"]]
        some = sight.shown[:size] if match["end"] == "first" else sight.shown[-size:]
        take(tokens, (item for item in some if item))
    for _, tokens in sentence.found(_BUT_LAST):
        take(tokens, sight.at(-2))
    for match, tokens in sentence.found(_NUMBERED):
        take(tokens, sight.at(_number(match["which"]) - 1) if _number(match["which"]) else ())
    for match, tokens in sentence.found(_ORDINAL):
        take(tokens, sight.at(_ORDINALS[match["which"]]))
    for _, tokens in sentence.found(_MIDDLE):
        if len(sight.shown) % 2:
            take(tokens, sight.at(len(sight.shown) // 2))
    if sight.items:
        for match, tokens in sentence.found(_EXTREME):
            priced = sorted((price, item) for item in sight.items if (price := names.price(item)) is not None)
            if priced:
                take(tokens, (priced[0 if match["low"] else -1][1],))
    if numbers:
        for match, tokens in sentence.found(_HASH):
            place = _number(match["which"])
            next_word = sentence.folded[tokens.stop] if tokens.stop < len(sentence.folded) else ""
            bare = match["which"].isdecimal() or match[0].startswith("the ")
            if bare and 0 < place <= len(sight.shown) and next_word not in UNITS:
                take(tokens, sight.at(place - 1))
    for items, tokens in _by_feature(sentence, sight, names, loose=loose):
        take(tokens, items)
    named = bool(found)
    for _, tokens in sentence.found(_BOTH):
        take(tokens, sight.focus if len(sight.focus) == 2 else sight.items[:2])
    for _, tokens in sentence.found(_OTHERS):
        talked = sight.focus or sight.items[:1]
        take(tokens, (item for item in sight.items if item not in talked))
    for _, tokens in sentence.found(_ALL):
        take(tokens, sight.these)
    pronoun = False
    if not found or (named and len(found) == 1 and sight.focus):
        for _, tokens in sentence.found(_IT):
            pronoun = True
            take(tokens, sight.this)
    items = tuple(dict.fromkeys(item for _, some in sorted(found) for item in some))
    return Pointed(items, bool(found), named, pronoun)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else NUMBERS.get(text, 0)


def _ids_in(sentence: Sentence, names: Names) -> list[tuple[str, range]]:
    """Item ids in a text, as they are written; a number alone is none."""
    found: list[tuple[str, range]] = []
    for chunk in re.finditer(r"\S+", sentence.text):
        word = chunk[0].strip(".,;:!?()'\"“”‹›*`")
        if word in names.known and not word.isdecimal() and not word.isalpha():
            at = chunk.start() + chunk[0].index(word)
            inside = range(bisect_left(sentence.spans, (at,)), bisect_left(sentence.spans, (at + len(word),)))
            if inside:
                found.append((word, inside))
    return found


def _by_feature(sentence: Sentence, sight: Sight, names: Names, *, loose: bool) -> list[tuple[tuple[str, ...], range]]:
    """References by what sets one shown item apart: “the teapot”, “the Alder one”, “Vera”."""
    if not sight.items:
        return []
    have: dict[str, set[str]] = {}
    for item in sight.items:
        for word in _features(names.known[item]):
            have.setdefault(word, set()).add(item)
    found: list[tuple[tuple[str, ...], range]] = []
    place = 0
    while place < len(sentence.folded):
        end, fits = place, set(sight.items)
        while end < len(sentence.folded) and end not in sentence.used:
            left = fits & have.get(stem(sentence.folded[end]), set())
            if not left:
                break
            fits, end = left, end + 1
        if end == place:
            place += 1
            continue
        pointing = place > 0 and sentence.folded[place - 1] in _POINTING
        after = sentence.folded[place - 1] if place else ""
        proper = sentence.written[place][:1].isupper() and place > 0 and after not in _FILTERING
        house = {stem(word) for word in folded(names.known[min(fits)].brand or "")}
        proper = proper and not {stem(word) for word in sentence.folded[place:end]} <= house
        if len(fits) == 1 and (pointing or loose or proper) and _stands_alone(sentence, end, loose):
            one = end < len(sentence.folded) and sentence.folded[end] in ("one", "ones")
            found.append((tuple(fits), range(place - pointing, end + one)))
        place = end
    return found


def _stands_alone(sentence: Sentence, end: int, loose: bool) -> bool:
    """Whether what follows is no noun that the words before only describe (“the blue dress” is no blue mug)."""
    after = sentence.folded[end] if end < len(sentence.folded) else ""
    return loose or not after or not is_word(after) or after in FILLERS or after in ("but", "cheaper")


@functools.lru_cache(maxsize=4096)
def _features(known: Known) -> frozenset[str]:
    """The words that may set an item apart, without endings."""
    texts: Sequence[str] = (
        known.title,
        known.brand or "",
        *known.categories,
        *(value for _, value in known.attributes if isinstance(value, str)),
    )
    return frozenset(stem(word) for text in texts for word in folded(text) if word not in FILLERS and len(word) > 1)
