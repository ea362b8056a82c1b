"""Training a reward model on rankings, with TRL's trainer around InstructGPT's loss, and judging it."""

import copy
import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.metrics.exact_match import grouped_accuracy
from hfcourse.metrics.preferences import calibration_error, length_correlation, ranked_pairs, reliability, wins
from hfcourse.run.models import check_folder, load, load_checkpoint
from hfcourse.run.reward_keep import KeepArguments, TokenScores, beside, predicting_head, predicting_loss, rival_loss
from hfcourse.run.scoring import one_label
from hfcourse.run.trainer import RunTrainer

import numpy as np
import torch
from datasets import Dataset
from peft import PeftConfig, PeftModel
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification, EvalPrediction
from trl import ModelConfig, RewardTrainer, get_peft_config


ABSENT = -100
ADAPTER = "adapter"
# Where a block's attention and its feed-forward part end, in GPT-2, in Llama's kin and in the reference Transformer.
RESIDUAL = ("attn.c_proj", "mlp.c_proj", "attn.o_proj", "mlp.down_proj", "attention.out", "feed_forward.down")


def load_reward(args: ModelConfig, new_blocks: int = 0) -> tuple[Any, Any, str]:
    """Model with a head of one label, tokenizer, and a sentence on the weights that are new.

    A language model gets a new head, a reward model keeps its own. `new_blocks` puts as many blocks on top. Raises
    InputError for a classifier of more labels, or a model that can't grow so.
    """
    if args.model_name_or_path is not None:
        check_folder(args.model_name_or_path)
        one_label(load(AutoConfig, args.model_name_or_path, args.model_revision))
    if new_blocks and args.use_peft:
        raise InputError("--new_blocks does not go with --use_peft: adapters would be trained and blocks would not")
    model, tokenizer, note = load_checkpoint(args, AutoModelForSequenceClassification, num_labels=1)
    if new_blocks:
        _grow(model, new_blocks)
        note += f" On top {new_blocks} more blocks, drawn with the seed, that begin as the identity."
    return model, tokenizer, note


@torch.no_grad()
def _grow(model: Any, count: int) -> None:
    """Put blocks on top, drawn as the model's own were, which at first add nothing (Wu et al. 2024, "LLaMA Pro").

    There they are copies of blocks. Here they have to compare, which the blocks beneath never did.
    """
    depth = model.config.num_hidden_layers
    blocks: Any = next((m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth), [])
    for place in range(depth, depth + count):
        below = place - min(count, depth)
        block = copy.deepcopy(blocks[below]) if len(blocks) else torch.nn.Module()
        for part in block.modules():
            model._init_weights(part)
        ends = [part for name, part in block.named_modules() if name.endswith(RESIDUAL)]
        # Behind a norm nothing added is not nothing changed.
        if len(ends) != 2 or not getattr(model.config, "pre_norm", True):
            raise InputError(
                "--new_blocks knows the blocks of GPT-2, of Llama's kin and of the reference decoder, not of "
                f"{type(model).__name__}"
            )
        for parameter in (parameter for part in ends for parameter in part.parameters()):
            parameter.zero_()
        for part in block.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = place
        blocks.append(block)
        if getattr(model.config, "layer_types", None):
            model.config.layer_types = [*model.config.layer_types, model.config.layer_types[below]]
    model.config.num_hidden_layers = depth + count


def adapter_config(args: ModelConfig) -> PeftConfig | None:
    """LoRA as `args` has it, or None: for a classifier, so that peft trains and saves the new head as a whole.

    As adapters of a causal model, TRL's default, they would leave it as it was drawn and out of the checkpoint.
    """
    config = get_peft_config(args)
    if config is not None:
        config.task_type = "SEQ_CLS"
    return config


def better(ranks: torch.Tensor) -> torch.Tensor:
    """Where answer i of a prompt is better than its answer j: ranks (B, K), ABSENT where none is -> (B, K, K)."""
    there = ranks != ABSENT
    return (ranks[:, :, None] < ranks[:, None, :]) & there[:, :, None] & there[:, None, :]


def ranking_loss(scores: torch.Tensor, ranks: torch.Tensor, center: float | None = None) -> torch.Tensor:
    """InstructGPT's loss of each prompt (Ouyang et al. 2022, equation 1): scores, ranks (B, K) -> (B,).

    -1 / (K choose 2) sum over pairs of log sigmoid(r_better - r_worse), so that a prompt counts once, however many
    answers it has; tied answers make no pair. With two answers it is the Bradley-Terry loss of TRL's RewardTrainer.
    `center` adds center (r_better + r_worse)^2 (Eisenstein et al. 2023, equation 2), which keeps scores near 0.
    """
    pairs = better(ranks)  # (B, K, K)
    loss = -F.logsigmoid(scores[:, :, None] - scores[:, None, :])
    if center is not None:
        loss = loss + center * (scores[:, :, None] + scores[:, None, :]) ** 2
    return torch.where(pairs, loss, 0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


class Ranker(RunTrainer, RewardTrainer):
    """TRL's RewardTrainer on whole rankings (`hfcourse.data.ranked`), judged by a `Judge`.

    Args:
        source: where the model came from, for the merged checkpoint that a LoRA run ends in.
        keep: what becomes of the texts that rows bring along (`hfcourse.data.kept`).
    """

    # The loss is divided by the prompts of the whole step.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *args: Any,
        source: ModelConfig,
        judge: "Judge | None" = None,
        keep: KeepArguments | None = None,
        **kwargs: Any,
    ):
        self.source, self.center = source, kwargs["args"].center_rewards_coefficient
        self.keep = keep or KeepArguments()
        self.keep.check_keep()
        super().__init__(*args, compute_metrics=judge, peft_config=adapter_config(source), **kwargs)
        head = predicting_head(source) if self.keep.keep_texts else None
        self.head = head if head is None else head.to(self.args.device)
        if self.keep.keep_texts and head is None and not self.keep.rival_coef:
            raise InputError("--keep_texts: a reward model predicts no texts, it learns from them with --rival_coef")
        self.tokens = TokenScores(self.model) if self.keep.rival_coef else None
        self.label_names = ["labels"]

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        """Rows come as token ids; what is too long for the model was counted when they were made."""
        return dataset

    def counted(self, labels: torch.Tensor) -> torch.Tensor:
        """How many prompts of ranks (B, K) have a pair."""
        return better(labels).any(2).any(1).sum()

    def shown(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Texts (N, T) of a batch, and labels that mark the token at which each is scored."""
        ids, mask = (batch[name][batch["labels"] != ABSENT] for name in ("input_ids", "attention_mask"))
        last = mask.sum(1, keepdim=True) - 1
        return ids, torch.full_like(ids, ABSENT).scatter(1, last, ids.gather(1, last))

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor | None:
        if self._predicting:
            return None
        count = sum(self.counted(batch["labels"]) for batch in batch_samples)
        return self.accelerator.reduce(torch.as_tensor(count, device=device), "sum")

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        ranks, mask = inputs["labels"], inputs["attention_mask"]
        there = mask.any(-1)  # (B, K)
        losses, scores = torch.zeros((), device=ranks.device), None
        if self._predicting or self.state.global_step >= self.keep.kept_steps:
            texts, masks = inputs["input_ids"][there], mask[there]  # (N, T)
            found = model(input_ids=texts, attention_mask=masks, use_cache=False).logits[:, 0].float()  # (N,)
            scores = found.new_zeros(ranks.shape).masked_scatter(there, found)  # (B, K)
            losses = ranking_loss(scores, ranks, self.center)  # (B,)
            if num_items_in_batch is not None:
                self._meter(found.detach(), (scores[:, :, None] - scores[:, None, :])[better(ranks)].detach(), mask)
        if "kept_ids" in inputs:
            losses = losses + self._keep(model, inputs["kept_ids"], inputs["kept_mask"], inputs.get("kept_rivals"))
        count = self.counted(ranks) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / count.clamp(min=1)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages the gradients
        return (loss, {"loss": loss, "scores": scores}) if return_outputs else loss

    def _keep(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, rivals: torch.Tensor | None) -> torch.Tensor:
        """The losses on texts that rows bring along: ids, mask and rivals (B, T) -> (B,)."""
        hidden, scores = self._read(model, ids, mask, rivals)
        losses = ids.new_zeros(len(ids), dtype=torch.float32)
        measured = {}
        if self.head is not None:
            predicting = predicting_loss(hidden, self.head, ids, mask)
            losses, measured["kept_loss"] = losses + predicting, predicting.mean()
        if scores is not None and rivals is not None:
            telling, right = rival_loss(scores, ids, rivals, mask)
            losses = losses + self.keep.rival_coef * telling
            measured |= {"rival_loss": telling.mean(), "rival_accuracy": right}
        for name, value in measured.items():
            self._metrics["train"][name].append(self.accelerator.reduce(value.detach(), "mean").item())
        return losses

    def _read(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, rivals: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Hidden states (B, T, D) and, with rivals, scores (B, 2 T) of texts, those of like length read together."""
        inputs = {"input_ids": ids, "attention_mask": mask} | ({} if rivals is None else {"rivals": rivals})
        inputs["row"] = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)
        rows, hidden, scores = [], [], []
        for part in self.in_parts(inputs):
            rows.append(part.pop("row")[:, 0])
            width = part["input_ids"].shape[1]
            short = ids.shape[1] - width
            if rivals is not None:
                part = beside(part["input_ids"], part["rivals"], next(model.parameters()).dtype)
            states = model(**part, use_cache=False, output_hidden_states=True).hidden_states[-1]
            hidden.append(F.pad(states[:, :width], (0, 0, 0, short)))
            if self.tokens is not None:
                scores.append(F.pad(self.tokens.last.unflatten(1, (-1, width)), (0, short)))  # (b, 2, T)
        back = torch.cat(rows).argsort()
        return torch.cat(hidden)[back], torch.cat(scores)[back].flatten(1) if scores else None

    def _meter(self, found: torch.Tensor, margins: torch.Tensor, mask: torch.Tensor) -> None:
        """Add TRL's running metrics of a training batch: scores (N,), margins (P,) of its pairs."""
        right = (margins.sign() + 1) / 2
        values = torch.stack([found.mean(), margins.mean(), right.mean()])
        means = self.accelerator.reduce(values, "mean").tolist()
        for name, value in zip(("mean_reward", "margin", "accuracy"), means, strict=True):
            self._metrics["train"][name].append(value)
        self._total_train_tokens += int(self.accelerator.reduce(mask.sum(), "sum").item())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the Trainer does; the end of a LoRA run is a whole checkpoint, with its adapter in a folder of its own.

        The base is loaded anew, so that it is merged in full precision and in one piece, however it was trained.
        """
        super().save_model(output_dir, _internal_call)
        if _internal_call or not isinstance(self.accelerator.unwrap_model(self.model), PeftModel):
            return
        if self.args.should_save:
            tokenizer: Any = self.processing_class
            merge_adapter(Path(str(output_dir)), self.source, tokenizer.pad_token_id)


def merge_adapter(folder: Path, source: ModelConfig, pad_token_id: int) -> None:
    """Move the adapter in `folder` to its own folder there, and write what it makes of its base in its place."""
    (folder / ADAPTER).mkdir()
    for file in folder.glob("adapter_*"):
        os.replace(file, folder / ADAPTER / file.name)
    whole = dataclasses.replace(source, load_in_4bit=False, load_in_8bit=False)
    model = PeftModel.from_pretrained(load_reward(whole)[0], str(folder / ADAPTER)).merge_and_unload()
    model.config.get_text_config().pad_token_id = pad_token_id
    model.save_pretrained(folder)


class Judge:
    """The scores of an evaluation, from the rewards (R, K) of its rows in order.

    A call returns accuracy and accuracy_<aspect> (share of pairs in the right order, a tie counts a half), ece and
    length_correlation (hfcourse.metrics.preferences). `scores` are those of the last call, `margins` (P,) its pairs'.
    """

    def __init__(self, rows: Dataset):
        self.ranks, aspects = rows["ranks"][:], rows["aspect"][:]
        self.pairs = ranked_pairs(self.ranks)
        self.aspects = [re.sub(r"\W", "_", aspects[pair.row]) for pair in self.pairs]
        lengths = [[len(ids) for ids in row] for row in rows["input_ids"]]
        self.differences = np.array([lengths[p.row][p.better] - lengths[p.row][p.worse] for p in self.pairs])
        self.longer_wins = float(wins(self.differences).mean())
        self.margins = np.zeros(len(self.pairs))
        self.scores: dict[str, float] = {}

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        found = np.asarray(prediction.predictions, dtype=np.float64)
        self.margins = np.array([found[p.row, p.better] - found[p.row, p.worse] for p in self.pairs])
        right = wins(self.margins)
        named = [(f"accuracy_{aspect}", value) for aspect, value in zip(self.aspects, right, strict=True) if aspect]
        self.scores = {
            "accuracy": float(right.mean()),
            **{name: float(value) for name, value in sorted(grouped_accuracy(named).items())},
            "ece": calibration_error(reliability(self.margins)),
            "length_correlation": length_correlation(self.margins, self.differences),
        }
        return self.scores
