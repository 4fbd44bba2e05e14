"""One thing that a person said, as tokens: what was understood is used up, and the words are left over.

A sentence is a list of tokens in one line of small words with single spaces. Patterns run over that line; what they
recognise is used up, so that in the end only the words are left that a search should look for.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from llmrec.cleaning import clean
from llmrec.gateway.names import APART, folded_word

LONGEST = 1_200  # characters that are read of a message: its beginning and its end
LONGEST_WORDS = 300  # characters of words that go on to a search and into prompts
LARGEST_COUNT = 20


def words_in(text: str) -> frozenset[str]:
    """Words, given as one text."""
    return frozenset(text.split())


_SMALL_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
NUMBERS = {word: number for number, word in enumerate(_SMALL_NUMBERS)} | {
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
}
NUMBERS |= {"eighty": 80, "ninety": 90, "hundred": 100, "couple": 2, "thousand": 1000}

_TOKEN = re.compile(rf"(\d++(?:[.,]\d++)*+)(?!\w)|([^{APART}'’‘]+(?:['’][^{APART}'’‘]+)*)|([,.;:!?$£€¥#%&+‹›≤≥–—-])")
_APOSTROPHE_QUOTES = re.compile("[‘`´]")

CURRENCY = r"(?:[$£€¥]|eur|euros?|usd|dollars?|gbp|pounds?|bucks|quid)"
_MARK_OF_MONEY = re.compile(CURRENCY)
UNITS = words_in(
    "year years month months week weeks day days hour hours minute minutes min mins cm mm m km inch inches "
    "in feet ft "
    "kg g gram grams lb lbs oz ml l cl litre litres liter liters people persons guests pieces pcs stars star "
    "pages watts "
    "watt w volts % percent percents per times x times"
)


FILLERS = words_in(
    # grammar
    "a an and are as at be been being but by can do does did for from had has have having he her hers him "
    "his i if in into is it its "
    "me my mine myself no not of off on onto or our ours out she so such than that the their theirs them "
    "then there "
    "these they this those to too up us was we were what which who whom whose will with would you your yours "
    "am im id "
    "ive ill youre youd youll youve wed weve theyd theyre hes without under over below above between next "
    "similar alike its thats theres whats dont didnt doesnt isnt arent wasnt cant couldnt wont wouldnt "
    "shouldnt should "
    "could may might must shall all any some each every both either neither nor also just only very really "
    "quite rather "
    "much many more most less least few little lot lots bit kind kinds sort sorts type types about how when "
    "where why "
    "because though although while until since here now today again still yet ever never always usually normally often "
    "mostly generally typically maybe "
    "perhaps however "
    "whatever else other others another same instead different currently one ones two thing things something "
    "anything "
    "everything nothing someone somebody anyone anybody everyone everybody stuff item items piece pieces "
    "product products "
    "article articles option options choice choices alternative alternatives lets let us oh ah well um uh hm "
    "hmm so yes yeah yep no nope "
    "ok okay sure right etc eg "
    # wishing
    "want wanted wanting wants wish wishes wishing like liked likes looking look searching search find "
    "finding found need "
    "needs needed love loved get getting give gives giving got show shows showing see seeing list suggest suggests "
    "suggesting suggested suggestion suggestions recommend recommends recommending recommended recommendation "
    "recommendations propose advise advice idea ideas inspire inspiration tell buy buying purchase order try "
    "trying take "
    "taking pick picks picking choose choosing hoping hope meant mean enjoy enjoying hot trending bored "
    "happen happens decide deciding background sounds seem seems feel feels ugly boring consider considering "
    "idk dunno wonder wondering ask asking question able else except excluding besides apart exclude topic "
    "subject think thinking thought know bring help helps search hunting "
    "shopping shop store available sell sells selling carry stock offer offers offering possible preferably "
    "ideally "
    "interested prefer please pls plz kindly thanks thank hi hello hey dear make makes making made go going "
    "come surprise match matching "
    "matches suit suits fit costs cost costing price priced prices worth budget money maximum minimum max "
    "min spend around "
    "brand brands category called named top best good great nice lovely cool perfect favourite favorite "
    "interesting "
    "special decent amazing awesome fine better question quick asap thx assistant"
)
# An earlier colour goes when another one is asked for.
COLOURS = words_in(
    "red blue green yellow orange purple violet pink brown black white grey gray beige cream teal navy "
    "turquoise gold "
    "golden silver maroon olive lilac lavender magenta cyan indigo coral mint khaki ivory burgundy crimson"
)


@dataclass
class Sentence:
    """A text as tokens; `used` are those that have been understood."""

    text: str
    written: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    line: str = ""
    used: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, text: str, limit: int = LONGEST) -> "Sentence":
        """A foreign text, made harmless and taken apart; of a long one, the beginning and the end."""
        if len(text) > limit:
            text = f"{text[: limit // 2]} {text[-limit // 2 :]}"
        sentence = cls(_APOSTROPHE_QUOTES.sub("'", clean(text)))
        place = 0
        for found in _TOKEN.finditer(sentence.text):
            token = found[0]
            plain = "and" if token == "&" else folded_word(token) if found[2] else token
            if plain:
                sentence.written.append(token)
                sentence.folded.append(plain)
                sentence.spans.append(found.span())
                sentence.starts.append(place)
                place += len(plain) + 1
        sentence.line = " ".join(sentence.folded)
        return sentence

    @cached_property
    def bare(self) -> str:
        """Its words alone."""
        return " ".join(word for word in self.folded if is_word(word))

    def has(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern is in it."""
        return pattern.search(self.line) is not None

    def found(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], range]]:
        """Where a pattern is among the tokens that are not used yet."""
        for match in pattern.finditer(self.line):
            tokens = self.tokens(match)
            if self.used.isdisjoint(tokens):
                yield match, tokens

    def tokens(self, match: re.Match[str], group: int | str = 0) -> range:
        """The tokens of a match."""
        return range(bisect_left(self.starts, match.start(group)), bisect_left(self.starts, match.end(group)))

    def use(self, tokens: range) -> None:
        """Take tokens as understood."""
        self.used.update(tokens)

    def left_over(self) -> list[int]:
        """The tokens that nothing has understood and that mean something."""
        return [
            place
            for place, word in enumerate(self.folded)
            if place not in self.used and is_word(word) and word not in FILLERS
        ]

    def words(self) -> str:
        """What is left over, as it was written."""
        made, last = "", None
        for place in self.left_over():
            start, end = self.spans[place]
            joined = last is not None and self.text[last:start] == "-"
            made += ("-" if joined else " ") + self.text[start:end]
            last = end
        return clean(made, LONGEST_WORDS)


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, not a mark."""
    return token[0].isalnum() or len(token) > 1 or ord(token[0]) > 0x2FFF


def phrase(alternatives: str) -> re.Pattern[str]:
    """A pattern of whole tokens."""
    return re.compile(rf"(?<!\S)(?:{alternatives})(?!\S)")
