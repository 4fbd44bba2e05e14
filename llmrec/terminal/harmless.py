"""Text from a catalogue, a model or a server, made so that it can only be read: a terminal obeys what it is sent."""

import re
import unicodedata

# What a terminal takes for a command, with its arguments: CSI; strings up to their end; two characters; a lone ESC.
_COMMANDS = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Characters that turn what stands around them, or are seen by programs alone: tags can hide a whole text.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]")


def harmless(text: str, *, lines: bool = False) -> str:
    """The text without commands for a terminal and without control characters; `lines` keeps ends of lines.

    Joiners inside emoji and scripts stay, what cannot be written becomes a replacement character.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _TURNING.sub("", _COMMANDS.sub("", text))
    return "".join(_one(character, lines) for character in text)


def _one(character: str, lines: bool) -> str:
    if character == "\n":
        return "\n" if lines else " "
    kind = unicodedata.category(character)
    if kind in ("Zl", "Zp") or character == "\t":
        return " "
    if kind == "Cs":  # half of a pair, which no file can hold
        return "\ufffd"
    return "" if kind == "Cc" else character
