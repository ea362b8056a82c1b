"""Training an encoder-decoder and judging the texts that it writes."""

from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.texts import bleu, bleu_tokenizer, equal_share, lead, rouge
from hfcourse.run.answers import generate
from hfcourse.run.optimizer import adafactor
from hfcourse.run.trainer import RunTrainer

from datasets import Dataset
from transformers import Seq2SeqTrainer


SAMPLES = 10
# Sentences of the baselines for a summary: a headline is one sentence, the customary baseline has three.
LEADS = (1, 3)
REPORTED = ("rouge1", "rougeL")


class Writer(RunTrainer, Seq2SeqTrainer):
    """A Seq2SeqTrainer that scores what the model writes for `examples`, greedily, at each evaluation.

    `examples` has the columns input_ids, source, target and task, a number of `tasks`; its texts come from
    `hfcourse.run.answers.generate`, which shares them among the processes and batches those of similar length, where
    Seq2SeqTrainer would generate for batches of the loss. `scores` are the last ones, `texts` what was written then.
    """

    causal = False

    def __init__(self, *args: Any, examples: Dataset | None, tasks: list[Any], **kwargs: Any):
        training = kwargs["args"]
        self.beams = _beams(training)
        self.tasks, self.examples = tasks, examples if training.predict_with_generate else None
        self.texts: list[str] = []
        self.scores: dict[str, float] = {}
        training.predict_with_generate = False
        super().__init__(*args, **kwargs)
        self.optimizer_cls_and_kwargs = adafactor(training)  # an argument that Seq2SeqTrainer does not pass on

    def score(self) -> dict[str, float]:
        if self.examples is not None:
            self.texts = self._write(1)
            self.scores = judge(self.tasks, self.examples, self.texts)
        return self.scores

    def final_scores(self) -> dict[str, float]:
        """What is measured once: scores of beam search, as `<name>_beam<n>`, and those that need no model."""
        if self.examples is None:
            return {}
        found = baselines(self.tasks, self.examples)
        if self.beams > 1:
            scores = judge(self.tasks, self.examples, self._write(self.beams))
            found |= {f"{name}_beam{self.beams}": value for name, value in scores.items()}
        return found

    def sample_texts(self) -> list[str]:
        """The texts of SAMPLES examples, spread evenly."""
        return [self.texts[i] for i in self._places()]

    def samples(self, before: list[str], after: list[str]) -> list[dict[str, str]]:
        """What `sample_texts` gave at two times beside its sources and targets."""
        rows: Any = self.examples.select(self._places()) if self.examples is not None else []
        return [
            {"source": row["source"], "expected": row["target"], "before": old, "after": new}
            for row, old, new in zip(rows, before, after, strict=True)
        ]

    def _places(self) -> list[int]:
        last = len(self.examples or []) - 1
        return sorted({i * last // (SAMPLES - 1) for i in range(SAMPLES)}) if last >= 0 else []

    def _write(self, beams: int) -> list[str]:
        assert self.examples is not None
        model = self.accelerator.unwrap_model(self.model)
        length = model.generation_config.max_new_tokens
        size = max(self.args.per_device_eval_batch_size // beams, 1)
        return generate(model, self.processing_class, self.examples["input_ids"][:], length, size, beams)


def judge(tasks: list[Any], examples: Dataset, texts: list[str]) -> dict[str, float]:
    """Scores of the texts written for examples (source, target, task), each task by what it is judged by.

    Translations: `bleu_<source>_<target>`. Summaries: `rouge1`, `rougeL`. Corrections: `exact_match`. Other tasks: all
    of the last three.
    """
    scores: dict[str, float] = {}
    for task, _, targets, written in _by_task(tasks, examples, texts):
        if task.languages:
            scores[_bleu_name(task)] = bleu(written, targets, bleu_tokenizer(task.languages[1]))
        if task.name in ("summarization", "text2text"):
            scores |= _rouges(written, targets)
        if task.name in ("correction", "text2text"):
            scores["exact_match"] = equal_share(written, targets)
    return scores


def baselines(tasks: list[Any], examples: Dataset) -> dict[str, float]:
    """What is reached without a model: `rouge1_lead3`, ... by a source's first sentences, `exact_match_copy` by it."""
    scores: dict[str, float] = {}
    for task, sources, targets, _ in _by_task(tasks, examples, [""] * len(examples)):
        if task.name == "summarization":
            for count in LEADS:
                found = _rouges([lead(source, count) for source in sources], targets)
                scores |= {f"{name}_lead{count}": value for name, value in found.items()}
        if task.name == "correction":
            scores["exact_match_copy"] = equal_share(sources, targets)
    return scores


def _beams(training: Any) -> int:
    beams, generates = training.generation_num_beams, training.predict_with_generate
    if beams is not None and beams < 1:
        raise InputError(f"--generation_num_beams must be at least 1, not {beams}")
    if beams is not None and beams > 1 and not generates:
        raise InputError("--generation_num_beams needs --predict_with_generate true: nothing is written without it")
    return beams or 1


def _bleu_name(task: Any) -> str:
    return "bleu_" + "_".join(task.languages).replace("-", "_").lower()


def _rouges(texts: list[str], targets: list[str]) -> dict[str, float]:
    return {name: value for name, value in rouge(texts, targets).items() if name in REPORTED}


def _by_task(
    tasks: list[Any], examples: Dataset, texts: list[str]
) -> list[tuple[Any, list[str], list[str], list[str]]]:
    """(task, sources, targets, texts) of each task that has examples."""
    numbers, sources, targets = (examples[name][:] for name in ("task", "source", "target"))
    found = []
    for number, task in enumerate(tasks):
        rows = [i for i, own in enumerate(numbers) if own == number]
        if rows:
            found.append((task, *([column[i] for i in rows] for column in (sources, targets, texts))))
    return found
