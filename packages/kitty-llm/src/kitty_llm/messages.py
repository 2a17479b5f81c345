"""Between our plain prompts, LangChain's messages and what is sent."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from kitty_llm.dialects import Message
from kitty_llm.prompt import Part, Prompt, Turn

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "tool"}


def messages_of(prompt: Prompt) -> list[BaseMessage]:
    """LangChain messages; a trimmable part is a text block with `"trimmable": True`, the prefill a last `AIMessage`."""
    messages: list[BaseMessage] = [SystemMessage(prompt.system)] if prompt.system else []
    messages += [_message_of(turn) for turn in prompt.turns]
    if prompt.prefill:
        messages.append(AIMessage(prompt.prefill))
    return messages


def conversation_of(messages: Sequence[BaseMessage]) -> tuple[tuple[Message, ...], str]:
    """What is sent, and the prefill: the text of all assistant messages at the end, joined.

    Joined because llama.cpp drops the connection on two of them. An end without a prefill is `""`.

    Raises:
        ValueError: content other than text.
    """
    said = [Message(_role_of(message), _pieces_of(message.content)) for message in messages]
    prefill = ""
    while said and said[-1].role == "assistant":
        prefill = said.pop().text + prefill
    return tuple(said), prefill


def _message_of(turn: Turn) -> BaseMessage:
    kind = HumanMessage if turn.role == "user" else AIMessage
    if not any(piece.trimmable for piece in turn.pieces):
        return kind("".join(piece.text for piece in turn.pieces))
    return kind([{"type": "text", "text": piece.text, "trimmable": piece.trimmable} for piece in turn.pieces])


def _role_of(message: BaseMessage) -> str:
    return message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type, "user")


def _pieces_of(content: str | Sequence[str | dict[str, Any]]) -> tuple[Part, ...]:
    blocks = [content] if isinstance(content, str) else content
    return tuple(_piece_of(block) for block in blocks)


def _piece_of(block: str | dict[str, Any]) -> Part:
    if isinstance(block, str):
        return Part(block)
    if block.get("type") != "text":
        raise ValueError(f"Only text can be sent to a model server, not {block.get('type')!r}")
    return Part(str(block["text"]), trimmable=bool(block.get("trimmable")))
