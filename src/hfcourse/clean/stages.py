"""The stages as steps of datatrove: rows in, text out of mark-up, filters with their reasons, files between them."""

import base64
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from hfcourse.clean.decode import decode
from hfcourse.clean.harm import Classifier
from hfcourse.clean.html import tidy, to_text
from hfcourse.clean.leaks import Leaks
from hfcourse.clean.personal import mask
from hfcourse.clean.rules import drop_lines, judge
from hfcourse.clean.words import WORD

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters.base import BaseFormatter
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils.word_tokenizers import WordTokenizer
from py3langid.langid import MODEL_FILE, LanguageIdentifier


class Rows(PipelineStep):
    """Rows {"id", "content", "form", "truth"} as documents; each task gets its part of them, in their order.

    `dataset` is a `datasets.Dataset`, which a task on another machine reads from the same files. `form` is "text",
    "html", or "base64" for the bytes of a page; a row without an id is called by its number.
    """

    type, name = "📖 - READER", "Rows"

    def __init__(self, dataset: Any):
        super().__init__()
        self.dataset = dataset

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        first, end = (len(self.dataset) * part // world_size for part in (rank, rank + 1))
        for number, row in enumerate(self.dataset.select(range(first, end)), first):
            labels = json.loads(row["truth"]) if row["truth"] else {}
            yield Document(row["content"], row["id"] or str(number), metadata={"form": row["form"], **labels})


class Extract(BaseFilter):
    """Bytes decoded, mark-up and boilerplate out; dropped where no text is left.

    With `boilerplate` everything that a reader sees is kept: the text of a careless crawl.
    """

    name = "HTML"

    def __init__(self, exclusion_writer: DiskWriter | None = None, boilerplate: bool = False):
        super().__init__(exclusion_writer)
        self.boilerplate = boilerplate

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        form, content = doc.metadata.pop("form", "text"), doc.text
        text = decode(base64.b64decode(content)) if form == "base64" else decode(content.encode())
        if text is None:
            return False, "no known encoding"
        # Bytes may be plain text as well.
        if form == "html" or (form == "base64" and "<" in text[:1000]):
            text = to_text(text, self.boilerplate)
        text = tidy(text)
        doc.text = text if self.boilerplate else drop_lines(text)
        return True if doc.text else (False, "no text")


class Language(BaseFilter):
    """Keeps texts in one of the languages (ISO 639-1), by py3langid, whose model comes with it.

    datatrove's filter asks the network for a fastText model. Sets `language`.
    """

    name = "Language"

    def __init__(self, languages: Sequence[str], threshold: float, exclusion_writer: DiskWriter | None = None):
        super().__init__(exclusion_writer)
        self.languages, self.threshold = tuple(languages), threshold

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        language, probability = identifier().classify(doc.text)
        doc.metadata["language"] = language
        if language not in self.languages:
            return False, f"in {language}"
        return True if probability >= self.threshold else (False, "in no language for sure")


@cache
def identifier() -> LanguageIdentifier:
    """py3langid's model, which is half a second's work to load: once a process, not once a task."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Quality(BaseFilter):
    """The rules of `hfcourse.clean.rules`; the reason is the first of them that holds."""

    name = "Quality"

    def __init__(self, min_words: int, min_sentences: int, exclusion_writer: DiskWriter | None = None):
        super().__init__(exclusion_writer)
        self.min_words, self.min_sentences = min_words, min_sentences

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        reason = judge(doc.text, doc.metadata["language"], self.min_words, self.min_sentences)
        return (False, reason) if reason else True


class Harm(BaseFilter):
    """Drops a text of which any line is harmful to the classifier in `path`; sets `harm`, the worst line's P."""

    name = "Harm"

    def __init__(self, path: Path, threshold: float, exclusion_writer: DiskWriter | None = None):
        super().__init__(exclusion_writer)
        self.path, self.threshold = path, threshold
        self._classifier: Classifier | None = None

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if self._classifier is None:
            self._classifier = Classifier.load(self.path)
        doc.metadata["harm"] = round(self._classifier.worst(doc.text), 4)
        return True if doc.metadata["harm"] < self.threshold else (False, "harmful")


class Words(WordTokenizer):
    """Words of any language for datatrove's steps, whose own are spaCy's and jieba's; texts come normalised."""

    def word_tokenize(self, text: str) -> list[str]:
        return WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError("MinHash asks for words alone")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError("MinHash asks for words alone")


class Personal(BaseFormatter):
    """Masks personal data; drops nothing."""

    name = "Personal data"

    def format(self, text: str) -> str:
        return mask(text)


class Decontaminate(BaseFilter):
    """Drops a text that holds rows of an evaluation set; `leaks` are their numbers.

    datatrove's indexer imports lighteval whatever it indexes, and its filter stops at one n-gram of one task.
    """

    name = "Decontamination"

    def __init__(self, rows: Sequence[str], n: int, share: float, exclusion_writer: DiskWriter | None = None):
        super().__init__(exclusion_writer)
        self.leaks = Leaks(rows, n, share)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if found := self.leaks(doc.text):
            doc.metadata["leaks"] = found
            return False, "an evaluation row"
        return True


class JsonLines(DiskWriter):
    """A file of JSON lines for each task: text, id, and what is known of the document. datatrove's needs orjson."""

    default_output_filename = "${rank}.jsonl"
    name = "JSON lines"

    def __init__(self, folder: str | Path, output_filename: str | None = None):
        super().__init__(str(folder), output_filename, compression=None, expand_metadata=True)

    def _write(self, document: dict[str, Any], file_handler: IO, _filename: str) -> None:
        file_handler.write(json.dumps(document, ensure_ascii=False) + "\n")


class Lines(PipelineStep):
    """What the same task of an earlier stage wrote as JsonLines, in its order: datatrove's removals count on it.

    Its own readers give a task other files where another task wrote none.
    """

    type, name = "📖 - READER", "JSON lines"

    def __init__(self, folder: str | Path):
        super().__init__()
        self.folder = Path(folder)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        for row in read_lines(self.folder / f"{rank:05d}.jsonl"):
            yield Document(row.pop("text"), row.pop("id"), metadata=row)


def read_lines(*paths: Path) -> Iterator[dict[str, Any]]:
    """The rows of files of JSON lines; a file that is not there has none."""
    for path in paths:
        if path.is_file():
            with open(path, encoding="utf-8", newline="\n") as file:
                yield from map(json.loads, file)
