"""What is looked for: a wish of its own, and what only makes sense as a change to one."""

import re
from collections.abc import Sequence
from typing import Any

from llmrec.cleaning import clean
from llmrec.gateway.amounts import count_of, prices
from llmrec.gateway.asked import MOST_LEFT_OUT, Asked, SoFar, Wish, asks_of_items
from llmrec.gateway.names import Names, stem
from llmrec.gateway.sentences import COLOURS, LONGEST_WORDS, Sentence, is_word, phrase, words_in
from llmrec.gateway.shown import Pointed, pointed_at
from llmrec.gateway.values import Value, drop_unwanted, filters_of, merged, values

# --- follow-up ---------------------------------------------------------------------------------------------------

_CHEAPER = phrase(
    "cheaper|(?:out of|over|above|beyond|exceeds?|outside)(?: of)? (?:my|our|the) (?:budget|price range|"
    "means|limit)|(?:cant|cannot) afford|less expensive|lower (?:price|priced|cost)|less pricey|"
    "more affordable|(?:not|less) (?:so|as|that|quite so) (?:expensive|pricey|dear)|"
    "too (?:expensive|pricey|dear|much|costly)|cost(?:s|ing)? less|lower budget|not expensive|for less(?: money)?"
)
_DEARER = phrase(
    "more expensive|pricier|dearer|higher (?:price|priced|end|quality)|more luxurious|fancier|too cheap|"
    "more upmarket|more premium|costs? more"
)
_OTHER = phrase(
    "(?:something|anything|someone|nothing|what) else|others?|another(?: one)?|different(?: one| ones)?|"
    "other (?:ideas?|options?|ones|suggestions?|"
    "recommendations?|items?|things?|choices?)|alternatives?|more(?= (?:please|of|from|ones?|in|by|with|"
    "under|options?|ideas?|suggestions?|recommendations?|choices?|items?|things?|[,.!?])(?!\\S))|more$|"
    "(?:show|give|see|have)(?: me| us)? more|next|try again|"
    "new (?:ones|ideas|suggestions|options)|keep going|go on|none of (?:these|those|them)|"
    "neither(?: of (?:these|those|them))?|again|"
    "none|further|additional|fresh"
)
_REFINING = phrase(
    "(?:come|comes|available|exist|exists) (?:also )?in|instead|rather|same but|too \\w+|make (?:it|that|"
    "them)|what about|how about|only|any in|any from|any by|any under|any with|any of them|"
    "do you have (?:it|this|that|them|these|any|one|some|the same)|is there one|are there any|(?:see|get|"
    "have|want|show|take|buy) (?:me )?(?:it|this|that|them|these|one) (?:in|with|without|from|by|for)|"
    "are any|is any|anything (?:in|from|by|under|below|with|without|over|for|made|that)|"
    "(?:the )?same (?:one|thing)|actually|on second thought|preferably|narrow|filter|change (?:it|that|the)|"
    "exclude|leave out|skip|drop the|"
    "remove|no more|not too|a bit|a little|slightly|but \\w+|also in|even|ideally|in a different|in another|"
    "keep|other than|"
    "(?:have|has) to be|must be|should be|needs to be|it is for|its for|for example|or maybe|as well"
)
_MORE_LIKE = (
    "bigger|smaller|larger|lighter|darker|warmer|softer|brighter|longer|shorter|wider|narrower|thicker|"
    "thinner|newer|older|nicer|simpler|plainer|fresher|cosier|comfier|prettier|elegant|colourful|formal|"
    "casual|modern|playful|sturdier|heavier|younger|better|cooler|smarter"
)
_COMPARATIVE = phrase(rf"(?:{_MORE_LIKE})|more (?!like|of|than)\w+|less (?!than)\w+")
_STARTS = re.compile(
    r"^(?:(?:and|so|ok|okay|but|well|hm|hmm|no|yes|nope|then|,|please|sorry|thanks|nice|great|good|perfect|"
    r"maybe|or|just|thank you) )*"
    r"(?:in|from|by|with|without|under|below|above|over|up to|at most|less than|more than|between|max|maximum|"
    r"only|not|no|but|and|also|"
    r"or|for|of|made|preferably|ideally|just|none|neither|around|about|cheap|anything|any|nothing)\b"
)
_NEW = re.compile(
    r"(?:^|[.!?,] )(?:(?:and|so|ok|okay|but|well|hi|hello|hey|now|then|thanks|great|no|yes|actually|also|,) )*"
    r"(?:i (?:also )?(?:need|want|am|would)|im |id |we |looking for|do you (?:have|sell) (?:a|an|some)\b|"
    r"show me (?:a|an|some|your)\b|"
    r"find me|a |an |some |i was|can you (?:find|show|recommend|suggest)|something (?:for|by|from|in|with|to|"
    r"under|that|like)|a gift|what do you have|"
    r"are there any \w+ |is there a |give me (?:a|an|some)\b|recommend (?:me )?(?:a|an|some)\b|"
    r"suggest (?:me )?(?:a|an|some)\b|let us|lets|search)"
)
_REJECT = phrase(
    r"not|dont (?:like|want|need|love)|didnt (?:like|want)|do not (?:like|want|need)|hate|dislike|"
    r"already (?:have|own|bought|got|ordered)|"
    r"i (?:bought|ordered|own|purchased|got|owned) (?:the|that|this|it|number|#|one of)|have (?:it|that|this|"
    r"the \w+) already|(?:have|own|bought|got) (?:\S+ ){1,3}already|other than|instead of|rather than|"
    r"none of|neither|but not|anything but|except|skip|remove|exclude|leave out|drop|besides|apart from|"
    r"no more of|without"
)
REFINING_WORDS = words_in(
    "cheaper expensive pricey pricier dearer affordable else other others another different instead rather "
    "same too only else new again next more less "
    "lower higher alternatives further additional fresh luxurious fancier upmarket premium quality cheap "
    "actually already own bought ordered "
    "skip remove exclude leave drop without except besides instead change keep going neither none narrow "
    "filter slightly even second thoughts ideally "
    "preferably nothing preference example must makes have got sorry wait version versions"
)


def rejects(sentence: Sentence) -> bool:
    return sentence.has(_REJECT)


def asks_change(sentence: Sentence) -> bool:
    """Whether a sentence asks for another price or other items."""
    return not asks_of_items(sentence) and any(sentence.has(pattern) for pattern in (_CHEAPER, _DEARER, _ANOTHER))


_ANOTHER = phrase("(?:something|anything|what) else|another(?: one)?|instead|show me (?:more|others?)")


def refined(sentence: Sentence, so_far: SoFar, names: Names) -> tuple[Asked, Wish | None] | None:
    if so_far.wish is None and not so_far.sight.items:
        return None
    old = so_far.wish or Wish()
    cheaper, dearer = sentence.has(_CHEAPER), sentence.has(_DEARER)
    other = sentence.has(_OTHER) or any(
        meaning.field == "categories"
        for match in _MORE_OF_A_KIND.finditer(sentence.line)
        for meaning in names.phrases.get(stem(match[1]), ())
    )
    rejecting = rejects(sentence)
    count = count_of(sentence)
    bounds = prices(sentence)
    pointed = Pointed()
    if rejecting or cheaper or dearer or sentence.has(_THAN):
        pointed = pointed_at(sentence, so_far.sight, names, loose=False, numbers=False)
    if rejecting and pointed.said:
        _drop_reasons(sentence)
    named = values(sentence, names)
    drop_unwanted(sentence)
    head = any(one.field == "categories" and one.wanted for one in named)
    said = cheaper or dearer or other or (rejecting and (pointed.said or bool(named)))
    said = said or sentence.has(_REFINING) or sentence.has(_COMPARATIVE)
    new = sentence.has(_NEW)
    for place, word in enumerate(sentence.folded):
        if word in REFINING_WORDS:
            sentence.used.add(place)
    rest = sentence.left_over()
    only_filters = (bool(named) or bool(bounds)) and not rest
    only_filters = only_filters or (bool(rest) and all(sentence.folded[place] in COLOURS for place in rest))
    starts = sentence.has(_STARTS)
    short = len(rest) <= 4
    ones = sentence.folded[-1] in ("one", "ones") or (
        len(sentence.folded) > 1 and sentence.folded[-2] in ("one", "ones")
    )
    strong = cheaper or dearer or other or (rejecting and pointed.said) or sentence.has(_STRONG)
    if new and head and not strong:
        return None
    if not (
        strong
        or (said and not (new and rest))
        or (starts and short and not (new and head))
        or (only_filters and not new and not (head and _bare_kind(old)))
        or (ones and short and not head)
    ):
        return None
    if other and not (cheaper or dearer) and new and rest and not sentence.has(_STRONG):
        return None
    shown_kind = head and old.where.get("categories", {}).get("has") not in (
        None,
        [one.value for one in named if one.field == "categories" and one.wanted],
    )
    if sentence.has(_SAME_HOUSE):
        houses = [names.known[item].brand for item in (pointed.items or so_far.sight.this)]
        named += [Value("brand", house, True, range(0)) for house in houses if house]
    reference = pointed.items if pointed.said and not rejecting else so_far.sight.focus or so_far.sight.items
    if (cheaper or dearer) and not bounds and not shown_kind:
        bounds = dearness(sentence, reference, names)
    where = merged(old.where, filters_of(bounds, named, names))
    words = _merged_words(old.words, sentence, named)
    gone = pointed.items if rejecting else ()
    unwanted = tuple(dict.fromkeys((*old.unwanted, *gone)))
    out = unwanted
    if other or sentence.has(_STRONG_OTHER):
        out = tuple(dict.fromkeys((*unwanted, *so_far.ever)))
        unwanted = out
    wish = Wish(words, where, old.items, old.pictures, unwanted[-MOST_LEFT_OUT:])
    nothing = not (words or where or old.items or old.pictures or gone)
    if nothing and sentence.has(_MORE) and not sentence.has(_ELSE):
        return Asked("recommend", leave_out=out, count=count), wish
    return Asked("follow-up", words, where, old.items, old.pictures, out, count), wish


_THAN = phrase("than|same")
_MORE_OF_A_KIND = phrase(r"more (\w+)")
_MORE = phrase("more|next|keep going|go on|further|additional|again")
_ELSE = phrase("else|different|other|others|another|not|none|neither")
_SAME_HOUSE = phrase("same (?:brand|maker|house|label|manufacturer|company|designer)")
_STRONG = phrase(
    "instead|not (?:really )?(?:my|for me|what i)|not interested|(?:something|anything) else|same but|"
    "what about|how about|another(?: one)?|none of (?:these|those|them)|neither"
)
_STRONG_OTHER = phrase(
    "none of (?:these|those|them)|neither|(?:something|anything) else|dont like any|not (?:really )?(?:my|"
    "for me|what i)|not interested"
)


def _drop_reasons(sentence: Sentence) -> None:
    """Use up what is said of an item that is not wanted: “I bought the second last year”."""
    for match in _REJECT.finditer(sentence.line):
        for place in range(sentence.tokens(match).stop, len(sentence.folded)):
            if sentence.folded[place] in _REASON_ENDS:
                break
            sentence.used.add(place)


_REASON_ENDS = words_in(", . ; ! ? but with in from by under below over only show something and")


def _bare_kind(old: Wish) -> bool:
    """Whether a kind of thing by itself is a new wish: it is, unless the earlier turns named none."""
    return bool(old.words or old.where.get("categories") or old.items)


def dearness(sentence: Sentence, items: Sequence[str], names: Names) -> dict[str, float]:
    """The bound that “cheaper” or “more expensive” sets, by what the items referred to cost."""
    known = [price for item in items if (price := names.price(item)) is not None]
    if known and sentence.has(_CHEAPER):
        return {"below": min(known)}
    if known and sentence.has(_DEARER):
        return {"above": max(known)}
    return {}


def _merged_words(old: str, sentence: Sentence, named: list[Value]) -> str:
    """Earlier words with later ones; another colour takes the place of the first, and what is unwanted goes."""
    new = sentence.words()
    said = {stem(word) for word in new.lower().split()}
    coloured = not COLOURS.isdisjoint(said) or any(str(one.value).lower() in COLOURS for one in named if one.wanted)
    unwanted = {
        stem(sentence.folded[place])
        for place in sentence.used
        if is_word(sentence.folded[place]) and place and _after_negation(sentence, place)
    }
    kept = [
        word
        for word in old.split()
        if stem(word.lower()) not in said | unwanted and not (coloured and word.lower() in COLOURS)
    ]
    return clean(" ".join([*kept, *new.split()]), LONGEST_WORDS)


def _after_negation(sentence: Sentence, place: int) -> bool:
    return any(
        word in ("no", "not", "without", "dont", "except") for word in sentence.folded[max(0, place - 3) : place]
    )


# --- wish and recommend ------------------------------------------------------------------------------------------

_NEW_TO_ME = phrase(
    "new to me|for me|to me|on my mind|my taste|my style|i would like|i might like|i could like|ill like|"
    "id like|new for me|new today"
)


def wished(sentence: Sentence, names: Names) -> tuple[Asked, Wish]:
    for _, tokens in sentence.found(_NEW_TO_ME):
        sentence.use(tokens)
    count = count_of(sentence)
    where = where_of(sentence, names, {})
    words = sentence.words()
    if not words and not where:
        return Asked("recommend", count=count), Wish()
    return Asked("wish", words, where, count=count), Wish(words, where)


def where_of(sentence: Sentence, names: Names, bounds: dict[str, float]) -> dict[str, dict[str, Any]]:
    said = prices(sentence)
    named = values(sentence, names)
    drop_unwanted(sentence)
    return filters_of(said or bounds, named, names)
