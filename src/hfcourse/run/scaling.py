"""All runs of a comparison at equal compute, trained side by side by one Trainer: each batch goes to every run."""

import copy
import re
from collections.abc import Callable
from typing import Any, cast

from hfcourse.errors import InputError
from hfcourse.run.arguments import read_mapping
from hfcourse.run.models import HEADS, from_scratch
from hfcourse.run.together import TogetherTrainer

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedConfig, TrainingArguments, get_scheduler, set_seed


# What a decoder is called whose products `hfcourse.scaling.flops` counts, and whether its feed-forward layer is gated.
COUNTED = {"gpt2": False, "hfcourse": False, "llama": True}


def read_sizes(value: Any) -> dict[str, dict[str, Any]]:
    """--sizes as {name: architecture}; raises InputError for what is no such mapping."""
    found = read_mapping(value, "sizes")
    if found is None or not all(isinstance(sizes, dict) for sizes in found.values()):
        raise InputError("--sizes is a mapping of names to architectures (model_type and sizes), see configs/scaling")
    if wrong := [name for name in found if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name))]:
        raise InputError(f"--sizes: a name has letters, digits, _ and - alone, not '{wrong[0]}'")
    return found


def read_config(architecture: dict[str, Any], tokenizer: Any) -> PreTrainedConfig:
    """The config of an architecture, without weights; raises InputError for what is none."""
    with torch.device("meta"):
        return from_scratch("causal", architecture, tokenizer).config


def block_length(configs: dict[str, PreTrainedConfig]) -> int:
    """The positions of the models, which a block fills; raises InputError where two sizes have not as many."""
    lengths = {size: config.max_position_embeddings for size, config in configs.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"--sizes: expected as many positions in each, which a block then fills, not {lengths}")
    return next(iter(lengths.values()), 0)


def dimensions(config: PreTrainedConfig) -> dict[str, Any]:
    """The sizes of a decoder as `hfcourse.scaling.flops.Decoder` names them; raises InputError for another family."""
    if config.model_type not in COUNTED or getattr(config, "is_encoder_decoder", False):
        raise InputError(f"--sizes: FLOPs are counted for {', '.join(COUNTED)}, not for {config.model_type}")
    width, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or width // heads
    inner = getattr(config, "n_inner", None) or getattr(config, "intermediate_size", None) or 4 * width
    return {
        "layers": config.num_hidden_layers,
        "width": width,
        "attention": heads * head,
        "keys": (getattr(config, "num_key_value_heads", None) or heads) * head,
        "inner": inner,
        "gated": COUNTED[config.model_type],
        "vocabulary": config.vocab_size,
    }


def counted_flops(config: PreTrainedConfig, length: int) -> float:
    """FLOPs a token of forward and backward pass, as torch counts the products: on no device, without any weights.

    Attention is eager, since torch's counter adds the products that a fused backward pass makes a second time, and
    does not know the fused kernel of CPUs.
    """
    config = copy.deepcopy(config)
    config.pad_token_id = None  # GPT-2 would look for padding in tokens that are not there
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model: Any = HEADS["causal"].from_config(config, attn_implementation="eager")
        ids = torch.zeros(1, length, dtype=torch.long)
        model(input_ids=ids, labels=ids).loss.backward()
    return counter.get_total_flops() / length


def counter_difference(configs: dict[str, PreTrainedConfig], formula: Callable[[str], float], length: int) -> float:
    """The largest relative difference of the formula's FLOPs a token, by size, from what torch counts."""
    counted = {size: counted_flops(config, length) for size, config in configs.items()}
    return max((abs(formula(size) / flops - 1) for size, flops in counted.items()), default=0.0)


def rows_of_a_step(training: TrainingArguments) -> int:
    """Sequences that one optimiser step sees, of all processes."""
    return training.train_batch_size * training.gradient_accumulation_steps * training.world_size


class Ladder(nn.Module):
    """The models of all R runs; those of one size start from the same weights."""

    # The Trainer asks for it where a checkpoint lacks a weight, as it lacks the second name of a tied one.
    _keys_to_ignore_on_save = None

    def __init__(self, architectures: dict[str, dict[str, Any]], runs: list[Any], tokenizer: Any, seed: int):
        """architectures: by size; runs: of `hfcourse.scaling.schedule`. Raises InputError for a size that is none."""
        super().__init__()
        self.models = nn.ModuleDict()
        for run in runs:
            set_seed(seed)
            self.models[run.name] = from_scratch("causal", architectures[run.size], tokenizer)

    def forward(self, names: list[str], input_ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean losses (R) of the named runs and, in evaluation, whether each token is the likeliest: (R, B, T - 1)."""
        losses, right = [], []
        for name in names:  # an evaluation holds the logits of one model at a time
            output = self.models[name](input_ids=input_ids, labels=labels)
            losses.append(output.loss)
            if not self.training:
                right.append(output.logits[:, :-1].argmax(-1) == labels[:, 1:])
        return torch.stack(losses), torch.stack(right) if right else None


class LadderTrainer(TogetherTrainer):
    """Trains the runs of a schedule in lock-step: batch s goes to every run that has s steps or more.

    So each run sees the same tokens in the same order, as many as its budget pays for, with a rate that rises and
    falls over its own steps. `loss` in the log is the mean over the runs that are not finished; each one's own
    stands in loss_<run>, and each evaluation has eval_loss_<run> and eval_exact_<length>_<run>.
    """

    def __init__(self, *args: Any, runs: list[Any], judge: Any, **kwargs: Any):
        """runs: of `hfcourse.scaling.schedule`; judge: `hfcourse.scaling.emergence.count_exact` with its lengths."""
        self.ladder: Ladder = kwargs["model"]
        self.runs, (self.count_exact, self.lengths) = runs, judge
        kwargs["args"].ddp_find_unused_parameters = True  # those of finished runs
        if kwargs["args"].max_steps < 1 or kwargs.get("eval_dataset") is None:
            raise InputError("runs are compared on documents that none of them has read: there must be some")
        kwargs["args"].remove_unused_columns = False  # which the Trainer would guess from the module's signature
        super().__init__(*args, **kwargs)

    @property
    def active(self) -> list[Any]:
        """The runs that take the next step."""
        return [run for run in self.runs if run.steps > self.state.global_step]

    def parts(self) -> list[nn.Module]:
        return [self.ladder.models[run.name] for run in self.active]

    def checkpoints(self) -> dict[str, Any]:
        return {f"models/{run.name}": self.ladder.models[run.name] for run in self.runs}

    def own_rates(self) -> list[tuple[nn.Module, float]]:
        return [(self.ladder.models[run.name], run.rate) for run in self.runs]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The scheduler that was asked for, over each run's own steps: a rate must have fallen when its run ends."""
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            shapes = []
            for run in self.runs:
                alone = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
                warmup = self.args.get_warmup_steps(run.steps)
                kind, options = self.args.lr_scheduler_type, cast(dict, self.args.lr_scheduler_kwargs)
                schedule = get_scheduler(kind, alone, warmup, run.steps, scheduler_specific_kwargs=options)
                if not isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
                    raise InputError(f"--lr_scheduler_type {kind}: expected one that is a function of the step alone")
                shapes += 2 * schedule.lr_lambdas  # of its two groups
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shapes)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        ids, labels = inputs["input_ids"], inputs["labels"]
        runs = self.runs if self._predicting else self.active
        losses, right = model(names=[run.name for run in runs], input_ids=ids, labels=labels)
        there = labels[:, 1:] != -100
        if self._predicting:
            hits, counts = self.count_exact(right, there, self.lengths)
            sums = torch.cat([losses[:, None] * there.sum(), hits], 1).nan_to_num()
            self._sums += torch.cat([sums, torch.cat([there.sum()[None], counts])[None].to(sums)]).double().cpu()
            return (losses.mean(), {}) if return_outputs else losses.mean()
        weight = there.sum() / num_items_in_batch
        if self.args.average_tokens_across_devices:
            weight = weight * self.accelerator.num_processes  # as the Trainer does: DDP averages the gradients
        self.meters["tokens"] += ids.numel() * (len(runs) - 1)  # the first run's are counted already
        for run, loss in zip(runs, losses.detach().tolist(), strict=True):
            for name, value in ((f"loss_{run.name}", loss * weight.item()), (f"weight_{run.name}", weight.item())):
                self.meters[name] = self.meters.get(name, 0.0) + value
        return (losses.sum() * weight, {}) if return_outputs else losses.sum() * weight

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Each run's mean loss since the last line, and as `loss` the mean of these."""
        if "loss" in logs:
            own = [[self.meters.pop(f"{part}_{run.name}", 0.0) for part in ("loss", "weight")] for run in self.runs]
            both = self.accelerator.reduce(torch.tensor(own, dtype=torch.float, device=self.args.device), "sum")
            losses = {
                f"loss_{run.name}": (loss / weight).item()
                for run, (loss, weight) in zip(self.runs, both, strict=True)
                if weight > 0
            }
            logs |= losses | {"loss": sum(losses.values()) / len(losses)}
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self._sums = torch.zeros(len(self.runs) + 1, 1 + len(self.lengths), dtype=torch.double)
        return super().evaluation_loop(*args, **kwargs)

    def score(self) -> dict[str, float]:
        sums = self.accelerator.reduce(self._sums.to(self.args.device), "sum")
        names = ["eval_loss", *(f"eval_exact_{length}" for length in self.lengths)]
        shares = (sums[:-1] / sums[-1].clamp(min=1)).tolist()  # (R, 1 + M)
        return {
            f"{name}_{run.name}": value
            for run, row in zip(self.runs, shares, strict=True)
            for name, value in zip(names, row, strict=True)
        }

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """A second pass would show every run what it has read: refused, with what was needed and what was there."""
        done, needed = self.state.global_step, self.args.max_steps
        if kwargs["epoch"] > 0 and done < needed:
            raise InputError(
                f"the corpus ran out after {done:,} of {needed:,} steps, and no token may be seen twice: give more "
                "documents or smaller --budgets"
            )
        super()._run_epoch(*args, **kwargs)
