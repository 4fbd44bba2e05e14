"""How near a text comes to another and how varied many are: BLEU, ROUGE and distinct n-grams, by their definitions.

Words are compared in small letters and without punctuation. All figures lie between 0 and 1; VIP5 and others print them
a hundred times as large.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"\w+(?:['’]\w+)*")
Grams = Counter[tuple[str, ...]]


def words(text: str) -> list[str]:
    """The words of a text in their order."""
    return WORD.findall(text.lower())


def grams(told: Sequence[str], size: int) -> Grams:
    """How often each run of so many words stands in a text."""
    return Counter(tuple(told[at : at + size]) for at in range(len(told) - size + 1))


def bleu(texts: Sequence[str], references: Sequence[str], *, longest: int = 4) -> float:
    """BLEU of a corpus with one reference a text: clipped precision of 1 to `longest` words, and the brevity penalty.

    Nothing is smoothed: a corpus without a single run of `longest` words that is right has 0.
    """
    told, wanted = [words(text) for text in texts], [words(text) for text in references]
    logs = 0.0
    for size in range(1, longest + 1):
        right = every = 0
        for one, other in zip(told, wanted, strict=True):
            own = grams(one, size)
            right += (own & grams(other, size)).total()
            every += own.total()
        if not right:
            return 0.0
        logs += math.log(right / every) / longest
    said, meant = sum(map(len, told)), sum(map(len, wanted))
    return math.exp(logs + min(0.0, 1 - meant / said))


def rouge(text: str, reference: str) -> tuple[float, float, float]:
    """ROUGE-1, -2 and -L of one text, each as F1: shared words, shared pairs, the longest common subsequence."""
    told, wanted = words(text), words(reference)
    found = []
    for size in (1, 2):
        own, other = grams(told, size), grams(wanted, size)
        found.append(_f1((own & other).total(), own.total(), other.total()))
    return found[0], found[1], _f1(_in_common(told, wanted), len(told), len(wanted))


def distinct(texts: Sequence[str], size: int) -> float:
    """How many different runs of so many words there are among all of them: near 0 where every text says the same."""
    every: Grams = Counter()
    for text in texts:
        every += grams(words(text), size)
    return len(every) / every.total() if every else 0.0


def _f1(shared: int, told: int, wanted: int) -> float:
    return 2 * shared / (told + wanted) if shared else 0.0


def _in_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest subsequence of both."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, wanted in enumerate(other, 1):
            before, row[place] = row[place], before + 1 if word == wanted else max(row[place], row[place - 1])
    return row[-1]
