"""Foreign text made harmless: titles, reviews and chat enter a prompt as data that can forge none of its parts."""

import re
import unicodedata


def clean(text: str, limit: int | None = None) -> str:
    """Make foreign text safe to stand in a prompt as data, and leave it readable.

    The result is one line. It cannot hold a picture mark or any other private, invisible or control character; no angle
    or square bracket, of which placeholders, turn tags and end-of-text tokens are made; no `USER:` that opens a turn;
    no double quotation mark that ends the quotes around it; and no option label at its start. Text longer than `limit`
    characters is cut, between two words where it has any. Cleaning twice changes nothing.
    """
    if _HARMLESS.fullmatch(text) is None:
        text = text.translate(_CHARACTERS)
        if not text.isascii():
            text = _JOINING.sub(_joined, text)
        text = " ".join(text.split())
        if '"' in text:
            text = _INCHES.sub("″", _QUOTED.sub(r"'\1'", text)).replace('"', "'")
        if "|" in text:
            text = _WALL.sub("/", text)
        if "##" in text:
            text = _HEADING.sub("#", text)
        if ":" in text:
            text = _COLON.sub(_defused, text).replace("  ", " ")
        text = _OPTION.sub(r"\1", text).strip()
    return text if limit is None or len(text) <= limit else _cut(text, limit)


def _joined(run: re.Match[str]) -> str:
    """What is kept of a run of joiners and variation selectors, which can hide inside a word."""
    before, after = run.string[run.start() - 1 : run.start()], run.string[run.end() : run.end() + 1]
    if before.isascii():
        return "\ufe0f" if before and before in "0123456789#*" and after == "\u20e3" else ""
    variants = [character for character in run[0] if character >= "\ufe00"]
    joiners = [character for character in run[0] if character < "\ufe00"]
    return "".join(variants[:1] + (joiners[:1] if not after.isascii() else []))


def _defused(colon: re.Match[str]) -> str:
    start = colon.start()
    before = _LAST_WORD.match(colon.string[max(0, start - _LONGEST_ROLE) : start][::-1])
    return " - " if before and before[1][::-1].lower() in _ROLES else colon[0]


def _cut(text: str, limit: int) -> str:
    if limit < 2:
        return "…"[:limit]
    kept = text[: limit - 1]
    if text[limit - 1] != " ":
        words, _, _ = kept.rpartition(" ")
        kept = words if len(words) > limit // 2 else kept
    return kept.rstrip(" ,;:.|(-–—\u200c\u200d") + "…"


class _Characters(dict[int, str]):
    """What becomes of each character; filled as characters are met, for Unicode has a million of them."""

    def __missing__(self, code: int) -> str:
        self[code] = made = self._made(chr(code))
        return made

    def _made(self, character: str) -> str:
        if character.isspace() or character == "\u2800":
            return " "
        kind = unicodedata.category(character)
        if (kind[0] == "C" and character not in "\u200c\u200d") or character in _INVISIBLE:
            return ""
        form, _, code = unicodedata.decomposition(character).rpartition(" ")
        if form in ("<wide>", "<font>", "<small>", "<vertical>", "<narrow>"):
            plain = chr(int(code, 16))
            # Full-width commas and the like belong to their script; letters and brackets may be a disguise.
            if plain.isascii() and (plain.isalnum() or plain in '<>[]{}":#|'):
                return self[ord(plain)]
        return character


_CHARACTERS = _Characters(
    {ord(seen): made for seen, made in zip("<>≮≯[]▁∶ː꞉", "‹›≥≤()_:::", strict=True)}
    | dict.fromkeys(map(ord, "“”„‟❝❞〝〞〟⹂🙶🙷🙸"), '"')
)
# Blank or invisible, but counted by Unicode among letters, marks and symbols.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\ufffc") | {
    chr(code) for code in range(0xE0100, 0xE01F0)
}
_JOINING = re.compile("[\u200c\u200d\ufe00-\ufe0f]+")
_QUOTED = re.compile(r'(?<![0-9])"([^"]*)"')
_INCHES = re.compile(r'(?<=[0-9])"')
_HEADING = re.compile(r"#{2,}")
_WALL = re.compile(r"(?<=[^ ])\||\|(?=[^ ])")
_COLON = re.compile(r":[ :]*")
# Who speaks, or what comes next, in the plain-text chat formats. The word is looked for from the colon backwards.
_ROLES = {"user", "assistant", "system", "human", "bot", "chatbot", "ai", "gpt", "chatgpt"} | {
    *("instruct", "instruction", "instructions", "response", "answer", "question", "input", "output")
}
_LAST_WORD = re.compile(r"(?:[^\w:-]|_){0,4}([A-Za-z]+)")
_LONGEST_ROLE = 20
_OPTION = re.compile(r"^([A-Za-z])(?: ?[.)．）])+(?= |$)")
# Most titles: words of letters, digits and marks that mean nothing to any template, with single spaces.
_HARMLESS = re.compile(
    r"(?![A-Za-z] ?[.)])(?:[!$%&'()*+,\-./0-9;=?@A-Z\\^_`a-z{}~]+ )*[!$%&'()*+,\-./0-9;=?@A-Z\\^_`a-z{}~]+"
)
