"""Conversations, for trl and datasets."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path

import datasets
import scale_export
import trl
from scale_export._conversations import Thread, of, rows
from support import KEY, ROOT, Case, sandbox_export, server
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast
from trl.data_utils import apply_chat_template, is_conversational

# Chat templates of models, as trl has them.
TEMPLATES = ("llama3", "qwen2_5", "qwen3")

# Tasks with real texts, if the file exists.
CORPUS = ROOT.parent / "shared/corpus/real-small.jsonl.gz"


def thread(pattern: str) -> Thread:
    """A thread with a message for each letter, and a turn for each word: s(ystem), u(ser), a(ssistant), f(unction)."""
    names = {"s": "system", "u": "user", "a": "assistant", "f": "function"}
    places = [(turn, letter) for turn, word in enumerate(pattern.split()) for letter in word]
    messages = [
        {"turn_index": turn, "message_id": f"m{at}", "role": names[letter], "content": f"c{at}", "model": None}
        for at, (turn, letter) in enumerate(places)
    ]
    return Thread({"task_id": "t", "thread_id": None, "thread_index": 0}, messages)


def tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A tokenizer without words, with a chat template of trl."""
    text = (Path(trl.__file__).parent / f"chat_templates/{template}.jinja").read_text()
    words = Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # noqa: S106
    tokens = {"unk_token": "?", "bos_token": "<begin>", "eos_token": "<end>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, chat_template=text, **tokens)


def tools_for_functions(row):
    """The row with the role that chat templates have for the results of functions."""
    return {"messages": [{**m, "role": "tool" if m["role"] == "function" else m["role"]} for m in row["messages"]]}


class Alternatives(unittest.TestCase):
    def contents(self, pattern, alternatives="keep"):
        return ["".join(m["content"][1:] for m in row["messages"]) for row in rows(thread(pattern), alternatives)]

    def test_assistant_messages_in_a_row_are_alternatives(self):
        row = of(thread("suaa ua"))
        self.assertEqual([m["role"] for m in row["messages"]], ["system", "user", "assistant", "user", "assistant"])
        self.assertEqual(row["message_ids"], ["m0", "m1", "m2", "m4", "m5"])
        self.assertEqual(row["alternatives"], [{"position": 2, "message_id": "m3", "model": None, "content": "c3"}])

    def test_a_function_between_assistant_messages_makes_steps(self):
        self.assertEqual(self.contents("uafafa"), ["012345"])
        self.assertEqual(self.contents("uafaa", "expand"), ["0123", "0124"])

    def test_messages_of_different_turns_are_not_alternatives(self):
        self.assertEqual(self.contents("ua a"), ["012"])

    def test_expanded_rows_end_with_an_alternative(self):
        self.assertEqual(self.contents("uaaa uaa", "expand"), ["0145", "02", "03", "0146"])
        for row in rows(thread("uaaa uaa"), "expand"):
            self.assertEqual(len(row["messages"]), len(row["message_ids"]))
            self.assertEqual(row["alternatives"], [])

    def test_a_thread_without_messages_has_a_row(self):
        self.assertEqual(of(thread(""))["messages"], [])


class Rows(Case):
    def check(self, x: scale_export.Export) -> None:
        """Compares with the messages, and renders every conversation."""
        conversations = x.conversations()
        self.assertEqual(len(conversations), x.tables["threads"])
        messages = {row["message_id"]: row for row in x.arrow("messages").to_pylist()}
        seen = []
        for row in conversations:
            others = row["alternatives"]
            seen += row["message_ids"] + [other["message_id"] for other in others]
            for message_id, message in zip(row["message_ids"], row["messages"]):
                self.assertEqual(message["role"], messages[message_id]["role"])
                text = messages[message_id]["text"]
                self.assertTrue(text is None or text == message["content"])
            for other in others:
                self.assertEqual(row["messages"][other["position"]]["role"], "assistant")
        self.assertEqual(sorted(seen), sorted(messages), "every message is used once")
        expanded = x.conversations(alternatives="expand")
        count = sum(len(row["alternatives"]) for row in conversations)
        self.assertEqual(len(expanded), len(conversations) + count)
        self.assertGreater(count, 0)
        for found in (conversations, expanded):
            dataset = datasets.Dataset.from_list(found)
            self.assertEqual(dataset.num_rows, len(found))
            self.assertEqual(dataset[0]["messages"], found[0]["messages"])
            self.render(dataset)

    def render(self, dataset) -> None:
        """Renders all conversations with trl and the templates of several models: no text is lost or moved."""
        dataset = dataset.select_columns(["messages"]).map(tools_for_functions)
        self.assertTrue(is_conversational(dataset[0]))
        for name in TEMPLATES:
            rendered = dataset.map(apply_chat_template, fn_kwargs={"processing_class": tokenizer(name)})
            self.assertEqual(rendered.num_rows, dataset.num_rows)
            for row, text in zip(dataset, rendered["text"]):
                end = 0
                for message in row["messages"]:
                    content = message["content"].strip()
                    end = text.find(content, end) + len(content)
                    self.assertGreaterEqual(end, len(content), (name, content))

    def test_conversations_of_the_sandbox(self):
        x = sandbox_export(self.out).read()
        self.check(x)
        first, *_ = x.iter_conversations()
        self.assertEqual(first, x.conversations()[0])
        csv = sandbox_export(self.directory / "csv", format="csv").read()
        self.assertEqual(csv.conversations(), x.conversations())
        with self.assertRaisesRegex(ValueError, "alternatives must be"):
            x.conversations(alternatives="all")

    def test_a_message_without_text_has_the_texts_of_its_chunks(self):
        task = {
            "task_id": "t",
            "threads": [
                {
                    "id": "th",
                    "turns": [
                        {
                            "id": "tu",
                            "messages": [
                                {"role": "user", "content": {"text": "a", "chunks": [{"type": "text", "text": "b"}]}},
                                {
                                    "role": "assistant",
                                    "content": {"chunks": [{"type": "x", "text": "c"}, {"text": None}, {"text": "d"}]},
                                },
                                {"role": "assistant", "content": {"chunks": []}},
                                {"content": {}},
                            ],
                        }
                    ],
                },
                {"id": "none", "turns": []},
            ],
        }
        raw = self.directory / "raw.jsonl"
        raw.write_text(json.dumps(task))
        from scale_export import _process

        _process.run(["flatten", os.fspath(raw), f"--out={self.out}", "--progress=never"])
        first, second = scale_export.read(self.out).conversations()
        self.assertEqual([m["content"] for m in first["messages"]], ["a", "c\nd", ""])
        self.assertEqual([m["role"] for m in first["messages"]], ["user", "assistant", ""])
        self.assertEqual([other["content"] for other in first["alternatives"]], [""])
        self.assertEqual((second["thread_id"], second["messages"]), ("none", []))

    def test_conversations_of_real_tasks(self):
        if not CORPUS.exists():
            self.skipTest("there is no corpus beside the project")
        with server(f"--from={CORPUS}") as url:
            import gzip

            with gzip.open(CORPUS, "rt") as lines:
                ids = [json.loads(line)["task_id"] for line in lines]
            run = scale_export.export(ids=ids, out=self.out, base_url=url, api_key=KEY, rate="max")
        self.check(run.read())
