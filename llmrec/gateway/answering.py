"""What the gateway says: the items of an answer, and its words, piece by piece."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from llmrec.cleaning import clean
from llmrec.engines.engine import EngineDown, EngineRefused
from llmrec.gateway.asked import Asked
from llmrec.gateway.book import Entry
from llmrec.gateway.desk import Desk, Place, Ranked, Wanted
from llmrec.gateway.people import Known

SHOWN, MOST = 5, 20  # items of an answer in words, unless a number is asked for
VOICE = "as somebody with this taste might put it"
"""The model was tuned on what people say of what they took, and speaks as they do."""
LONGEST_RESULT = 2_000  # characters of a tool's text
EXPLAINED = 3  # items that one answer explains or compares
SILENT = "The model is not answering just now, so there is no more to say of it."
TALK: Mapping[str, str] = {
    "hello": "Hello! Tell me what you are looking for, or ask for a suggestion.",
    "thanks": "You are welcome. Ask for more whenever you like.",
    "bye": "Goodbye, and come back whenever you like.",
    "who": "I suggest things from {domain} and say why. Ask for a suggestion, a wish in words, or send a picture.",
    "help": (
        "I suggest things from {domain}. You can ask for a suggestion; wish for something in words, with a price or a "
        "brand; send a picture of something like it; ask “why the second?”; or have two of them compared."
    ),
    "yes": "Good. Shall I show more like these, or something else?",
    "no": "Then tell me what it should be instead: another price, another maker, or something quite different.",
    "empty": "Tell me what you are looking for, or ask for a suggestion.",
}


@dataclass
class Told:
    """An answer as it is being made: its items are known before its words."""

    kind: str
    items: list[dict[str, Any]] = field(default_factory=list)
    cold: bool = False
    fallback: str | None = None
    empty: str | None = None

    def content(self) -> dict[str, Any]:
        """The documented extra field of an answer."""
        return {
            "kind": self.kind,
            "items": self.items,
            "cold": self.cold,
            "fallback": self.fallback,
            "empty": self.empty,
        }


def shown(entry: Entry, place: Place | None = None, reason: str | None = None) -> dict[str, Any]:
    """An item as answers hold it."""
    found: dict[str, Any] = {
        "item": entry.item,
        "title": entry.fields.get("title") or entry.title,
        "brand": entry.fields.get("brand"),
        "price": entry.fields.get("price"),
        "categories": entry.fields.get("categories") or [],
        "picture": f"/v1/items/{quote(entry.item, safe='')}/picture" if entry.image else None,
    }
    if place is not None:
        found["score"] = place.score
        found["parts"] = {"retriever": place.retriever, "model": place.model}
    if reason is not None:
        found["reason"] = reason
    return found


async def answer(
    asked: Asked, known: Known, desk: Desk, pictures: Sequence[bytes] = ()
) -> tuple[Told, AsyncGenerator[str]]:
    """What to say to a turn: the items at once, the words as they are written.

    What has to be known before the first word is found out here, so that an error is an error and no broken stream.
    """
    if asked.kind == "talk":
        return Told("talk"), _plain(TALK.get(asked.talk or "empty", TALK["empty"]).format(domain=desk.served.domain))
    if asked.kind in ("explain", "compare"):
        return await _of_items(asked, known, desk)
    wanted = Wanted(
        history=known.taken,
        words=asked.words,
        picture=pictures[0] if pictures else None,
        like=asked.items,
        where=asked.where,
        leave_out=known.dismissed | frozenset(asked.leave_out),
        count=min(MOST, asked.count or SHOWN),
    )
    ranked = await desk.rank(wanted)
    entries = await asyncio.to_thread(desk.book.get, [place.item for place in ranked.places])
    # Some may have been taken out of the catalogue a moment ago.
    ranked = replace(ranked, places=[place for place in ranked.places if place.item in entries])
    told = Told(asked.kind, cold=ranked.cold, fallback=ranked.fallback, empty=ranked.empty)
    reasons = await desk.reasons(known.taken, entries.values())
    told.items = [shown(entries[place.item], place, reasons[place.item]) for place in ranked.places]
    return told, _list(wanted, ranked, entries, reasons, known, desk, asked)


async def of_tools(found: Sequence[str], text: str, known: Known, desk: Desk) -> tuple[Told, AsyncGenerator[str]]:
    """What to say of the results of tools: the items that they hold, and the text of one that explains."""
    entries = await asyncio.to_thread(desk.book.get, list(dict.fromkeys(found))[:MOST])
    reasons = await desk.reasons(known.taken, entries.values())
    told = Told("tools")
    told.items = [shown(entry, None, reasons[item]) for item, entry in entries.items()]
    if text and len(entries) == 1:
        return told, _plain(f"{bold(next(iter(entries.values())))}: {clean(text, LONGEST_RESULT)}")
    if not entries:
        return told, _plain("Nothing was found. Ask for something wider, and I look again.")
    lines = [
        f"\n{number}. {bold(entry)}{_price(entry)} — {reasons[item]}"
        for number, (item, entry) in enumerate(entries.items(), 1)
    ]
    return told, _after("This was found:\n", _lines(lines))


async def _list(
    wanted: Wanted,
    ranked: Ranked,
    entries: Mapping[str, Entry],
    reasons: Mapping[str, str],
    known: Known,
    desk: Desk,
    asked: Asked,
) -> AsyncGenerator[str]:
    if ranked.empty:
        yield f"{ranked.empty} Ask for something wider, and I look again."
        return
    yield _opening(wanted, ranked, desk, asked)
    if ranked.fallback:
        yield f" ({ranked.fallback})"
    yield "\n"
    for number, place in enumerate(ranked.places, 1):
        yield f"\n{number}. {bold(entries[place.item])}{_price(entries[place.item])} — {reasons[place.item]}"
    if ranked.fallback or not ranked.places:
        return
    first = entries[ranked.places[0].item]
    begun = False
    try:
        async for piece in _quoted(first, known, desk, f"\n\nOn {bold(first)}, {VOICE}: "):
            yield piece
            begun = True
    except (EngineDown, EngineRefused):  # the list is whole without it
        yield ("”" if begun else "") + f"\n\n{SILENT}"


async def _of_items(asked: Asked, known: Known, desk: Desk) -> tuple[Told, AsyncGenerator[str]]:
    """Why items fit, or which of them fits better."""
    entries = await asyncio.to_thread(desk.book.get, asked.items)
    some = [entries[item] for item in asked.items if item in entries][:EXPLAINED]
    if not some or (asked.kind == "compare" and len(some) < 2):
        return Told(asked.kind), _plain("Which one do you mean? Name it, or say “the first”, once I have shown some.")
    places = await desk.weigh(known.taken, [entry.item for entry in some])
    reasons = await desk.reasons(known.taken, some)
    told = Told(asked.kind, [shown(entry, places.get(entry.item), reasons[entry.item]) for entry in some])
    if asked.kind == "compare":
        words = _compared(some, reasons, places, known, desk)
    else:
        words = _explained(some, reasons, known, desk)
    first = await anext(words)  # an engine that is down is told before the first word
    return told, _after(first, words)


async def _explained(
    some: Sequence[Entry], reasons: Mapping[str, str], known: Known, desk: Desk
) -> AsyncGenerator[str]:
    await desk.awake()
    for number, entry in enumerate(some):
        yield ("\n\n" if number else "") + f"{bold(entry)}: {reasons[entry.item]}."
        async for piece in _quoted(entry, known, desk, f" {VOICE.capitalize()}: "):
            yield piece


async def _quoted(entry: Entry, known: Known, desk: Desk, before: str) -> AsyncGenerator[str]:
    """What the model says of an item, between quotation marks and after `before`; nothing where it says nothing."""
    begun = False
    async for sentence in spaced(desk.explain(known.taken, entry)):
        yield sentence if begun else f"{before}“{sentence}"
        begun = True
    if begun:
        yield "”"


async def _compared(
    some: Sequence[Entry], reasons: Mapping[str, str], places: Mapping[str, Place], known: Known, desk: Desk
) -> AsyncGenerator[str]:
    scored = [entry for entry in some if entry.item in places]
    await desk.awake()
    for number, entry in enumerate(some):
        yield ("\n" if number else "") + f"- {bold(entry)}{_price(entry)}: {reasons[entry.item]}."
        async for piece in _quoted(entry, known, desk, " "):
            yield piece
    if len(scored) > 1:
        best, other = sorted(scored, key=lambda entry: -places[entry.item].score)[:2]
        times = math.exp(min(20.0, places[best.item].score - places[other.item].score))
        more = "a little" if times < 1.3 else f"{times:.1f} times" if times < 10 else "many times"
        whom = "For you" if known.taken else "For somebody of whom I know nothing"
        yield f"\n\n{whom} I would take {bold(best)}: I find it {more} likelier than {bold(other)}."


def _opening(wanted: Wanted, ranked: Ranked, desk: Desk, asked: Asked) -> str:
    if wanted.picture is not None:
        return "Most like your picture" + (f", and “{wanted.words}”:" if wanted.words else ":")
    if wanted.like:
        named = desk.book.get(wanted.like)
        return f"Like {', '.join(bold(entry) for entry in named.values())}:"
    if wanted.words:
        return f"For “{wanted.words}”:"
    if wanted.where:
        return "Of those that meet what you ask for:"
    if ranked.cold:
        return "I know nothing of what you like yet. This is what many people take:"
    return "For you:" if not asked.leave_out else "Here are others for you:"


def bold(entry: Entry) -> str:
    """A title in bold, which a title's own stars cannot end."""
    return f"**{entry.title.replace('*', '∗')}**"


def _price(entry: Entry) -> str:
    price = entry.fields.get("price")
    return "" if price is None else f" ({price:,.2f})"


async def _lines(lines: Sequence[str]) -> AsyncGenerator[str]:
    for line in lines:
        yield line


async def _plain(text: str) -> AsyncGenerator[str]:
    for word in re.findall(r"\S+\s*", text):
        yield word


async def spaced(sentences: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Sentences with a blank between them."""
    first = True
    async for sentence in sentences:
        yield sentence if first else f" {sentence}"
        first = False


async def _after(first: str, rest: AsyncGenerator[str]) -> AsyncGenerator[str]:
    yield first
    async for piece in rest:
        yield piece
