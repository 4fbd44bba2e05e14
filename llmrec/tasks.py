"""The tasks that a recommender learns, and what one example of each is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from llmrec.features import Features
from llmrec.prompts import Template, clean
from llmrec.shelf import WORD, Piece, Shelf, numbered, pieces
from llmrec.tokens import TokenMeter
from llmrec.wishes import Wish, wish_for

TASKS = ("sequential", "direct", "rating", "explanation", "summary", "conversation", "visual", "cold")
REVIEW_LIMIT, SUMMARY_LIMIT = 400, 120
JOINING_WORDS = 24


class Happening(NamedTuple):
    """One row of the log: a person takes an item, having taken others before, and may say something about it."""

    row: int
    user: int
    target: int
    history: Sequence[int]
    taken: frozenset[int]
    """Items that are no wrong answers: what the person took at any time, and in training what is to stay new."""
    rating: float | None = None
    review: str = ""
    summary: str = ""


@dataclass
class Draft:
    """An example before it is trimmed and rendered: every choice has been made, nothing has been written."""

    task: str
    template: Template
    happening: Happening
    context: dict[str, Any] = field(default_factory=dict)
    candidates: list[int] = field(default_factory=list)
    free_text: str = ""
    shown: int | None = None
    label: str = ""
    item: int | None = None
    wish: Wish | None = None


class Example(NamedTuple):
    """One example: the conversation, as roles with words and pictures, and where it comes from."""

    task: str
    template: str
    row: int
    user: int
    target: int
    history: Sequence[int]
    candidates: Sequence[int]
    label: str
    prompt: Sequence[tuple[str, Sequence[Piece]]]
    answer: str
    tokens: int


@dataclass(frozen=True)
class Limits:
    """How much of a history and how many pictures go into a prompt."""

    budget: int
    history: int
    history_pictures: int
    candidate_pictures: bool
    word_tokens: int = 0
    """The tokens of an item word, where the history stands as such; 0 where it stands as lines and pictures."""


@dataclass(frozen=True)
class Sizes:
    """What one template costs in tokens beside its items and free text."""

    base: int
    history_line: int
    candidate_line: int


def draft(
    task: str,
    template: Template,
    happening: Happening,
    shelf: Shelf,
    labels: Sequence[str],
    features: Features,
    scale: tuple[str, str],
    rng: Random,
) -> Draft | None:
    """Make the choices of one example, or None where this row cannot serve the task after all."""
    made = Draft(task, template, happening)
    needs, context, target = template.needs, made.context, happening.target
    context["domain"] = shelf.dataset.name
    if "liked" in needs:
        context["liked"] = rng.random() < 0.5
        made.label = "yes" if context["liked"] else "no"
        made.item = target if context["liked"] else _unseen(1, shelf, happening.taken, rng)[0]
    elif "item" in needs:
        made.item = target
    if "shown" in needs:
        alike = [code for code in shelf.alike[target] if code != target]
        if not alike:
            return None
        made.shown = rng.choice(alike)
        context["shown"] = numbered(made.shown)
    if "candidates" in needs:
        barred = happening.taken | {made.shown} if made.shown is not None else happening.taken
        made.candidates = _unseen(len(labels) - 1, shelf, barred, rng)
        place = rng.randrange(len(labels))
        made.candidates.insert(place, target)
        made.label = context["label"] = labels[place]
    if "word" in needs:
        context["word"] = numbered(target, WORD)
    if "rating" in needs:
        context["rating"], (context["low"], context["high"]) = f"{happening.rating:g}", scale
    if "wish" in needs:
        price = shelf.fields[target]["price"]
        made.wish = wish_for(shelf.fields[target], None if price is None else shelf.cheapest_price_above(price), rng)
        context["wish"] = made.wish.text
        context["reason"] = made.wish.reason
    elif "reason" in needs:
        context["reason"] = ""
    if "agreed" in needs:
        context["agreed"] = features.agreed(target)
    if "taste" in needs:
        context["taste"] = features.taste(happening.history)
    review = clean(happening.review, REVIEW_LIMIT) if needs & {"review", "explanation", "hint"} else ""
    if "explanation" in needs:
        review = features.told(review, target)
    if "hint" in needs:
        hint = features.hint(review)
        if hint is None:
            return None
        context["hint"] = hint
    spoken = {"review": review, "explanation": review, "summary": clean(happening.summary, SUMMARY_LIMIT)}
    context.update({name: text for name, text in spoken.items() if name in needs})
    told = [context[name] for name in ("review", "explanation", "summary") if name in context]
    listed = [f"{word}, " for name in ("agreed", "taste") for word in context.get(name, ())]
    made.free_text = " ".join([*told, *listed])
    return made


def finish(
    made: Draft, shelf: Shelf, labels: Sequence[str], sizes: Sizes, free_tokens: int, limits: Limits
) -> Example | None:
    """Trim the history to the budget, oldest items first and whole, and render; None where nothing fits."""
    context, target = made.context, made.happening.target
    needs = made.template.needs
    fixed = sizes.base + free_tokens
    # A wish, its reason and the target's title are made of the words of the target's line, and some that join them.
    fixed += sum(shelf.tokens[target] + JOINING_WORDS for name in ("target", "wish", "reason") if name in needs)
    if made.shown is not None:
        fixed += shelf.picture_tokens
    if made.item is not None:
        fixed += shelf.cost(made.item, True) + limits.word_tokens
    costs = shelf.costs if limits.candidate_pictures else shelf.tokens
    fixed += sum([costs[code] for code in made.candidates]) + sizes.candidate_line * len(made.candidates)
    if fixed > limits.budget:
        return None
    history: list[int] = []
    if "history" in needs:
        history, fixed = _trimmed(made.happening.history, shelf, sizes.history_line, fixed, limits)
        pictured = len(history) - limits.history_pictures
        context["history"] = [
            numbered(code, WORD) if limits.word_tokens else shelf.line(code, place >= pictured)
            for place, code in enumerate(history)
        ]
    if made.candidates:
        lines = shelf.lines_with_picture if limits.candidate_pictures else shelf.lines
        context["candidates"] = [
            {"label": label, "line": lines[code]} for label, code in zip(labels, made.candidates, strict=True)
        ]
    if "target" in needs:
        context["target"] = {"label": made.label, "line": shelf.lines[target], "title": shelf.titles[target]}
    if made.item is not None:
        line = shelf.line(made.item, True)
        # Its word knows the item from training; the picture says what is there when nothing was trained on it.
        context["item"] = numbered(made.item, WORD) + line if limits.word_tokens else line
    chat = made.template.render(context)
    return Example(
        task=made.task,
        template=made.template.name,
        row=made.happening.row,
        user=made.happening.user,
        target=target if made.item is None else made.item,
        history=history,
        candidates=made.candidates,
        label=made.label,
        prompt=[(turn.role, pieces(turn.text)) for turn in chat.prompt],
        answer=chat.answer,
        tokens=fixed,
    )


def measure(template: Template, meter: TokenMeter) -> Sizes:
    """What a template costs: rendered with nothing in it, and with twenty short lines more of each kind."""
    line, count = "\nthing", 20
    unit = int(meter.texts([line])[0])

    def cost(history: int, candidates: int) -> int:
        context: dict[str, Any] = dict.fromkeys(template.needs, "")
        context |= {"liked": True, "history": ["thing"] * history, "agreed": ["thing"], "taste": ["thing"]}
        context |= {"candidates": [{"label": "A", "line": "thing"}] * candidates}
        context |= {"target": {"label": "A", "line": "", "title": ""}}
        chat = template.render({name: context[name] for name in template.needs})
        return meter.chat(chat.prompt) + int(meter.texts([chat.answer])[0])

    base = cost(1, 1)
    spare = 8  # where two pieces of text meet, a tokenizer may need a token more than for the two apart
    history = -(-max(0, cost(1 + count, 1) - base) // count) - unit
    candidates = -(-max(0, cost(1, 1 + count) - base) // count) - unit
    return Sizes(base + spare, max(1, history + 1), max(1, candidates + 1))


def _trimmed(history: Sequence[int], shelf: Shelf, line: int, used: int, limits: Limits) -> tuple[list[int], int]:
    """The newest items of a history that fit the budget, oldest first, and the tokens used with them."""
    kept: list[int] = []
    for code in reversed(history[-limits.history :] if limits.history else ()):
        cost = line + (limits.word_tokens or shelf.cost(code, len(kept) < limits.history_pictures))
        if used + cost > limits.budget:
            break
        used += cost
        kept.append(code)
    return kept[::-1], used


def _unseen(count: int, shelf: Shelf, barred: frozenset[int], rng: Random) -> list[int]:
    """Different items that are not barred, each as likely as the others."""
    drawn: list[int] = []
    items = len(shelf.ids)
    while len(drawn) < count:
        code = int(rng.random() * items)
        if code not in barred and code not in drawn:
            drawn.append(code)
    return drawn
