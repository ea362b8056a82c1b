"""Raw pages to clean, labelled texts that teach a classifier of harm, and evaluation rows that must not leak."""

import base64
import json
from typing import Any

from hfcourse.errors import InputError

from datasets import Features, List, Value


class Pages:
    """A normaliser: a page as `html`, or `text`, or its bytes as `bytes` or `base64`; `url` or `id` names it.

    Of a row with `fault` (what is wrong with the page), `text` is what should be left of it, and together with
    `cluster` and `personal` it goes into `truth`, as JSON, by which cleaning is judged. See `hfcourse.world.pages`.
    """

    forms = ("html", "text", "bytes", "base64")
    columns = (*forms, "url", "id", "lang", "fault", "cluster", "personal")
    features = Features({name: Value("string") for name in ("id", "content", "form", "truth")})
    compared = ("content",)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        truth = ""
        if row.get("fault"):
            labels = {"fault": row["fault"], "clean": row.get("text") or ""}
            labels |= {"cluster": row.get("cluster") or "", "personal": row.get("personal") or []}
            truth, row = json.dumps(labels, ensure_ascii=False), {k: v for k, v in row.items() if k != "text"}
        form = next((name for name in self.forms if row.get(name) is not None), None)
        if form is None:
            raise InputError(f"no column {', '.join(self.forms)}: found {', '.join(row)}; a page has one of them")
        content = row[form]
        if form == "bytes":
            content, form = base64.b64encode(content).decode(), "base64"
        if not isinstance(content, str):
            raise InputError(f"no text: the column {form} holds {type(content).__name__}")
        if form == "base64":
            try:
                base64.b64decode(content, validate=True)
            except ValueError as error:
                raise InputError(f"not base64: {error}") from None
        # Half of a surrogate pair, which JSON may hold and UTF-8 can't.
        content = content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return {"id": str(row.get("url") or row.get("id") or ""), "content": content, "form": form, "truth": truth}


class Labelled:
    """A normaliser: `text` and whether it is `harmful` (true or false, 1 or 0)."""

    columns = ("text", "harmful", "kind", "lang")
    features = Features({"text": Value("string"), "harmful": Value("bool")})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        for name in self.features:
            if name not in row:
                raise InputError(f"no column '{name}': found {', '.join(row)}")
        if not isinstance(row["text"], str) or row["harmful"] not in (0, 1):
            raise InputError(f"no labelled text: expected a text, and harmful true or false, not {row['harmful']!r}")
        return {"text": row["text"], "harmful": bool(row["harmful"])}


class Exam:
    """A normaliser: evaluation rows. `text` is all of one; with `prompt`, `answer` and `choices` it can be asked.

    Without `text` it is `question`, or `prompt`, and `answer`, one behind the other.
    """

    columns = ("text", "question", "prompt", "answer", "choices", "lang", "leaked")
    features = Features(
        {
            "text": Value("string"),
            "prompt": Value("string"),
            "answer": Value("string"),
            "choices": List(Value("string")),
        }
    )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        parts = [row[name] for name in ("question", "prompt") if isinstance(row.get(name), str)][:1]
        answer = row.get("answer")
        text = row.get("text") or " ".join([*parts, *([answer] if isinstance(answer, str) else [])])
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"no evaluation row: expected text, or question and answer, found {', '.join(row)}")
        choices = row.get("choices")
        asked = isinstance(choices, list) and isinstance(row.get("prompt"), str) and answer in choices
        empty = {"text": text, "prompt": "", "answer": "", "choices": []}
        return empty | ({"prompt": row["prompt"], "answer": answer, "choices": choices} if asked else {})
