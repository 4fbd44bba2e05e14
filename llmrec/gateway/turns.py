"""What the last thing that a person said asks for, read from the whole conversation by rules.

The messages are walked from the front. Each user message is one turn, each answer changes what is before the person.
A turn is decided in this order, and the first rule that fits decides:

1. Nothing said, a greeting, thanks, a goodbye, “who are you”, “what can you do”, a bare yes or no: **talk**.
2. A picture: **similar**, with the words and filters said beside it.
3. “Compare”, “difference”, “which is better” or “the first or the third”, of items that are before the person or
   named: **compare**.
4. “More like”, “similar to” and an item: **similar**, with the words and filters said beside it.
5. “Why”, “tell me about”, a question about an item, or nothing but an item: **explain**.
6. After an earlier turn, what only makes sense as a change to it (“cheaper”, “in red instead”, “something else”, “not
   that one”, “only from Alder”): **follow-up**, merged with the earlier turns of the same wish.
7. Nothing left that a search could look for: **recommend**; else **wish**.

System messages never count. What assistants and tools said is data: it says which items were shown, nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llmrec.cleaning import clean
from llmrec.gateway.names import Names, stem
from llmrec.gateway.sentences import (
    COLOURS,
    LONGEST,
    LONGEST_WORDS,
    Sentence,
    Value,
    count_of,
    drop_unwanted,
    filters_of,
    is_word,
    merged,
    phrase,
    prices,
    values,
    words_in,
)
from llmrec.gateway.shown import Pointed, Sight, pictures_of, pointed_at, shown_in, text_of

Kind = Literal["recommend", "wish", "similar", "explain", "compare", "follow-up", "talk"]
Talk = Literal["", "hello", "thanks", "bye", "who", "help", "yes", "no", "empty"]

LONGEST_BEFORE = 400  # characters that are read of what was said earlier
RECENT = 40  # messages that are read, back from the last that a person said
MOST_LEFT_OUT = 200


@dataclass(frozen=True)
class Asked:
    """What the last user turn asks for."""

    kind: Kind
    words: str = ""
    """What to search for: the words that are no filter, made harmless, at most 300 characters."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """A filter of `llmrec.retrieval.filters`, always with its operations: {"brand": {"any_of": ["Alder"]}}."""
    items: tuple[str, ...] = ()
    """The items referred to: those to explain or compare, or those that others should be like. Empty where the person
    means an item that is not known: ask which one."""
    pictures: tuple[Mapping[str, Any], ...] = ()
    """The content parts that are pictures: of the last message, or of the earlier one that a follow-up refines."""
    leave_out: tuple[str, ...] = ()
    """Items that should not be answered with: shown already, or not wanted."""
    count: int | None = None
    """How many suggestions the person wants, 1 to 20, where they say so."""
    talk: Talk = ""
    """What kind of small talk it is."""


@dataclass(frozen=True)
class _Wish:
    """What is being looked for over one or more turns."""

    words: str = ""
    where: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    pictures: tuple[Mapping[str, Any], ...] = ()
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class _SoFar:
    """Where a conversation has come to before a turn."""

    sight: Sight = field(default_factory=Sight)
    ever: tuple[str, ...] = ()
    """All that was shown for the wish."""
    wish: _Wish | None = None
    talked: bool = False
    """Whether the last turn was about items that were there, so that its answer shows no new list."""
    pictures: tuple[Mapping[str, Any], ...] = ()
    """The last pictures that the person sent."""


def understand(messages: Sequence[Mapping[str, Any]], names: Names) -> Asked:
    """What the last user message asks for, in the light of those before it."""
    last = max((place for place, message in enumerate(messages) if _role(message) == "user"), default=None)
    if last is None:
        return Asked("talk", talk="empty")
    so_far = _SoFar()
    for message in messages[max(0, last - RECENT) : last]:
        if _role(message) == "user":
            so_far = _after(so_far, message, names)
        elif shown := shown_in(message, names) if _role(message) in ("assistant", "tool", "function") else ():
            so_far = _seen(so_far, shown)
    asked, _ = _turn(messages[last], so_far, names)
    return asked


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, Mapping) else None


def _seen(so_far: _SoFar, shown: tuple[str | None, ...]) -> _SoFar:
    """After an answer that shows items: a new list, unless it only repeats what the talk is about."""
    items = tuple(dict.fromkeys(item for item in shown if item))
    if so_far.talked and set(items) <= {*so_far.sight.items, *so_far.sight.focus}:
        return replace(so_far, sight=replace(so_far.sight, focus=items))
    ever = tuple(dict.fromkeys((*so_far.ever, *items)))[-MOST_LEFT_OUT:]
    return replace(so_far, sight=Sight(shown, ()), ever=ever)


def _after(so_far: _SoFar, message: Mapping[str, Any], names: Names) -> _SoFar:
    """After a user's turn."""
    asked, wish = _turn(message, so_far, names, LONGEST_BEFORE)
    pictures = pictures_of(message) or so_far.pictures
    if asked.kind == "talk":
        return replace(so_far, pictures=pictures)
    if asked.kind in ("explain", "compare"):
        sight = replace(so_far.sight, focus=asked.items or so_far.sight.focus)
        return replace(so_far, sight=sight, talked=True, pictures=pictures)
    fresh = asked.kind == "wish" or (asked.kind == "recommend" and not asked.leave_out)
    return replace(so_far, wish=wish, ever=() if fresh else so_far.ever, talked=False, pictures=pictures)


# --- one turn ----------------------------------------------------------------------------------------------------


def _turn(message: Mapping[str, Any], so_far: _SoFar, names: Names, limit: int = LONGEST) -> tuple[Asked, _Wish | None]:
    """What one user message asks for, and the wish that it leaves."""
    pictures = pictures_of(message)
    sentence = Sentence.of(text_of(message), limit)
    if not pictures and (talk := _talk(sentence)):
        return Asked("talk", talk=talk), so_far.wish
    if pictures:
        return _like(sentence, (), pictures, so_far, names)
    anew = next(sentence.found(_ANEW), None)
    if anew:
        sentence.use(anew[1])
        return _wished(sentence, names)
    for rule in (_compared, _similar, _explained, _refined):
        # Each rule reads the sentence anew: what one uses up is not gone for the next.
        if (found := rule(replace(sentence, used=set()), so_far, names)) is not None:
            return found
    return _wished(sentence, names)


_ANEW = phrase(
    "(?:different|new|other|another) (?:topic|subject|question)|change of (?:topic|subject)|start over|"
    "start again|reset|forget (?:it|that|everything|about it)|never ?mind|from scratch|new search"
)

# --- talk --------------------------------------------------------------------------------------------------------

_SOFT = words_in(
    "there again you u all everyone so very much a lot for the your that this it is was me my friend bot "
    "assistant sir "
    "madam team and then now today too just really oh ah well i im help advice time one bye thats and ok okay dear "
    "have nice good great lovely day evening night weekend see later soon take care suggestions "
    "recommendations tips "
    "recommendation suggestion quick kind"
)
_HELLO = words_in(
    "hi hello hey hiya howdy greetings yo hallo hola bonjour salut moin servus namaste hei hej ola "
    "konnichiwa morning "
    "afternoon 你好 こんにちは привет"
)
_THANKS = words_in(
    "thanks thank thx ty cheers merci danke gracias grazie obrigado tack appreciated appreciate 谢谢 ありがとう спасибо"
)
_BYE = words_in("bye goodbye cya ciao farewell tschuss adios goodnight")
_YES = words_in("yes yeah yep yup ok okay sure great nice cool perfect fine alright wow lol right understood good k")
_YES |= words_in("awesome wonderful excellent agreed interesting hm hmm haha")
_NO = words_in("no nope nah never")
_SMALL_WORDS = (
    {"please", "pls"}
    | _SOFT
    | _HELLO
    | _THANKS
    | _BYE
    | _YES
    | _NO
    | {"sounds", "looks", "got", "makes", "sense", "not", "what"}
)
_ABOUT_US = phrase(
    "who are you|what are you|who r u|what is your name|whats your name|your name|are you (?:a |an |the )?(?:real |"
    "live )?(?:bot|robot|human|ai|person|machine|model|computer|program|chatgpt|gpt|llm|assistant|man|woman|"
    "there|alive)|"
    "who (?:made|built|created|trained) you|which model are you|who am i (?:talking|speaking|chatting) (?:to|with)|"
    "am i (?:talking|speaking) to|what model are you|introduce yourself|tell me about yourself|who is this"
)
_ABILITIES = phrase(
    "what (?:all )?can you (?:do|help)(?: for me| me)?(?: with)?|how (?:can|could|do) you help(?: me)?|"
    "how does this work|"
    "how do(?:es)? (?:you|it|this thing|this chat) work|what do you do|what are you for|can you help(?: me)?|"
    "what can i (?:ask|do|say)(?: you)?|how do i use (?:this|you)|what are you able to do|"
    "what are your (?:features|skills|"
    "abilities)|how (?:can|do) i (?:use|talk to) (?:you|this)|what is this(?: chat| site)?(?: for)?"
)
_HOW_ARE_YOU = phrase("how are you(?: doing)?(?: today)?|hows it going|how do you do|whats up|nice to meet you|sup")
_SEE_YOU = phrase(
    "see you|see ya|good night|good bye|until next time|have a (?:nice|good|great) (?:day|evening|one|"
    "weekend)|that is all|thats all|take care"
)


def _talk(sentence: Sentence) -> Talk:
    """What small talk a sentence is; empty where it is more than that."""
    words = sentence.bare.split()
    if not words:
        return "empty"
    rest = [word for word in words if word not in _SMALL_WORDS]
    if len(words) > 14:
        return ""
    if (match := _ABILITIES.search(sentence.bare)) and _only_politeness(sentence.bare, match):
        return "help"
    if sentence.has(_ABOUT_US) and len(words) <= 9:
        return "who"
    if set(words) <= {"help", "please", "me", "hi", "hello"} and "help" in words:
        return "help"
    if (match := _HOW_ARE_YOU.search(sentence.bare)) and _only_politeness(sentence.bare, match):
        return "hello"
    if (match := _SEE_YOU.search(sentence.bare)) and _only_politeness(sentence.bare, match):
        return (
            "thanks" if not _THANKS.isdisjoint(words) and "bye" not in words and match[0].startswith("tha") else "bye"
        )
    if rest:
        return ""
    kinds: tuple[tuple[frozenset[str], Talk], ...] = ((_BYE, "bye"), (_THANKS, "thanks"), (_HELLO, "hello"))
    for those, talk in kinds:
        if not those.isdisjoint(words):
            return talk
    if words[0] in _NO and not set(words) & {"that", "this", "it", "one", "you"}:
        return "no"
    if words[0] in _YES and not set(words) & {"one"}:
        return "yes"
    return ""


def _only_politeness(line: str, match: re.Match[str]) -> bool:
    """Whether nothing but small talk stands around a match."""
    around = (line[: match.start()] + " " + line[match.end() :]).split()
    return all(word in _SMALL_WORDS or word in ("please", "with", "here", "exactly", "actually") for word in around)


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


def _compared(sentence: Sentence, so_far: _SoFar, names: Names) -> tuple[Asked, _Wish | None] | None:
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
    if len(pointed.items) > 1 and (either or judged) and pointed.said and not _rejects(sentence):
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


def _similar(sentence: Sentence, so_far: _SoFar, names: Names) -> tuple[Asked, _Wish | None] | None:
    if not sentence.has(_LIKE) or sentence.has(_WHY):
        return None
    if so_far.pictures and sentence.has(_PICTURE):
        for _, tokens in sentence.found(_PICTURE):
            sentence.use(tokens)
        return _like(sentence, (), so_far.pictures, so_far, names)
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
    return _like(sentence, items, (), so_far, names)


_ALIKE = phrase("similar|alike|(?:the )?same (?:style|kind|type|look|sort|vibe|design)|in (?:that|this) style")
_LIKE_WORDS = words_in(
    "similar alike style kind type look sort vibe design resembling resemble resembles spirit manner lines "
    "along comparable picture photo "
    "image pic reminds remind looks"
)


def _content_but(sentence: Sentence, words: frozenset[str] | set[str]) -> list[str]:
    return [word for word in _content(sentence) if word not in words]


def _like(
    sentence: Sentence,
    items: tuple[str, ...],
    pictures: tuple[Mapping[str, Any], ...],
    so_far: _SoFar,
    names: Names,
) -> tuple[Asked, _Wish]:
    """Others like items or pictures, with what is said beside."""
    for place, word in enumerate(sentence.folded):
        if word in _LIKE_WORDS:
            sentence.used.add(place)
    count = count_of(sentence)
    where = _where(sentence, names, _dearness(sentence, items, names))
    for place, word in enumerate(sentence.folded):
        if word in _REFINING_WORDS:
            sentence.used.add(place)
    unwanted = tuple(dict.fromkeys((*items, *(so_far.ever if items else ()))))
    wish = _Wish(sentence.words(), where, items, pictures, items)
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
_QUESTION = re.compile(
    r"^(?:(?:and|so|ok|okay|but|well|hm|hmm|hi|hello|then|now|,|please) )*"
    r"(?:is|are|was|does|do|did|can|could|would|will|has|have|how|what|whats|who|whos|whose|where|when|which|"
    r"should) "
)
_NO_QUESTION_OF_ITEMS = phrase(
    "(?:come|comes|available|exist|exists) (?:also )?in|is there|are there|do you (?:have|sell|carry|stock|"
    "know|offer)|have you(?: got)?|what about|how about|"
    r"(?:can|could|would|will) (?:you|i|we) (?:please |also |maybe )?(?:show|find|recommend|suggest|give|get|"
    r"see|have|list|help|search|bring)|"
    r"what (?:else|other|would you|do you|should i|can i)|would you (?:recommend|suggest)|anything|something"
)


def _explained(sentence: Sentence, so_far: _SoFar, names: Names) -> tuple[Asked, _Wish | None] | None:
    why, tell = sentence.has(_WHY), sentence.has(_TELL)
    question = sentence.has(_QUESTION) and not sentence.has(_NO_QUESTION_OF_ITEMS)
    sight = so_far.sight
    if not why and (_rejects(sentence) or _change(sentence)):
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
_REFINING_WORDS = words_in(
    "cheaper expensive pricey pricier dearer affordable else other others another different instead rather "
    "same too only else new again next more less "
    "lower higher alternatives further additional fresh luxurious fancier upmarket premium quality cheap "
    "actually already own bought ordered "
    "skip remove exclude leave drop without except besides instead change keep going neither none narrow "
    "filter slightly even second thoughts ideally "
    "preferably nothing preference example must makes have got sorry wait version versions"
)


def _rejects(sentence: Sentence) -> bool:
    return sentence.has(_REJECT)


def _change(sentence: Sentence) -> bool:
    """Whether a sentence asks for another price or other items."""
    asks = sentence.has(_QUESTION) and not sentence.has(_NO_QUESTION_OF_ITEMS)
    return not asks and any(sentence.has(pattern) for pattern in (_CHEAPER, _DEARER, _ANOTHER))


_ANOTHER = phrase("(?:something|anything|what) else|another(?: one)?|instead|show me (?:more|others?)")


def _refined(sentence: Sentence, so_far: _SoFar, names: Names) -> tuple[Asked, _Wish | None] | None:
    if so_far.wish is None and not so_far.sight.items:
        return None
    old = so_far.wish or _Wish()
    cheaper, dearer = sentence.has(_CHEAPER), sentence.has(_DEARER)
    other = sentence.has(_OTHER) or any(
        meaning.field == "categories"
        for match in _MORE_OF_A_KIND.finditer(sentence.line)
        for meaning in names.phrases.get(stem(match[1]), ())
    )
    rejecting = _rejects(sentence)
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
        if word in _REFINING_WORDS:
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
        bounds = _dearness(sentence, reference, names)
    where = merged(old.where, filters_of(bounds, named, names))
    words = _merged_words(old.words, sentence, named)
    gone = pointed.items if rejecting else ()
    unwanted = tuple(dict.fromkeys((*old.unwanted, *gone)))
    out = unwanted
    if other or sentence.has(_STRONG_OTHER):
        out = tuple(dict.fromkeys((*unwanted, *so_far.ever)))
        unwanted = out
    wish = _Wish(words, where, old.items, old.pictures, unwanted[-MOST_LEFT_OUT:])
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


def _bare_kind(old: _Wish) -> bool:
    """Whether a kind of thing by itself is a new wish: it is, unless the earlier turns named none."""
    return bool(old.words or old.where.get("categories") or old.items)


def _dearness(sentence: Sentence, items: Sequence[str], names: Names) -> dict[str, float]:
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


def _wished(sentence: Sentence, names: Names) -> tuple[Asked, _Wish]:
    for _, tokens in sentence.found(_NEW_TO_ME):
        sentence.use(tokens)
    count = count_of(sentence)
    where = _where(sentence, names, {})
    words = sentence.words()
    if not words and not where:
        return Asked("recommend", count=count), _Wish()
    return Asked("wish", words, where, count=count), _Wish(words, where)


def _where(sentence: Sentence, names: Names, bounds: dict[str, float]) -> dict[str, dict[str, Any]]:
    said = prices(sentence)
    named = values(sentence, names)
    drop_unwanted(sentence)
    return filters_of(said or bounds, named, names)
