"""The page of troubleshooting: what each error means and what to do about it."""

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from from_code.raised import CLOSE, OPEN, VALIDATORS, Raised, collect

REMEDIES = Path(__file__).with_name("remedies.md")


@cache
def remedies() -> Mapping[str, str]:
    """What is written by hand on errors that say too little by themselves, by their template."""
    entries = REMEDIES.read_text().split("\n### ")[1:]
    pairs = (entry.partition("\n## ")[0].split("\n", 1) for entry in entries)
    return {message.strip(): " ".join(told.split()) for message, told in pairs}


@cache
def found() -> list[Raised]:
    """The errors of this checkout."""
    return collect()


def advice(one: Raised) -> str:
    """What to do, in Markdown's inline form; empty where nobody has said it yet."""
    return remedies().get(one.template) or _shown(one.parts[1])


def _shown(message: str) -> str:
    """A message as HTML that Markdown leaves alone: what stands at its places as variables."""
    marked = escape(message, quote=False).replace(CLOSE + OPEN, f"{CLOSE} {OPEN}")
    plain = "".join(f"&#{ord(one)};" if one in "\\`*_{}[]#|~^" else one for one in marked)
    return plain.replace(OPEN, "<var>").replace(CLOSE, "</var>")


def _badge(one: Raised) -> str:
    if one.status is not None:
        return f"{one.status}" + (f" {one.code}" if one.code else "")
    if one.path == VALIDATORS:
        return "422"
    return {"Problem": "data"}.get(one.kind, "")


def entries(area: str) -> str:
    """The errors of one area, as a list in which a reader finds the words that were told."""
    lines = ['<div class="errors" markdown="1">']
    for one in found():
        if one.area != area:
            continue
        hand = remedies().get(one.template)
        seen, told = (one.message, hand) if hand else one.parts
        badge = _badge(one)
        mark = f'<span class="badge">{escape(badge)}</span> ' if badge else ""
        lines += [
            f'<div class="error" markdown="1">\n{mark}<code>{_shown(seen)}</code>\n',
            hand or _sentence(_shown(told)),
            "\n</div>",
        ]
    return "\n".join([*lines, "</div>"])


def _sentence(text: str) -> str:
    """A remedy as a sentence of its own."""
    text = text.strip().rstrip(".")
    return text[:1].upper() + text[1:] + "." if text else ""


def unanswered() -> list[Raised]:
    """Errors of which neither they themselves nor the remedies say what to do."""
    return [one for one in found() if not advice(one)]


def stale() -> set[str]:
    """Remedies of errors that nobody raises any more."""
    return set(remedies()) - {one.template for one in found()}
