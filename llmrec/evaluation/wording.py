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
    counted = [counts(text, other, longest=longest) for text, other in zip(texts, references, strict=True)]
    return bleu_of([sum(column) for column in zip(*counted, strict=True)])


def counts(text: str, reference: str, *, longest: int = 4) -> list[int]:
    """What BLEU is made of: for each length the runs that are right and all that are said; words said and wanted."""
    told, wanted = words(text), words(reference)
    found: list[int] = []
    for size in range(1, longest + 1):
        own = grams(told, size)
        found += [(own & grams(wanted, size)).total(), own.total()]
    return [*found, len(told), len(wanted)]


def bleu_of(counted: Sequence[float]) -> float:
    """BLEU of the sums of such counts."""
    *runs, said, meant = counted
    right, every = runs[::2], runs[1::2]
    if not all(right):
        return 0.0
    logs = sum(math.log(one / whole) for one, whole in zip(right, every, strict=True)) / len(right)
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
