"""What goes over the wire: the requests that the gateway takes, with their bounds, and what it answers."""

import base64
import binascii
import math
import re
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from llmrec.gateway.faults import Refusal
from llmrec.pictures import MAX_BYTES, picture_fault, too_large

LONGEST_ID, LONGEST_TEXT, LONGEST_HISTORY, MOST = 256, 20_000, 10_000, 100
MOST_VALUES = 1_000  # in one filter: it becomes SQL, whose reader nests as deep as there are values
MOST_PICTURES = 8  # in one message
AT_ONCE = threading.BoundedSemaphore(2)
"""How many pictures are looked at at one time: one may take 200 MB while it is."""
ADDRESS = re.compile(r"data:([\w.+/-]{1,100})?(?:;[\w=+.-]{1,100})*;base64,", re.ASCII)
KINDS = {"image/jpeg", "image/jpg", "image/png", "image/webp", "application/octet-stream", ""}


def _sound(text: str) -> str:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL character or half of a surrogate pair")
    return text


def _bounded(where: dict[str, Any]) -> dict[str, Any]:
    left, count = [where], 0
    while left:
        one: Any = left.pop()
        inside = one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ()
        left += inside
        count += 1
        if count > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES:,} values")
        if isinstance(one, str) and len(one) > LONGEST_TEXT:
            raise ValueError(f"holds a text of more than {LONGEST_TEXT:,} characters")
    return where


Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_sound)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_sound)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_sound)]
Ids = Annotated[list[Id], Field(max_length=LONGEST_HISTORY)]
Where = Annotated[dict[str, Any], Field(max_length=50), AfterValidator(_bounded)]


Value = (
    Text
    | bool
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[list[Name], Field(max_length=100)]
    | None
)
"""What an attribute of an item may be."""


class Body(BaseModel):
    """A request whose every field is known."""

    model_config = ConfigDict(extra="forbid")


class ForSomebody(Body):
    """Asked for a person by id, or for a history of items."""

    user: Id | None = Field(None, description="The person; their history is the log's and their later events.")
    history: Ids | None = Field(None, description="Items that were taken, oldest first, in place of a person's own.")


class RecommendationRequest(ForSomebody):
    """`POST /v1/recommendations`."""

    query: Text = Field("", description="A wish in words.")
    picture: str | None = Field(None, description="A picture as a data URI: items like it.")
    like: Annotated[list[Id], Field(max_length=20)] = Field([], description="Items that the answer should be like.")
    where: Where = Field({}, description='Filters, as in {"price": {"below": 30}, "brand": ["Alder"]}.')
    k: int = Field(10, ge=1, le=MOST, description="How many items.")
    exclude: Ids = Field([], description="Items that are not wanted.")
    diversity: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="How much the items should differ.")
    reasons: bool = Field(False, description="A short reason for each item.")


class ExplanationRequest(ForSomebody):
    """`POST /v1/explanations`."""

    item: Id = Field(description="The item to explain.")
    stream: bool = Field(False, description="Server-sent events, one sentence each.")


class SearchRequest(Body):
    """`POST /v1/search`: by words, by a picture, or by both; the same for everybody."""

    query: Text = Field("", description="What is looked for, in words.")
    picture: str | None = Field(None, description="A picture as a data URI.")
    where: Where = Field({}, description='Filters, as in {"price": {"below": 30}, "brand": ["Alder"]}.')
    k: int = Field(10, ge=1, le=MOST, description="How many items.")

    @model_validator(mode="after")
    def _something(self) -> "SearchRequest":
        if not self.query.strip() and self.picture is None:
            raise ValueError("needs a query or a picture")
        return self


class ItemRequest(BaseModel):
    """`PUT /v1/items/{item}`: an item whole, as it is from now on. Other fields are attributes of the catalogue."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value] = Field(init=False)

    title: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_sound)]
    description: Text | None = None
    categories: Annotated[
        list[Annotated[str, Field(max_length=200), AfterValidator(_sound)]], Field(max_length=20)
    ] = []
    brand: Annotated[str, Field(max_length=200), AfterValidator(_sound)] | None = None
    price: float | None = Field(None, ge=0, allow_inf_nan=False)
    picture: str | None = Field(None, description="A picture as a data URI; without it the item keeps the one it has.")

    @model_validator(mode="after")
    def _plain_attributes(self) -> "ItemRequest":
        for name, value in (self.model_extra or {}).items():
            if not all(map(_plain, value[:1_000] if isinstance(value, list) else [value])):
                raise ValueError(f"{name[:60]} is no text, number, flag or list of them")
        return self


def _plain(value: Any) -> bool:
    """Whether a catalogue could hold it."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return value is None or (isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**63)


class EventBody(Body):
    """One event; sent again with the same key it counts once."""

    key: Id = Field(description="The sender's own name of the event.")
    user: Id = Field(description="Who did it.")
    item: Id = Field(description="With which item.")
    kind: Literal["purchase", "like", "view", "dismiss"] = Field(
        "purchase", description="What they did; an item that was dismissed is not shown to them again."
    )
    time: int | None = Field(None, ge=0, le=4_102_444_800_000, description="Milliseconds since 1970; now by default.")
    rating: float | None = Field(None, allow_inf_nan=False)


class EventsRequest(Body):
    """`POST /v1/events`."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=1_000)]


class Message(BaseModel):
    """A turn of a chat, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str, AfterValidator(_sound)] | list[dict[str, Any]] | None = Field(
        None, description="Text, or parts of type text or image_url; a picture is a data URI."
    )
    tool_calls: list[dict[str, Any]] | None = Field(None, description="The calls of an assistant, sent back.")
    tool_call_id: str | None = Field(None, description="The call whose result a tool's message holds.")
    llmrec: Any = Field(None, description="The extra field of an answer, sent back as it came; it can be left out.")


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. What is OpenAI's and does not concern us is taken and has no effect."""

    model_config = ConfigDict(extra="allow")

    model: Text
    messages: Annotated[list[Message], Field(min_length=1, max_length=500)] = Field(
        description="The conversation so far; nothing else of it is kept. The last message is a user's or a tool's."
    )
    user: Id | None = Field(None, description="The person; their history is looked up.")
    history: Ids | None = Field(None, description="Not OpenAI's: items that were taken, oldest first, as elsewhere.")
    exclude: Ids = Field([], description="Not OpenAI's: items that are not wanted.")
    stream: bool = Field(False, description="Server-sent events.")
    stream_options: dict[str, Any] | None = Field(None, description="include_usage sends a last chunk with usage.")
    n: int | None = Field(None, ge=1, le=1, description="One answer.")
    max_tokens: int | None = Field(None, ge=1, le=100_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="Has no effect.")
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="Has no effect.")
    stop: str | Annotated[list[str], Field(max_length=4)] | None = Field(None, description="Where the words end.")
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = Field(
        None, description="Functions; recommend, search_items and explain_item are called by what is said."
    )
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = Field(None, description="False: one call at a time.")
    response_format: dict[str, Any] | None = Field(
        None, description="text, json_object, or a json_schema that is filled with what the answer holds."
    )

    @field_validator("messages")
    @classmethod
    def _somebody_speaks(cls, messages: list[Message]) -> list[Message]:
        if messages[-1].role in ("system", "developer", "assistant"):
            raise ValueError("the last message is from the user, or from a tool")
        return messages

    @model_validator(mode="after")
    def _nothing_for_the_engine(self) -> "ChatRequest":
        for name in sorted(self.model_extra or {}):
            if name in NOT_PASSED:
                raise ValueError(f"{name} is the engine's own and cannot be set through the gateway")
        return self


NOT_PASSED = {
    *(
        "chat_template",
        "chat_template_kwargs",
        "mm_processor_kwargs",
        "media_io_kwargs",
        "prompt_embeds",
        "image_embeds",
    ),
    *("uuid", "cache_salt", "kv_transfer_params", "logits_processors", "documents", "vllm_xargs", "priority"),
}


class CompletionRequest(Body):
    """`POST /v1/completions`: the bare model goes on with a text; no person and no catalogue come into it."""

    model: Text
    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=1)] = Field(description="One text.")
    max_tokens: int = Field(64, ge=1, le=4_096)
    temperature: float = Field(0.0, ge=0, le=2, allow_inf_nan=False)
    n: int | None = Field(None, ge=1, le=1, description="One answer.")
    stream: bool = Field(False, description="Server-sent events.")
    stream_options: dict[str, Any] | None = Field(None, description="include_usage sends a last chunk with usage.")
    user: Id | None = Field(None, description="Has no effect.")


class Answer(BaseModel):
    """What is answered. It is made of plain dicts, and what is not set is not sent."""

    model_config = ConfigDict(extra="forbid")


class Parts(Answer):
    """What a score is the sum of."""

    retriever: float
    model: float | None = Field(description="None where the model has no word of the item, or had no part in it.")


class Named(Answer):
    """An item as every answer shows it."""

    item: str = Field(description="Its id.")
    title: str
    brand: str | None
    price: float | None
    categories: list[str]
    picture: str | None = Field(description="Where its picture is, on this server.")


class Shown(Named):
    """An item in an answer."""

    score: float | None = Field(None, description="What the order is by; it compares items of one answer only.")
    parts: Parts | None = None
    reason: str | None = Field(None, description="A short reason that is true by the way it is made.")


class Recommendations(Answer):
    """Items for a person, best first."""

    object: Literal["llmrec.recommendations"]
    model: str
    user: str | None
    items: list[Shown]
    candidates: int = Field(description="How many items were looked at.")
    cold: bool = Field(description="Whether nothing was known of the person.")
    fallback: str | None = Field(description="Why the model had no part in the order, if it had none.")
    empty: str | None = Field(description="Why there is nothing, if there is nothing.")


class Explanation(Answer):
    """Why an item fits a person."""

    object: Literal["llmrec.explanation"]
    model: str
    user: str | None
    item: Named
    because: str = Field(description="A short reason that is true by the way it is made.")
    text: str = Field(description="What the model says of it; empty where none of that is known to be true.")


class Searched(Answer):
    """Items that were searched for, best first."""

    object: Literal["llmrec.search"]
    items: list[Shown]


class Item(Named):
    """An item whole: beside these fields, those of the catalogue."""

    model_config = ConfigDict(extra="allow")

    object: Literal["llmrec.item"]
    description: str | None = None


class Items(Answer):
    """Items by their ids; ids that are none are left out."""

    object: Literal["list"]
    data: list[Item]


class Put(Item):
    """An item as it is from now on."""

    added: bool = Field(description="Whether it was not there before.")
    word: bool = Field(description="Whether the model has a word of it, so that it scores it.")


class Deleted(Answer):
    """An item was taken out."""

    object: Literal["llmrec.item"]
    item: str
    deleted: bool


class Kept(Answer):
    """Events that are on the disk."""

    object: Literal["llmrec.events"]
    stored: int
    known_before: int = Field(description="Events whose keys were known, with the same content.")


class History(Answer):
    """What is known of a person."""

    object: Literal["llmrec.history"]
    user: str
    taken: list[str] = Field(description="Items, oldest first.")
    dismissed: list[str] = Field(description="Items that are not shown to them.")


class Forgotten(Answer):
    """A person was forgotten."""

    object: Literal["llmrec.history"]
    user: str
    deleted: bool


class Card(Answer):
    """The model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Cards(Answer):
    """The models that are served: one."""

    object: Literal["list"]
    data: list[Card]


class Alive(Answer):
    """The process lives."""

    status: str
    version: str


class Readiness(Answer):
    """Whether requests are served."""

    ready: bool = Field(description="Once everything was asked once; it stays so, since it ranks without the engine.")
    engine: bool
    events: bool


class Told(Answer):
    """The extra field `llmrec` of a message: its items, and how they were found."""

    kind: str = Field(description="recommend, wish, similar, explain, compare, follow-up, talk or tools.")
    items: list[Shown]
    cold: bool = Field(description="Whether nothing was known of the person.")
    fallback: str | None = Field(description="Why the model had no part in the order, if it had none.")
    empty: str | None = Field(description="Why there is nothing, if there is nothing.")


class Function(Answer):
    """A function, and its arguments as JSON."""

    name: str
    arguments: str


class Call(Answer):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: Function


class Said(Answer):
    """The answer of a chat."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[Call] | None = None
    llmrec: Told | None = None


class ChatChoice(Answer):
    """The one answer."""

    index: int
    message: Said
    logprobs: None
    finish_reason: Literal["stop", "length", "tool_calls"]


class Usage(Answer):
    """How many tokens were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatAnswer(Answer):
    """An answer of a chat in one piece."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class TextChoice(Answer):
    """The one text."""

    index: int
    text: str
    logprobs: None
    finish_reason: Literal["stop", "length"]


class CompletionAnswer(Answer):
    """What the bare model wrote."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


def checked_address(address: str) -> int:
    """Where the picture begins in an address that holds one; any other address is refused, and never fetched."""
    head = ADDRESS.match(address[:400])
    if head is None:
        raise Refusal(400, "A picture is sent as a data URI (data:image/jpeg;base64,…); addresses are never fetched")
    if (head[1] or "").lower() not in KINDS:
        raise Refusal(415, f"{head[1]} is no kind of picture that is taken. Send a JPEG, PNG or WebP")
    if len(address) > 4 * MAX_BYTES / 3 + 1_000:
        raise Refusal(413, f"The picture is larger than {MAX_BYTES // 2**20} MiB. Send a smaller one")
    return head.end()


def picture_of(address: str) -> bytes:
    """The picture that an address holds, whole and of a size that can be looked at."""
    begin = checked_address(address)
    try:
        picture = base64.b64decode(address[begin:], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "The picture's data URI is not base64. Encode the file as it is") from error
    with AT_ONCE:
        fault = picture_fault(picture)
    if fault:
        raise Refusal(413 if too_large(fault) else 400, f"The picture {fault}. Send a JPEG, PNG or WebP")
    return picture
