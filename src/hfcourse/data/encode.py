"""Rows in a schema of `hfcourse.data.conversations` -> token ids, and labels that say which tokens the loss counts."""

import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hfcourse.data.load import Split
from hfcourse.data.rows import code_version
from hfcourse.errors import InputError

import numpy as np
import pyarrow.compute as pc
from datasets import Features, IterableDataset, List, Value
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template
from trl.chat_template_utils import get_training_chat_template, has_generation_markers
from trl.data_utils import common_prefix_length


IGNORED = -100
TOO_LONG = "too long: no answer left"
_FEATURES = Features(
    {
        "input_ids": List(Value("int32")),
        "labels": List(Value("int64")),
        "row": Value("int64"),
        "truncated": Value("bool"),
        "counted": Value("int64"),
        "problem": Value("string"),
    }
)
Span = tuple[int, int]


class Encoder:
    """Tokenises one row of `Messages`, `PromptCompletion` or `Text`.

    A call returns `input_ids` (T,), `labels` (T,) with -100 where the loss does not count, and `truncated`: whether
    the end was cut off at `max_length` tokens. What counts:

    - messages: the answers of the assistant after `prompt_turns`, each with the token that ends its turn. Special
      tokens written inside a message stay plain text, so that nobody can forge a turn.
    - prompt and completion: the completion and an end-of-sequence token, as TRL does; text: all of it. These strings
      are the user's own format, in which special tokens are special.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int | None):
        self.tokenizer = tokenizer
        self.max_length = max_length
        template = tokenizer.chat_template or ""
        self._template: str = template.get("default", "") if isinstance(template, dict) else template
        if self._template and not has_generation_markers(self._template):
            # Without markers in a template that TRL does not know, answers are found by what they add to the text.
            with suppress(ValueError):
                self._template = get_training_chat_template(tokenizer) or self._template
        tokens = tokenizer.added_tokens_decoder.values()
        added = sorted((token for token in tokens if token.content.strip()), key=lambda token: -len(token.content))
        self._special = re.compile("|".join(re.escape(token.content) for token in added if token.special) or "(?!)")
        self._turn_ends = tuple(token.content for token in added)
        self._added_ids = set(tokenizer.added_tokens_decoder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if "messages" in row:
            tools = json.loads(row["tools"]) if row["tools"] else None
            ids, labels = self._messages(row["messages"], row["prompt_turns"], tools)
        elif "prompt" in row:
            ids = self._with_eos(self._plain(row["prompt"] + row["completion"]))
            context = common_prefix_length(self._plain(row["prompt"]), ids)
            labels = [IGNORED] * context + ids[context:]
        else:
            ids = self._with_eos(self._plain(row["text"]))
            labels = list(ids)
        truncated = self.max_length is not None and len(ids) > self.max_length
        return {"input_ids": ids[: self.max_length], "labels": labels[: self.max_length], "truncated": truncated}

    @property
    def stop_token_ids(self) -> list[int]:
        """Ids that end an answer: the end-of-sequence token, and the template's own end of turn if that is another."""
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        labels = self._messages(messages, 0, None)[1] if self._template else []
        last = [label for label in labels if label != IGNORED][-1:]
        return sorted({self.tokenizer.eos_token_id, *last} & {self.tokenizer.eos_token_id, *self._added_ids})

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer(text, verbose=False)["input_ids"]

    def _with_eos(self, ids: list[int]) -> list[int]:
        return ids if ids and ids[-1] == self.tokenizer.eos_token_id else [*ids, self.tokenizer.eos_token_id]

    def _messages(self, messages: list[dict], prompt_turns: int, tools: list | None) -> tuple[list[int], list[int]]:
        if not self._template:
            raise InputError("no chat template: give --chat_template_path a Jinja file to encode conversations")
        if not self.tokenizer.is_fast:
            raise InputError("this tokenizer has no fast version, which is needed to tell answers from the rest")
        cut = self._cut_character(messages, tools)
        if cut:
            messages, tools = self._defuse([messages, tools], cut)
        try:
            text, spans = self._render(messages, tools)
        except TemplateError as error:
            raise InputError(f"the chat template refuses the conversation: {error}") from None
        context = sum(message["role"] == "assistant" for message in messages[:prompt_turns])
        if context and len(spans) != sum(message["role"] == "assistant" for message in messages):
            raise InputError("the chat template does not mark one answer per assistant message")
        ids, counted = self._tokenise(text, [self._with_turn_end(text, span) for span in spans[context:]], cut)
        end = len(ids) - counted[::-1].index(True) if True in counted else 0
        if messages[-1]["role"] == "assistant" and end and ids[end - 1] not in self._added_ids:
            # The template ends no turn, and a model trained with it would never stop.
            ids, counted = [*ids[:end], self.tokenizer.eos_token_id], [*counted[:end], True]
        return ids, [i if c else IGNORED for i, c in zip(ids, counted, strict=True)]

    def _render(self, messages: list[dict], tools: list | None) -> tuple[str, list[Span]]:
        """The rendered conversation and the character spans of its answers."""
        text, spans = self._rendered(messages, tools)
        if has_generation_markers(self._template):
            return text, spans
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._rendered(messages[:i], tools, add_generation_prompt=True)[0]
                after = self._rendered(messages[: i + 1], tools)[0]
                if not (after.startswith(before) and text.startswith(after.rstrip())):
                    raise InputError(
                        "the chat template renders a turn differently once others follow, so that its answers can't "
                        "be told from the rest: give --chat_template_path a template with {% generation %} markers"
                    )
                spans.append((len(before), len(after.rstrip())))
        return text, spans

    def _rendered(self, messages: list[dict], tools: list | None, **kwargs: Any) -> tuple[str, list[Span]]:
        # What `apply_chat_template` calls; it is called here because its text and its spans are both needed. Typed Any
        # because its annotation says `str`.
        render: Any = render_jinja_template
        texts, spans = render(
            conversations=[messages],
            tools=tools,
            chat_template=self._template,
            return_assistant_tokens_mask=has_generation_markers(self._template),
            **self.tokenizer.special_tokens_map,
            **kwargs,
        )
        return texts[0], list(spans[0]) if spans else []

    def _with_turn_end(self, text: str, span: Span) -> Span:
        """An answer that ends with the special token that ends its turn, and not with white space after that."""
        start, end = span
        answer = text[start:end].rstrip()
        if answer.endswith(self._turn_ends):
            return start, start + len(answer)
        following = next((token for token in self._turn_ends if text.startswith(token, end)), "")
        return start, end + len(following)

    def _cut_character(self, messages: list[dict], tools: list | None) -> str:
        """A character that stands nowhere in the row, if a special token's text does; else ""."""
        text = "".join(_strings([messages, tools]))
        if not self._special.search(text):
            return ""
        return next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in text)

    def _defuse(self, value: Any, cut: str) -> Any:
        """Put `cut` into each special token written in a message, where `_tokenise` then splits the text."""
        if isinstance(value, str):
            return self._special.sub(lambda match: match[0][:1] + cut + match[0][1:], value)
        if isinstance(value, dict):
            return {key: self._defuse(item, cut) for key, item in value.items()}
        return [self._defuse(item, cut) for item in value] if isinstance(value, list) else value

    def _tokenise(self, text: str, spans: list[Span], cut: str) -> tuple[list[int], list[bool]]:
        """Ids of the text without its cuts, and for each whether one of its characters is in a span."""
        ids: list[int] = []
        offsets = []
        start = 0
        for piece in text.split(cut) if cut else [text]:
            # A piece that continues the text follows a line break, so that the tokenizer adds no prefix space to it.
            lead = "\n" if start else ""
            lead_ids = self._encode(lead)["input_ids"] if lead else []
            encoded = self._encode(lead + piece)
            if encoded["input_ids"][: len(lead_ids)] != lead_ids:
                lead, lead_ids, encoded = "", [], self._encode(piece)  # the line break would merge into the piece
            ids += encoded["input_ids"][len(lead_ids) :]
            offsets.append(np.array(encoded["offset_mapping"][len(lead_ids) :]).reshape(-1, 2) + start - len(lead))
            start += len(piece) + len(cut)
        begins, ends = np.concatenate(offsets).T
        ends = np.maximum(ends, begins + 1)  # a token that stands for no character counts like the next one
        counted = np.zeros(len(ids), dtype=bool)
        for first, last in spans:
            counted |= (begins < last) & (ends > first)
        return ids, counted.tolist()

    def _encode(self, text: str) -> Any:
        return self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value, "\0"]  # what is kept apart in the row can't make up a special token together
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in values for text in _strings(item)]


def encode_split(
    split: Split, encoder: Encoder, desc: str, skip_bad_rows: bool = False, num_proc: int | None = None
) -> Split:
    """The split with the columns `input_ids`, `labels` and `row`, and its counts of tokens; a stream stays a stream.

    A row of which truncation leaves nothing that counts for the loss is dropped and counted. A conversation that the
    chat template refuses raises InputError with its place, or is dropped and counted with `skip_bad_rows`.
    """
    if isinstance(split.dataset, IterableDataset):
        arguments = {"encoder": encoder, "place": split.place, "skip_bad_rows": skip_bad_rows}
        encoded = split.dataset.map(
            _encode_row, fn_kwargs=arguments, remove_columns=split.dataset.column_names, features=_FEATURES
        )
        encoded = encoded.filter(_counts).remove_columns(["truncated", "counted", "problem"])
        return replace(split, dataset=encoded)
    encoded = split.dataset.map(
        _encode_row,
        fn_kwargs={
            "encoder": encoder,
            "place": split.place,
            "skip_bad_rows": skip_bad_rows,
            "code": code_version(encoder),
        },
        remove_columns=split.dataset.column_names,
        features=_FEATURES,
        num_proc=num_proc,
        desc=desc,
    )
    table = encoded.data
    counted = table.column("counted").to_numpy()
    lengths = pc.list_value_length(table.column("input_ids")).to_numpy()
    kept = counted > 0
    dropped = Counter(p for p, k in zip(table.column("problem").to_pylist(), kept, strict=True) if not k)
    if not kept.any():
        reasons = ", ".join(f"{reason} ({count})" for reason, count in dropped.items())
        raise InputError(f"{split.place.rsplit(',', 1)[0]} has no row that can be trained on: {reasons}.")
    truncated = table.column("truncated").to_numpy()
    return replace(
        split,
        dataset=encoded.select(np.flatnonzero(kept)).remove_columns(["truncated", "counted", "problem"]),
        dropped=dict(Counter(split.dropped) + dropped),
        rows_truncated=int(truncated[kept].sum()),
        tokens=int(lengths[kept].sum()),
        counted_tokens=int(counted[kept].sum()),
    )


def _encode_row(
    row: dict[str, Any], encoder: Encoder, place: str, skip_bad_rows: bool, code: str = ""
) -> dict[str, Any]:
    try:
        encoded, problem = encoder(row), None
    except InputError as error:
        if not skip_bad_rows:
            raise InputError(f"{place} {row['row']}: {error}.") from None
        encoded, problem = {"input_ids": [], "labels": [], "truncated": False}, str(error).split(":")[0]
    counted = sum(label != IGNORED for label in encoded["labels"])
    if not counted and problem is None:
        problem = TOO_LONG if encoded["truncated"] else "no token counts for the loss"
    return encoded | {"row": row["row"], "counted": counted, "problem": problem}


def _counts(row: dict[str, Any]) -> bool:
    return row["counted"] > 0
