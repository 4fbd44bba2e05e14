"""The vocabulary of a stock tokenizer, and how it goes on with items that no text can name.

Item number i is `<|item{i}|>`, an entry of the vocabulary that no merge leads to. A text is put together by merges, so
no text is ever read as an item, whatever a title or a chat says: items enter a prompt as token ids alone. An added
token would be found in any text, and 100,000 of them take transformers eight times as long to load.
"""

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from llmrec.errors import InputError
from llmrec.lexicon import ITEM
from llmrec.tokens import TOKENIZER_FILE


def item_name(number: int) -> str:
    """What the token of an item is called in the vocabulary."""
    return ITEM.format(number)


def extend_tokenizer(folder: Path, items: int) -> int:
    """Extend the tokenizer of a folder by so many items, and return the token id of the first."""
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {TOKENIZER_FILE}, so its vocabulary cannot go on. Take a fast tokenizer")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = content["model"]
    if model.get("type") != "BPE":
        raise InputError(
            f"The tokenizer is of the kind {model.get('type')}, in which a text could name an item. "
            "Item words need one that merges pairs of bytes or letters (BPE)"
        )
    vocabulary: dict[str, int] = model["vocab"]
    # An added token that the vocabulary does not hold is counted from its length when it is loaded: hold them all.
    vocabulary |= {token["content"]: token["id"] for token in content["added_tokens"]}
    taken = next((item_name(number) for number in range(items) if item_name(number) in vocabulary), None)
    if taken:
        raise InputError(f"The tokenizer has the token {taken} already. Start from a model without item words")
    before = dict(vocabulary)
    first = max(vocabulary.values()) + 1
    vocabulary |= {item_name(number): first + number for number in range(items)}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _prove(folder, before, first, items)
    return first


def _prove(folder: Path, before: dict[str, int], first: int, items: int) -> None:
    """Load the tokenizer again: every token has its id, and no text gives an item."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    after = tokenizer.get_vocab()
    names = [item_name(number) for number in range(items)]
    moved = [name for name, number in before.items() if after.get(name) != number]
    if moved or any(after.get(name) != first + number for number, name in enumerate(names)):
        raise InputError(f"The tokenizer gives other ids once it holds items ({moved[:3]}). Take another model")
    for text in (names[0], f" {names[-1]}", "".join(names[:3]), f"a{names[0]}b"):
        if max(tokenizer(text, add_special_tokens=False)["input_ids"]) >= first:
            raise InputError(f"The tokenizer reads the text {text!r} as an item, so a chat could forge one")
