"""Turns about items that are before the person or named: compare them, show others like them, explain them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmrec.gateway.amounts import count_of, prices
from llmrec.gateway.asked import Asked, SoFar, Wish, asks_of_items
from llmrec.gateway.names import Names
from llmrec.gateway.sentences import Sentence, phrase, words_in
from llmrec.gateway.shown import pointed_at
from llmrec.gateway.values import values
from llmrec.gateway.wishes import REFINING_WORDS, asks_change, dearness, rejects, where_of

# --- compare -----------------------------------------------------------------------------------------------------

_COMPARE = phrase(
    "(?:decide|choose|choosing|deciding|torn|choice|pick|picking) between|compare|compared|comparing|"
    "comparison|difference|differences|differ|different from|versus|vs|side by side|pros and cons|"
    "stack up"
)
_WHICH = re.compile(
    r"^(?:(?:and|so|ok|okay|but|well|hm|hmm|hi|hello|then|now|,|please) )*(?:which|whats|what is|what are|who is)\b"
)
_SUPERLATIVE = (
    "better|best|nicer|nicest|cheaper|cheapest|prettier|prettiest|bigger|biggest|smaller|smallest|larger|"
    "largest|warmer|"
    "warmest|lighter|lightest|heavier|heaviest|stronger|strongest|sturdier|newer|newest|older|oldest|easier|"
    "easiest|"
    "safer|safest|softer|softest|brighter|brightest|darker|darkest|longer|longest|shorter|shortest|wider|"
    "cosier|comfier|"
    "more (?!of|like|than|on|about|info|information|details?)\\w+|most \\w+|less expensive|least expensive|"
    "dearer|dearest|pricier|priciest"
)
_JUDGED = phrase(
    rf"{_SUPERLATIVE}|(?:would|should|do|will) (?:you|i|we) (?:\w+ )?(?:take|pick|choose|prefer|buy|get|"
    rf"recommend|go|like|want)|"
    "you prefer|you recommend|to (?:take|pick|choose|buy|get)|do i (?:take|pick|choose|want)|fits?|suits?|suit|goes"
)
_OR = phrase("or|versus|vs")


def compared(sentence: Sentence, so_far: SoFar, names: Names) -> tuple[Asked, Wish | None] | None:
    which = sentence.has(_WHICH) and bool(so_far.sight.items)
    compare = sentence.has(_COMPARE)
    either = sentence.has(_OR)
    judged = sentence.has(_JUDGED)
    if not (compare or which or either or judged):
        return None
    loose = (
        compare or which or (either and (_all_proper(sentence) or (judged and {"a", "an"}.isdisjoint(sentence.folded))))
    )
    pointed = pointed_at(sentence, so_far.sight, names, loose=loose, numbers=compare or which or either)
    rest = _content(sentence)
    if compare:
        if len(pointed.items) == 1 and pointed.named and not pointed.pronoun and so_far.sight.focus:
            focus = tuple(item for item in so_far.sight.focus if item not in pointed.items)[:1]
            return Asked("compare", items=focus + pointed.items), so_far.wish
        if len(pointed.items) == 1 and pointed.pronoun and not pointed.named:
            return Asked("compare", items=so_far.sight.these), so_far.wish
        if pointed.said:
            return Asked("compare", items=pointed.items), so_far.wish
        if so_far.sight.items and not rest:
            return Asked("compare", items=so_far.sight.these), so_far.wish
        return (Asked("compare"), so_far.wish) if not rest and not values(sentence, names) else None
    if len(pointed.items) > 1 and (either or judged) and pointed.said and not rejects(sentence):
        return Asked("compare", items=pointed.items), so_far.wish
    if which and judged and not pointed.named and not _own_kind(sentence, names):
        return Asked("compare", items=so_far.sight.these), so_far.wish
    if which and judged and pointed.named and sentence.has(_EXTREME_ONE):
        return Asked("compare", items=so_far.sight.these), so_far.wish
    return None


_EXTREME_ONE = phrase("cheapest|least expensive|lowest priced|most expensive|dearest|priciest|costliest")
_JUDGING_WORDS = words_in(
    "pros cons torn background facts compare compared comparing comparison difference differences differ "
    "between versus vs side better best cheaper nicer why explain "
    "reason reasons details detail info information describe"
)


def _content(sentence: Sentence) -> list[str]:
    """The words left over that none of the rules knows."""
    return [sentence.folded[place] for place in sentence.left_over() if sentence.folded[place] not in _JUDGING_WORDS]


def _all_proper(sentence: Sentence) -> bool:
    """Whether all that a sentence says is names: “Vera or Otis?”."""
    return all(sentence.written[place][:1].isupper() for place in sentence.left_over())


def _own_kind(sentence: Sentence, names: Names) -> bool:
    """Whether a sentence names a kind of thing by itself: “which lamps are best” asks for lamps."""
    found = values(replace(sentence, used=set()), names)
    kinds = [one for one in found if one.field == "categories" and one.wanted]
    return any({"with", "for", "to", "on", "in"}.isdisjoint(sentence.folded[: one.tokens.start]) for one in kinds)


# --- similar -----------------------------------------------------------------------------------------------------

_LIKE = phrase(
    r"(?<!would )(?<!id )(?<!dont )(?<!not )(?<!you )(?<!didnt )(?<!do )(?<!might )(?<!i )(?<!really )(?<!they )like|"
    r"similar|"
    r"similar to|resembling|resembles?|in the (?:style|spirit|manner) of|along the lines of|more of|much like|"
    r"same (?:style|kind|"
    r"type|look|sort|vibe|design)|the same (?:style|kind|type|look|sort|vibe|design)|alike|comparable to|"
    r"goes well with|matching|reminds? me of|look alike|lookalike|such as|as nice as|in that style|in this style"
)
_PICTURE = phrase("(?:the|my|that|this) (?:picture|photo|image|pic|photograph|snapshot)")


def similar(sentence: Sentence, so_far: SoFar, names: Names) -> tuple[Asked, Wish | None] | None:
    if not sentence.has(_LIKE) or sentence.has(_WHY):
        return None
    if so_far.pictures and sentence.has(_PICTURE):
        for _, tokens in sentence.found(_PICTURE):
            sentence.use(tokens)
        return like(sentence, (), so_far.pictures, so_far, names)
    pointed = pointed_at(sentence, so_far.sight, names, loose=False, numbers=False)
    items = pointed.items
    if not pointed.said:
        bare = not _content_but(sentence, {"similar", "alike"}) and sentence.has(_ALIKE)
        if bare and so_far.sight.items:
            items = so_far.sight.focus or so_far.sight.this
        if not items:
            return None
    if not items and not so_far.sight.items:
        return None if _content_but(sentence, _LIKE_WORDS) else (Asked("similar"), so_far.wish)
    if not items:
        return Asked("similar"), so_far.wish
    return like(sentence, items, (), so_far, names)


_ALIKE = phrase("similar|alike|(?:the )?same (?:style|kind|type|look|sort|vibe|design)|in (?:that|this) style")
_LIKE_WORDS = words_in(
    "similar alike style kind type look sort vibe design resembling resemble resembles spirit manner lines "
    "along comparable picture photo "
    "image pic reminds remind looks"
)


def _content_but(sentence: Sentence, words: frozenset[str] | set[str]) -> list[str]:
    return [word for word in _content(sentence) if word not in words]


def like(
    sentence: Sentence,
    items: tuple[str, ...],
    pictures: tuple[Mapping[str, Any], ...],
    so_far: SoFar,
    names: Names,
) -> tuple[Asked, Wish]:
    """Others like items or pictures, with what is said beside."""
    for place, word in enumerate(sentence.folded):
        if word in _LIKE_WORDS:
            sentence.used.add(place)
    count = count_of(sentence)
    where = where_of(sentence, names, dearness(sentence, items, names))
    for place, word in enumerate(sentence.folded):
        if word in REFINING_WORDS:
            sentence.used.add(place)
    unwanted = tuple(dict.fromkeys((*items, *(so_far.ever if items else ()))))
    wish = Wish(sentence.words(), where, items, pictures, items)
    asked = Asked("similar", wish.words, where, items, pictures, unwanted, count)
    return asked, wish


# --- explain -----------------------------------------------------------------------------------------------------

_WHY = re.compile(
    r"^(?:(?:and|so|ok|okay|but|well|hm|hmm|hi|hello|then|now|,|please|sorry|wait) )*"
    r"(?:why|how come|what makes|for what reason|what is the reason)\b(?! (?:dont|not|cant|wont) (?:you |"
    r"we )?(?:show|give|find|recommend|"
    r"suggest|try|just show))"
)
_TELL = phrase(
    r"(?:background|facts|insights?) (?:on|about)|tell (?:me|us) (?:a bit |a little |something |some |"
    r"a little bit )?more|tell (?:me|us) (?:a bit |something |everything |all )?(?:more )?(?:about|on)|"
    r"(?:more |any |some )?(?:info|information|details?) (?:on|about|of|for|please)|more (?:info|information|"
    r"details?)|details|"
    r"explain|describe|(?:what is|whats) (?:so )?(?:special|good|great|nice|unique|interesting) about|"
    r"(?:reasons?|why) (?:for|behind)|what do you know about|"
    r"talk (?:me|us) through|elaborate|go on about|learn more about|know more about|read more|"
    r"show me more about|say more about|"
    r"the reasons?|(?:what|how) about|convince me|why|justify|what do (?:people|others|reviewers|"
    r"customers) (?:say|think)(?: about| of)?|"
    r"(?:i(?: will|ll)?|let me|lets|we(?: will|ll)?|id) (?:take|have|buy|go with|go for|choose|pick|like|love|"
    r"prefer|see)"
)
_ABOUT = phrase(
    "(?:what|how) about|(?:i(?: will|ll)?|let me|lets|we(?: will|ll)?|id) (?:take|have|buy|go with|go for|"
    "choose|pick|like|love|prefer|see)"
)


def explained(sentence: Sentence, so_far: SoFar, names: Names) -> tuple[Asked, Wish | None] | None:
    why, tell = sentence.has(_WHY), sentence.has(_TELL)
    question = asks_of_items(sentence)
    sight = so_far.sight
    if not why and (rejects(sentence) or asks_change(sentence)):
        return None
    asks = why or tell or question
    loose = why or (tell and not sentence.has(_ABOUT))
    pointed = pointed_at(sentence, sight, names, loose=loose, numbers=asks or len(sentence.folded) < 4)
    rest = _content(sentence)
    if why:
        items = pointed.items if pointed.said or rest else sight.this
        return Asked("explain", items=items), so_far.wish
    if pointed.said and (tell or (question and (sight.items or pointed.items))):
        about = sentence.has(_ABOUT)
        if not (about and (rest or not pointed.items or (pointed.pronoun and not pointed.named))):
            return Asked("explain", items=pointed.items), so_far.wish
    if not pointed.said and sentence.has(_MORE_OF_IT) and not rest and not values(sentence, names):
        return Asked("explain", items=sight.this), so_far.wish
    if pointed.named and not rest and not asks and _says_only_that(sentence, names):
        return Asked("explain", items=pointed.items), so_far.wish
    return None


_MORE_OF_IT = phrase(
    "tell (?:me|us) (?:a bit |a little |something |a little bit )?more|more (?:info|information|details?)|"
    "details|explain|elaborate|describe|"
    "reasons?|convince me|say more|explain yourself|justify"
)


def _says_only_that(sentence: Sentence, names: Names) -> bool:
    """Whether a sentence that points at an item adds no filter to it."""
    return not prices(sentence) and not values(sentence, names)
