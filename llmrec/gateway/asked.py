"""What a turn asks for, what is being looked for over several of them, and where a conversation has come to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmrec.gateway.sentences import Sentence, phrase
from llmrec.gateway.shown import Sight

Kind = Literal["recommend", "wish", "similar", "explain", "compare", "follow-up", "talk"]
Talk = Literal["", "hello", "thanks", "bye", "who", "help", "yes", "no", "empty"]

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
class Wish:
    """What is being looked for over one or more turns."""

    words: str = ""
    where: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    pictures: tuple[Mapping[str, Any], ...] = ()
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class SoFar:
    """Where a conversation has come to before a turn."""

    sight: Sight = field(default_factory=Sight)
    ever: tuple[str, ...] = ()
    """All that was shown for the wish."""
    wish: Wish | None = None
    talked: bool = False
    """Whether the last turn was about items that were there, so that its answer shows no new list."""
    pictures: tuple[Mapping[str, Any], ...] = ()
    """The last pictures that the person sent."""


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


def asks_of_items(sentence: Sentence) -> bool:
    """Whether a sentence is a question that items answer, not one by which others are looked for."""
    return sentence.has(_QUESTION) and not sentence.has(_NO_QUESTION_OF_ITEMS)
