"""Small talk: greetings, thanks, goodbyes, a bare yes or no, and questions about the assistant itself."""

import re

from llmrec.gateway.asked import Talk
from llmrec.gateway.sentences import Sentence, phrase, words_in

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


def small_talk(sentence: Sentence) -> Talk:
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
