"""Training and judging a tagger: any encoder, a loss that counts words, entities found in whole sentences."""

import functools
import re
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.spans import Span, group_f1, span_scores, spans
from hfcourse.run.models import load, load_checkpoint, longest_input
from hfcourse.run.trainer import RunTrainer

import numpy as np
import torch
from datasets import Dataset
from seqeval.scheme import IOB2
from tokenizers import pre_tokenizers
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, EvalPrediction, Trainer
from trl import ModelConfig


IGNORED = -100
# Tokens of a window where neither model nor tokenizer names a limit that one would ever reach.
DEFAULT, UNLIMITED = 512, 10**6


def load_tagger(args: ModelConfig, labels: list[str]) -> tuple[Any, Any, list[str], str]:
    """Model, tokenizer, the labels in the order of the model's ids, and a sentence on the weights that are new.

    A checkpoint that is a tagger with these very labels keeps its head and the order of its labels; any other gets a
    head of its own, drawn with the seed. Byte-level tokenizers are told to take each word as if a space came before.
    """
    if args.use_peft:
        raise InputError("--use_peft does not go with tagging: all weights are trained")
    name = args.model_name_or_path
    known = load(AutoConfig, name, args.model_revision).id2label if name is not None else {}
    same = set(known.values()) == set(labels)
    labels = [known[i] for i in sorted(known)] if same else labels
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model, tokenizer, note = load_checkpoint(
        args, AutoModelForTokenClassification, **names, num_labels=len(labels), ignore_mismatched_sizes=True
    )
    if any(not part.add_prefix_space for part in _byte_level(tokenizer)):
        tokenizer = load(AutoTokenizer, str(name), args.model_revision, add_prefix_space=True)
        for part in _byte_level(tokenizer):  # where the argument did not reach them
            part.add_prefix_space = True
    head = getattr(model, "classifier", None)
    if not same and len(known) == len(labels) and isinstance(head, torch.nn.Linear):
        # As many labels, so that the weights were loaded, but other ones; what was loaded is not drawn anew.
        model.classifier = torch.nn.Linear(head.in_features, head.out_features).to(head.weight)
        model._init_weights(model.classifier)
        note = "New weights, drawn with the seed: classifier.bias, classifier.weight (they had other labels)."
    return model, tokenizer, labels, note


def _byte_level(tokenizer: Any) -> list[Any]:
    """The parts of a fast tokenizer that may put a space before a word."""
    backend = tokenizer.backend_tokenizer.pre_tokenizer if tokenizer.is_fast else None
    parts: Any = backend if isinstance(backend, pre_tokenizers.Sequence) else [backend]
    return [part for part in parts if isinstance(part, pre_tokenizers.ByteLevel)]


def window_size(model: Any, tokenizer: Any, max_length: int | None = None) -> tuple[int, int]:
    """Tokens of a window, as asked for or all that the model takes, and of the overlap, a quarter of that.

    The tokenizer remembers the size, for the pipeline that reads it with the model. Raises InputError for a size that
    is more than the model takes.
    """
    most = longest_input(model, tokenizer)
    most = most if most < UNLIMITED else DEFAULT
    if max_length is not None and max_length > most:
        raise InputError(f"--max_length {max_length} is more than the {most} tokens that this model takes")
    tokenizer.model_max_length = max_length or most
    return tokenizer.model_max_length, tokenizer.model_max_length // 4


def token_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens of logits (B, T, L), divided by how many the whole step has.

    The models' own loss is the mean of each micro-batch: with accumulation or several processes, in which these have
    different numbers of labels, that is another objective.
    """
    logits = outputs.logits.float().view(-1, outputs.logits.shape[-1])  # (B * T, L)
    total = F.cross_entropy(logits, labels.view(-1), ignore_index=IGNORED, reduction="sum")
    count = (labels != IGNORED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
    return total / count


class Tagger(RunTrainer, Trainer):
    """A Trainer with `token_loss`, judged by a `Judge`; with `group_by_length` each word weighs the same."""

    causal = False

    def __init__(self, *args: Any, judge: "Judge | None" = None, **kwargs: Any):
        super().__init__(
            *args,
            compute_loss_func=token_loss,
            compute_metrics=judge,
            preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
            **kwargs,
        )

    def _get_num_items_in_batch(self, *args: Any) -> Any:
        """In batches of similar length the mean count of all steps, so that every word of the data weighs the same.

        Divided by its own count, a step of sentences of three words would move the weights as far as one of forty.
        """
        count = super()._get_num_items_in_batch(*args)
        if count is None or self.args.train_sampling_strategy != "group_by_length":
            return count
        rows = self._train_batch_size * self.args.gradient_accumulation_steps
        rows *= self.args.world_size if self.args.average_tokens_across_devices else 1
        return torch.full_like(count, rows * self._labels_a_row, dtype=torch.float)

    @functools.cached_property
    def _labels_a_row(self) -> float:
        rows: Any = self.train_dataset
        return sum(np.count_nonzero(np.array(labels) != IGNORED) for labels in rows["labels"]) / len(rows)


class Judge:
    """The scores of predicted tags over whole sentences, from the predictions of windows.

    Args:
        sentences: the evaluation data, `tokens` and BIO `tags`.
        windows: its windows in the order in which they are predicted (`sentence`, `words`).
        labels: names of the model's ids.
        train: the training data, whose entities are "seen".
        strict: seqeval's strict mode.

    A call returns precision, recall, f1, f1_<type>, f1_seen and f1_unseen, as far as there is such an entity to find:
    F1 of the entities, expected and predicted, whose words are those of a training entity of whatever type, and of the
    others. `scores` are those of the last call, `predicted` its tags, sentence by sentence.
    """

    def __init__(
        self,
        sentences: Dataset,
        windows: Dataset,
        labels: list[str],
        train: Dataset,
        strict: bool = False,
    ):
        self.tokens, self.labels, self.scheme = sentences["tokens"][:], np.array(labels), IOB2 if strict else None
        self.expected = spans(sentences["tags"])
        self.ends = np.cumsum([len(row) for row in self.tokens])
        begins = self.ends - [len(row) for row in self.tokens]
        pairs = zip(windows["sentence"], windows["words"], strict=True)
        self.places = np.concatenate([begins[number] + np.array(words, dtype=int) for number, words in pairs])
        train_tokens = train["tokens"][:]
        self.seen = {" ".join(train_tokens[s.sentence][s.start : s.end]) for s in spans(train["tags"])}
        self.predicted: list[list[str]] = []
        self.scores: dict[str, float] = {}

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        found = np.full(self.ends[-1], "O", dtype=self.labels.dtype)
        # Rows and positions in order: the words of the first window, then those of the second, ...
        found[self.places] = self.labels[prediction.predictions[prediction.label_ids != IGNORED]]
        self.predicted = [row.tolist() for row in np.split(found, self.ends[:-1])]
        predicted = spans(self.predicted, self.scheme)
        scores = span_scores(self.expected, predicted) | group_f1(self.expected, predicted, self.novelty)
        there = {"precision", "recall", "f1"}.union(*({f"f1_{s.type}", self.novelty(s)} for s in self.expected))
        self.scores = {re.sub(r"\W", "_", name): value for name, value in scores.items() if name in there}
        return self.scores

    def novelty(self, span: Span) -> str:
        """The group that an entity of the evaluation sentences, or a predicted one, counts for."""
        words = " ".join(self.tokens[span.sentence][span.start : span.end])
        return "f1_seen" if words in self.seen else "f1_unseen"
