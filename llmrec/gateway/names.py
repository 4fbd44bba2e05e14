"""What a catalogue calls things: titles, brands, categories and attribute values as people write them, found fast."""

import functools
import re
import sys
import unicodedata
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from llmrec.cleaning import clean
from llmrec.retrieval.index import Index
from llmrec.retrieval.store import ItemStore
from llmrec.schema import ITEM_COLUMNS

FEW = 500  # an attribute with more values than that is not said in words
LONGEST_VALUE = 60
LONGEST_TITLE = 24  # words by which a title is found
CAN_BE_CUT = 40  # characters; an answer cuts titles, but none that is shorter
NEARLY_ALL = 0.95
ORDINARY = re.compile(
    "colou?r|material|size|pattern|occasion|style|season|gender|shape|finish|fabric|length|fit|room|flavou?r|genre"
)
# Whatever parts words: white space, punctuation, signs. All else, marks of any script among it, is part of a word.
APART = (
    r"\s!\"#$%&()*+,\-./:;<=>?@\[\\\]^`{|}~¡¿«»‹›“”„‟‚‛…·•–—―‐‑‒′″≤≥€£¥₹©®™°×§¶†"
    "、。「」『』【】〈〉《》・！？：；，．（）～"
)
WORD = re.compile(rf"[^{APART}'’‘]+(?:['’][^{APART}'’‘]+)*")
ACCENTS = re.compile("[\u0300-\u036f]")


class Known(NamedTuple):
    """What is known of an item by name."""

    title: str
    brand: str | None
    price: float | None
    categories: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


class Meaning(NamedTuple):
    """A value of a field that a phrase may mean."""

    field: str
    value: str | bool
    plain: bool
    """An everyday word such as a colour; a proper name such as a collection's has to be written like one."""


@dataclass(frozen=True)
class Names:
    """The names in a catalogue. Safe to share between threads: nothing in it changes."""

    store: ItemStore = field(repr=False)
    known: Mapping[str, Known] = field(repr=False)
    titles: Mapping[str, str] = field(repr=False)
    twins: Mapping[str, tuple[str, ...]] = field(repr=False)
    long_titles: Sequence[str] = field(repr=False)
    counts: Mapping[tuple[str, str | bool], int] = field(repr=False)
    phrases: Mapping[str, tuple[Meaning, ...]] = field(repr=False)
    phrase_starts: Mapping[str, int] = field(repr=False)
    title_starts: Mapping[str, int] = field(repr=False)
    attributes: Mapping[str, str]
    """The columns whose values can be said, by the words of their names."""

    @classmethod
    def of(cls, index: Index) -> "Names":
        """The names in an index's catalogue."""
        store = index.store
        fields = store.layout.fields
        values = {name: _column(store, name) for name in ("title", "brand", "price", "categories")}
        attributes: dict[str, str] = {}
        for name, what in fields.items():
            if name in ITEM_COLUMNS or what.kind not in ("text", "flag"):
                continue
            found = _column(store, name)
            distinct = set(found.values())
            if what.kind == "flag" or (1 < len(distinct) <= FEW and max(map(len, distinct)) <= LONGEST_VALUE):
                values[name] = found
                attributes[" ".join(map(stem, folded(name.replace("_", " "))))] = name
        known: dict[str, Known] = {}
        shared: dict[Any, Any] = {}
        for item in store.column("item")["item"].to_list():
            row = {name: found.get(item) for name, found in values.items()}
            known[item] = _known(row, attributes.values(), shared)
        titles: dict[str, str] = {}
        twins: dict[str, tuple[str, ...]] = {}
        for item in sorted(known):
            _enter(item, known[item].title, titles, twins)
        counts: Counter[tuple[str, str | bool]] = Counter()
        for one in known.values():
            counts.update(_values(one))
        empty: dict[str, Any] = {}
        long_titles = sorted(title for title in titles if len(title) >= CAN_BE_CUT)
        return cls(
            store, known, titles, twins, long_titles, counts, empty, empty, _starts(titles), attributes
        )._with_phrases()

    def refreshed(self, items: Iterable[str]) -> "Names":
        """The names after these items were written or removed; those given as changed may be unchanged."""
        changed = list(dict.fromkeys(items))
        if not changed:
            return self
        known, titles, twins, counts = dict(self.known), dict(self.titles), dict(self.twins), Counter(self.counts)
        found = {row["item"]: row for row in self.store.get(changed).iter_rows(named=True)}
        shared: dict[Any, Any] = {}
        for item in changed:
            if item in known:
                gone = known.pop(item)
                counts.subtract(_values(gone))
                _leave(item, gone.title, titles, twins)
            if item in found:
                known[item] = _known(found[item], self.attributes.values(), shared)
                counts.update(_values(known[item]))
                _enter(item, known[item].title, titles, twins)
        starts, long_titles = dict(self.title_starts), list(self.long_titles)
        touched = {self.known[item].title for item in changed if item in self.known}
        touched |= {known[item].title for item in changed if item in known}
        for key in {" ".join(folded(title)) for title in touched}:
            place = bisect_left(long_titles, key)
            listed = long_titles[place : place + 1] == [key]
            if listed and key not in titles:
                del long_titles[place]
            elif not listed and key in titles and len(key) >= CAN_BE_CUT:
                insort(long_titles, key)
            _start(key, starts)  # a start without its title costs a look and finds nothing
        counts = +counts
        made = replace(
            self,
            known=known,
            titles=titles,
            twins=twins,
            counts=counts,
            title_starts=starts,
            long_titles=long_titles,
        )
        return made if counts.keys() == self.counts.keys() else made._with_phrases()

    def titled(self, title: str) -> tuple[str, ...]:
        """The items of a title, however it is spelt; a title that ends in “…” may have been cut."""
        key = " ".join(folded(clean(title)))
        if key in self.twins:
            return self.twins[key]
        if key in self.titles:
            return (self.titles[key],)
        if len(key) >= CAN_BE_CUT // 2 and title.rstrip().endswith(("…", "...")):
            place = bisect_left(self.long_titles, key)
            if place < len(self.long_titles) and self.long_titles[place].startswith(key):
                return self.titled(self.long_titles[place])
        return ()

    def price(self, item: str) -> float | None:
        """What an item costs, where that is known."""
        return self.known[item].price if item in self.known else None

    def says_nothing(self, name: str, value: str | bool) -> bool:
        """Whether nearly all items have a value, as a shop's topmost category."""
        return self.counts.get((name, value), 0) >= NEARLY_ALL * max(1, len(self.known))

    def _with_phrases(self) -> "Names":
        """The same names with the phrases for all values."""
        phrases: dict[str, list[Meaning]] = {}
        parts: dict[str, list[Meaning]] = {}
        for name, value in self.counts:
            said = name.replace("_", " ") if isinstance(value, bool) else value
            words = [stem(word) for word in folded(said)]
            plain = isinstance(value, bool) or said == said.lower() or ORDINARY.fullmatch(name.lower()) is not None
            meaning = Meaning(name, value, plain)
            if words:
                phrases.setdefault(" ".join(words), []).append(meaning)
            if name == "categories":  # “Clothing, Shoes & Jewelry” is also called by its parts
                for last, part in groupby(words, key=lambda word: word == "and"):
                    if not last:
                        parts.setdefault(" ".join(part), []).append(meaning)
                for part_of in re.split(r"[,&/>]", str(value)):
                    if said_part := " ".join(stem(word) for word in folded(part_of)):
                        parts.setdefault(said_part, []).append(meaning)
        for phrase, meanings in parts.items():
            phrases.setdefault(phrase, meanings[:1])
        return replace(
            self,
            phrases={phrase: tuple(meanings) for phrase, meanings in phrases.items()},
            phrase_starts=_starts(phrases),
        )


def folded(text: str) -> list[str]:
    """The words of a text as they are compared: in small letters, without accents and apostrophes."""
    if text.isascii():
        return WORD.findall(text.lower().replace("'", "").replace("&", " and "))
    return [word for found in WORD.findall(text.replace("&", " and ")) if (word := folded_word(found))]


def folded_word(word: str) -> str:
    """One word as it is compared."""
    word = word.replace("'", "").replace("’", "")
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFKD", word))).casefold()
    return "".join(WORD.findall(plain))


@functools.lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A word without the endings that a kind of thing may or may not have: teapots, dresses, striped."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    if len(word) > 5 and word.endswith("ed"):
        return word[:-3] if word[-3] == word[-4] else word[:-1]
    return word


def _column(store: ItemStore, name: str) -> dict[str, Any]:
    found = store.column(name).filter(pl.col("value").is_not_null())
    return dict(zip(found["item"].to_list(), found["value"].to_list(), strict=True))


def _known(row: Mapping[str, Any], attributes: Iterable[str], shared: dict[Any, Any]) -> Known:
    """A row by name; what many items have in common is kept once."""
    brand = row.get("brand")
    categories = tuple(sys.intern(one) for one in row.get("categories") or () if one)
    said = tuple((name, row[name]) for name in attributes if row.get(name) not in (None, "", False))
    return Known(
        clean(row.get("title") or ""),
        sys.intern(brand) if brand else None,
        row.get("price"),
        shared.setdefault(categories, categories),
        shared.setdefault(said, said),
    )


def _values(one: Known) -> list[tuple[str, str | bool]]:
    found: list[tuple[str, str | bool]] = [("categories", value) for value in dict.fromkeys(one.categories)]
    if one.brand:
        found.append(("brand", one.brand))
    return found + list(one.attributes)


def _enter(item: str, title: str, titles: dict[str, str], twins: dict[str, tuple[str, ...]]) -> None:
    if not (key := " ".join(folded(title))):
        return
    if key in titles:
        twins[key] = tuple(sorted({*twins.get(key, (titles[key],)), item}))
        titles[key] = twins[key][0]
    else:
        titles[key] = item


def _leave(item: str, title: str, titles: dict[str, str], twins: dict[str, tuple[str, ...]]) -> None:
    key = " ".join(folded(title))
    left = tuple(one for one in twins.pop(key, (item,)) if one != item)
    if left:
        titles[key] = left[0]
        if len(left) > 1:
            twins[key] = left
    else:
        titles.pop(key, None)


def _starts(phrases: Iterable[str]) -> dict[str, int]:
    """By their first word, how many words the longest phrase has."""
    found: dict[str, int] = {}
    for phrase in phrases:
        _start(phrase, found)
    return found


def _start(phrase: str, starts: dict[str, int]) -> None:
    first, _, rest = phrase.partition(" ")
    count = min(LONGEST_TITLE, rest.count(" ") + 2 if rest else 1)
    if count > starts.get(first, 0):
        starts[first] = count
