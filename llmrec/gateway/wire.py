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

    query: Text = ""
    picture: str | None = Field(None, description="A picture as a data URI.")
    where: Where = {}
    k: int = Field(10, ge=1, le=MOST)

    @model_validator(mode="after")
    def _something(self) -> "SearchRequest":
        if not self.query.strip() and self.picture is None:
            raise ValueError("needs a query or a picture")
        return self


class ItemRequest(BaseModel):
    """`PUT /v1/items/{item}`: an item whole, as it is from now on. Other fields are attributes of the catalogue."""

    model_config = ConfigDict(extra="allow")

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

    key: Id
    user: Id
    item: Id
    kind: Literal["purchase", "like", "view", "dismiss"] = "purchase"
    time: int | None = Field(None, ge=0, le=4_102_444_800_000, description="Milliseconds since 1970; now by default.")
    rating: float | None = Field(None, allow_inf_nan=False)


class EventsRequest(Body):
    """`POST /v1/events`."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=1_000)]


class Message(BaseModel):
    """A turn of a chat, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str, AfterValidator(_sound)] | list[dict[str, Any]] | None = None


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. What is OpenAI's and does not concern us is taken and has no effect."""

    model_config = ConfigDict(extra="allow")

    model: Text
    messages: Annotated[list[Message], Field(min_length=1, max_length=500)]
    user: Id | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    n: int = Field(1, ge=1, le=1, description="One answer.")
    max_tokens: int | None = Field(None, ge=1, le=100_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None

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
    prompt: Text
    max_tokens: int = Field(64, ge=1, le=4_096)
    temperature: float = Field(0.0, ge=0, le=2, allow_inf_nan=False)
    stream: bool = False
    user: Id | None = None


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
