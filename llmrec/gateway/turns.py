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

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmrec.gateway.asked import MOST_LEFT_OUT, Asked, SoFar, Wish
from llmrec.gateway.names import Names
from llmrec.gateway.politeness import small_talk
from llmrec.gateway.references import compared, explained, like, similar
from llmrec.gateway.sentences import LONGEST, Sentence, phrase
from llmrec.gateway.shown import Sight, pictures_of, shown_in, text_of
from llmrec.gateway.wishes import refined, wished

LONGEST_BEFORE = 400  # characters that are read of what was said earlier
RECENT = 40  # messages that are read, back from the last that a person said


def understand(messages: Sequence[Mapping[str, Any]], names: Names) -> Asked:
    """What the last user message asks for, in the light of those before it."""
    last = max((place for place, message in enumerate(messages) if _role(message) == "user"), default=None)
    if last is None:
        return Asked("talk", talk="empty")
    so_far = SoFar()
    for message in messages[max(0, last - RECENT) : last]:
        if _role(message) == "user":
            so_far = _after(so_far, message, names)
        elif shown := shown_in(message, names) if _role(message) in ("assistant", "tool", "function") else ():
            so_far = _seen(so_far, shown)
    asked, _ = _turn(messages[last], so_far, names)
    return asked


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, Mapping) else None


def _seen(so_far: SoFar, shown: tuple[str | None, ...]) -> SoFar:
    """After an answer that shows items: a new list, unless it only repeats what the talk is about."""
    items = tuple(dict.fromkeys(item for item in shown if item))
    if so_far.talked and set(items) <= {*so_far.sight.items, *so_far.sight.focus}:
        return replace(so_far, sight=replace(so_far.sight, focus=items))
    ever = tuple(dict.fromkeys((*so_far.ever, *items)))[-MOST_LEFT_OUT:]
    return replace(so_far, sight=Sight(shown, ()), ever=ever)


def _after(so_far: SoFar, message: Mapping[str, Any], names: Names) -> SoFar:
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


def _turn(message: Mapping[str, Any], so_far: SoFar, names: Names, limit: int = LONGEST) -> tuple[Asked, Wish | None]:
    """What one user message asks for, and the wish that it leaves."""
    pictures = pictures_of(message)
    sentence = Sentence.of(text_of(message), limit)
    if not pictures and (talk := small_talk(sentence)):
        return Asked("talk", talk=talk), so_far.wish
    if pictures:
        return like(sentence, (), pictures, so_far, names)
    anew = next(sentence.found(_ANEW), None)
    if anew:
        sentence.use(anew[1])
        return wished(sentence, names)
    for rule in (compared, similar, explained, refined):
        # Each rule reads the sentence anew: what one uses up is not gone for the next.
        if (found := rule(replace(sentence, used=set()), so_far, names)) is not None:
            return found
    return wished(sentence, names)


_ANEW = phrase(
    "(?:different|new|other|another) (?:topic|subject|question)|change of (?:topic|subject)|start over|"
    "start again|reset|forget (?:it|that|everything|about it)|never ?mind|from scratch|new search"
)
