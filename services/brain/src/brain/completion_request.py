"""The `completion` of a query: a raw call of the model in JSON, named as in `kitty_llm.Prompt` and `Sampling`."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, field_validator, model_validator

from brain.completions import RawCall
from kitty_llm import Part, Prompt, Sampling, Turn

MOST_MESSAGES = 200
MOST_PARTS = 200
MOST_CHARACTERS = 1_000_000
"""Of all messages and the prefill; what does not fit the model's window is for the model client to say."""
MOST_OF_A_SCHEMA = 100_000
MOST_TOKENS = 32_768
USUAL = Sampling()
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Tokens = Annotated[StrictInt, Field(ge=0, le=MOST_TOKENS)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class TextPart(BaseModel):
    """A piece of a message. A trimmable one may lose its middle, or all of it, when the window is too small."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"] = "text"
    text: str
    trimmable: StrictBool = False


class Message(BaseModel):
    """One message; parts follow each other with nothing put between them."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=MOST_PARTS)]

    @property
    def parts(self) -> tuple[Part, ...]:
        if isinstance(self.content, str):
            return (Part(self.content),)
        return tuple(Part(part.text, trimmable=part.trimmable) for part in self.content)


class CompletionRequest(BaseModel):
    """Wants tools off. The model is sent exactly this, and its answer comes back as it was.

    `system` may be the role of the first message alone, whose content then is one text; the last one is the user's.
    """

    model_config = ConfigDict(extra="forbid")

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    prefill: str = ""
    """How the answer begins; it is not repeated in the answer."""
    temperature: Annotated[Number, Field(ge=0, le=2)] = USUAL.temperature
    top_p: Annotated[Number, Field(ge=0, le=1)] = USUAL.top_p
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = USUAL.seed
    max_tokens: Annotated[StrictInt, Field(ge=1, le=MOST_TOKENS)] = USUAL.max_tokens
    least_tokens: Tokens = USUAL.least_tokens
    """Room the answer must have; where the prompt leaves less the answer is `prompt_too_long`."""
    stop: Annotated[list[Stop], Field(max_length=16)] = Field(default_factory=list)
    json_schema: dict[str, Any] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=MOST_OF_A_SCHEMA)] | None = None
    """GBNF; llama.cpp only."""
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] = USUAL.top_logprobs

    @field_validator("json_schema")
    @classmethod
    def _is_of_a_size(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and len(_as_text(value)) > MOST_OF_A_SCHEMA:
            raise ValueError(f"has more than {MOST_OF_A_SCHEMA} characters")
        return value

    @model_validator(mode="after")
    def _is_a_conversation(self) -> "CompletionRequest":
        first, *later = self.messages
        if any(message.role == "system" for message in later) or not (
            first.role != "system" or isinstance(first.content, str)
        ):
            raise ValueError("only the first message may be the system's, as one text")
        if self.messages[-1].role != "user":
            raise ValueError("the last message has to be the user's; how the answer begins is the prefill")
        return self

    @model_validator(mode="after")
    def _is_text(self) -> "CompletionRequest":
        said = [part.text for message in self.messages for part in message.parts] + [self.prefill]
        if sum(map(len, said)) > MOST_CHARACTERS:
            raise ValueError(f"messages and prefill have more than {MOST_CHARACTERS} characters")
        try:
            for text in (*said, *self.stop, self.grammar or "", _as_text(self.json_schema)):
                text.encode()
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode text") from None
        return self

    def call(self) -> RawCall:
        """The same as plain data."""
        first, *later = self.messages
        has_system = first.role == "system"
        system = first.content if has_system and isinstance(first.content, str) else ""
        said = later if has_system else self.messages
        turns = tuple(_turn(message) for message in said)
        drawn = self.model_dump(exclude={"messages", "prefill"})
        return RawCall(Prompt(system, turns, self.prefill), Sampling(**drawn | {"stop": tuple(self.stop)}))


def _turn(message: Message) -> Turn:
    assert message.role != "system", "only the first may be, and that is no turn"
    return Turn(message.role, parts=message.parts)


def _as_text(schema: dict[str, Any] | None) -> str:
    try:
        return json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
