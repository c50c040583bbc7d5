"""Conversations: the messages of a thread as role and content, as trl and datasets expect them. Pure.

The rows of `messages` and `chunks` stand in the order of tasks, threads, turns and messages.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLUMNS = {
    "threads": ("task_id", "thread_id", "thread_index"),
    "messages": (
        "task_id",
        "thread_index",
        "turn_index",
        "message_id",
        "message_index",
        "role",
        "text",
        "model",
    ),
    "chunks": ("task_id", "message_id", "text"),
}

# The role whose messages can be alternatives of each other.
ASSISTANT = "assistant"

# What `alternatives` can be.
KEEP, EXPAND = "keep", "expand"


class Message(TypedDict):
    """A message as chat templates read it."""

    role: str
    content: str


class Alternative(TypedDict):
    """Another assistant message for a place in a conversation: ``messages[:position] + [alternative]``."""

    position: int
    message_id: str
    model: str | None
    content: str


class Conversation(TypedDict):
    """A thread of a task."""

    task_id: str
    thread_id: str | None
    thread_index: int
    messages: list[Message]
    # The `message_id` of each message, for joins with annotations.
    message_ids: list[str]
    alternatives: list[Alternative]


@dataclass
class Thread:
    """A thread with the rows of its messages, whose contents are complete."""

    row: dict[str, Any]
    messages: list[dict[str, Any]]


def check(alternatives: str) -> None:
    if alternatives not in (KEEP, EXPAND):
        raise ValueError(f"alternatives must be {KEEP!r} or {EXPAND!r}, not {alternatives!r}")


def threads(
    *,
    threads: Iterable[dict[str, Any]],
    messages: Iterable[dict[str, Any]],
    chunks: Iterable[dict[str, Any]],
) -> Iterator[Thread]:
    """Joins three tables in their common order. Every thread is there, also one without messages."""
    grouped = itertools.groupby(with_content(messages, chunks), thread_key)
    # The next thread that has messages. Its rows are read before the iterator moves on.
    key, group = next(grouped, (None, iter(())))
    for row in threads:
        found: list[dict[str, Any]] = []
        if key == thread_key(row):
            found = list(group)
            key, group = next(grouped, (None, iter(())))
        yield Thread(row, found)


def thread_key(row: dict[str, Any]) -> tuple[str, int]:
    return (row["task_id"], row["thread_index"])


def with_content(messages: Iterable[dict[str, Any]], chunks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The messages with their text, or else the texts of their chunks, as ``content``."""
    grouped = itertools.groupby(chunks, lambda chunk: chunk["message_id"])
    message_id, group = next(grouped, (None, iter(())))
    for message in messages:
        texts: list[str] = []
        if message_id == message["message_id"]:
            texts = [chunk["text"] for chunk in group if chunk["text"] is not None]
            message_id, group = next(grouped, (None, iter(())))
        text = message["text"]
        yield {**message, "content": "\n".join(texts) if text is None else text}


def rows(thread: Thread, alternatives: str) -> Iterator[Conversation]:
    """The conversation of a thread; with ``expand``, then one that ends with each alternative."""
    conversation = of(thread)
    if alternatives == KEEP:
        yield conversation
        return
    others = conversation["alternatives"]
    yield {**conversation, "alternatives": []}
    for other in others:
        end = other["position"]
        yield {
            **conversation,
            "messages": [
                *conversation["messages"][:end],
                {"role": ASSISTANT, "content": other["content"]},
            ],
            "message_ids": [*conversation["message_ids"][:end], other["message_id"]],
            "alternatives": [],
        }


def of(thread: Thread) -> Conversation:
    """The conversation of a thread, with the first of several alternatives."""
    messages: list[Message] = []
    message_ids: list[str] = []
    others: list[Alternative] = []
    previous: dict[str, Any] = {}
    for row in thread.messages:
        is_other = row["role"] == ASSISTANT == previous.get("role") and row["turn_index"] == previous["turn_index"]
        if is_other:
            others.append(
                {
                    "position": len(messages) - 1,
                    "message_id": row["message_id"],
                    "model": row["model"],
                    "content": row["content"],
                }
            )
        else:
            messages.append({"role": row["role"] or "", "content": row["content"]})
            message_ids.append(row["message_id"])
        previous = row
    return {
        "task_id": thread.row["task_id"],
        "thread_id": thread.row["thread_id"],
        "thread_index": thread.row["thread_index"],
        "messages": messages,
        "message_ids": message_ids,
        "alternatives": others,
    }
