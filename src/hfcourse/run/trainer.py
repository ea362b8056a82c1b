"""What every Trainer of a recipe gets: whole checkpoints, exact resume, losses per token, seconds of training."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfcourse.errors import InputError
from hfcourse.run.checkpoints import finite, room_for, write_hashes
from hfcourse.run.cpu import split_by_length, use_compact_head
from hfcourse.run.encoder_decoder import encoder_decoder_loss
from hfcourse.run.files import read_json, remove, sync, write_json
from hfcourse.run.recorder import Recorder
from hfcourse.run.run import Run
from hfcourse.run.sampling import SimilarLengths, epoch_order, listed

import torch
from datasets import IterableDataset
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy, rotate_checkpoints


METERS = "meters.json"


class RunTrainer(Trainer):
    """Mixin for any transformers or TRL trainer: `class SFT(RunTrainer, SFTTrainer)`, then `SFT(..., run=run)`.

    A checkpoint is written under another name and renamed when it is complete. Besides the trainer's own state it
    holds the meters that a Trainer forgets (the loss since the last log line, TRL's running metrics, tokens, seconds),
    so that a run interrupted anywhere ends in the same weights and the same metrics.jsonl as one that was not.
    """

    # Whether the trainer gives its model TRL's fused LM head, as SFTTrainer does.
    fused_head = False
    # Whether the label at t is predicted from the tokens before t, so that a row's first label never counts.
    causal = True

    def __init__(self, *args: Any, run: Run, **kwargs: Any):
        self.run = run
        self.meters: dict[str, float] = {"seconds": 0.0, "tokens": 0}
        self._run_dir: str | None = None
        self._evaluated: tuple[int, dict[str, float]] = -1, {}  # after how many steps, and what was found
        self._predicting = False
        if kwargs.get("eval_dataset") is None:
            kwargs["args"].eval_strategy = IntervalStrategy.NO
        try:
            super().__init__(*args, **kwargs)
        except ValueError as e:  # arguments that do not go together, LoRA modules that are not in the model
            raise InputError(" ".join(str(e).split())) from e
        # By its class's name transformers takes GPT-2's loss for one that does not shift its labels.
        if getattr(getattr(self.model, "config", None), "model_type", None) == "gpt2":
            self._loss_shifts_labels = True
        self._encoder_decoder = getattr(getattr(self.model, "config", None), "is_encoder_decoder", False)
        if self._encoder_decoder:
            self.model_accepts_loss_kwargs = True  # so that the Trainer counts the tokens for compute_loss
        for default in (ProgressCallback, PrinterCallback):
            self.remove_callback(default)
        self.add_callback(Recorder(self))
        if self.fused_head and self.args.device.type == "cpu":
            use_compact_head(self.model)

    def counted(self, labels: torch.Tensor) -> torch.Tensor:
        """How many labels (B, T) the loss counts."""
        return ((labels[:, 1:] if self.causal else labels) != -100).sum()

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        self._ignore_repeated_rows(inputs["labels"])
        count = self.counted(inputs["labels"])
        self._predicting = True
        loss, logits, labels = super().prediction_step(model, inputs, *args, **kwargs)
        self._predicting = False
        assert loss is not None, "recipes evaluate with labels"
        if count > 0:
            self._eval_sums += torch.stack([loss * count, count]).double().cpu()
        return loss, logits, labels

    def _ignore_repeated_rows(self, labels: torch.Tensor) -> None:
        """Ignore the rows with which accelerate fills up the last batch, so that each process gets as many.

        A packed row can't be taken apart: there the repeated ones count twice.
        """
        state = self.accelerator.gradient_state
        if self.args.world_size > 1 and state.end_of_dataloader and state.remainder > 0 and len(labels) > 1:
            labels[max(state.remainder - self.args.process_index * len(labels), 0) :] = -100

    def _get_num_items_in_batch(self, *args: Any) -> Any:
        """None in an evaluation: its losses are means of this process's batch, which prediction_step weighs."""
        return None if self._predicting else super()._get_num_items_in_batch(*args)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss as the Trainer has it; that of an encoder-decoder is `encoder_decoder_loss`."""
        if not self._encoder_decoder:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        smoothing = self.args.label_smoothing_factor if num_items_in_batch is not None else 0.0
        loss, outputs = encoder_decoder_loss(model, inputs, num_items_in_batch, smoothing)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # as the Trainer does: DDP averages the gradients
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length" or isinstance(self.train_dataset, IterableDataset):
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset
        name = self.args.length_column_name
        lengths = rows[name][:] if name in rows.column_names else map(len, rows["input_ids"])
        batch = self._train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return SimilarLengths(list(lengths), batch, self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """In the order of the rows, which a judge knows; group_by_length would shuffle an evaluation as well."""
        return SequentialSampler(eval_dataset)

    def score(self) -> dict[str, float]:
        """What a recipe measures at each evaluation besides the loss; for a recipe to override."""
        return {}

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The metrics of the evaluation set, if there is one, and of `score`.

        Those of the last evaluation where no step was made since, as at the end of a training.
        """
        usual = not args and all(value is None for value in kwargs.values())
        step, known = self._evaluated
        if usual and step == self.state.global_step and not self.args.load_best_model_at_end:
            return dict(known)
        metrics = super().evaluate(*args, **kwargs) if self.eval_dataset is not None else {}
        with self.off_the_clock():
            scores = self.score()
        if scores:
            self.log(dict(scores))
        if usual:
            self._evaluated = self.state.global_step, metrics | scores
        return metrics | scores

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The loss of an evaluation is its mean over tokens; the Trainer's depends on how rows fall into batches."""
        self._eval_sums = torch.zeros(2, dtype=torch.double)
        with self.off_the_clock():
            output = super().evaluation_loop(*args, **kwargs)
        total, count = self.accelerator.reduce(self._eval_sums.to(self.args.device), "sum").tolist()
        return output._replace(metrics=(output.metrics or {}) | {"eval_loss": total / max(count, 1)})

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        mask = inputs.get("attention_mask")
        self.meters["tokens"] += int(inputs["input_ids"].numel() if mask is None else mask.count_nonzero())
        if self._encoder_decoder:
            self.meters["tokens"] += int(self.counted(inputs["labels"]))
        # With num_items_in_batch the loss is a sum over tokens, and a batch may be computed in parts. The labels of an
        # encoder-decoder have lengths of their own, even where both are as wide.
        whole = num_items_in_batch is None or self._encoder_decoder
        parts = [inputs] if whole else self.in_parts(inputs)
        loss = torch.stack([super(RunTrainer, self).training_step(model, p, num_items_in_batch) for p in parts]).sum()
        self.check_number(loss)
        return loss

    def in_parts(self, inputs: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """A batch by `split_by_length` on a CPU; several processes would have to agree on the number of parts."""
        alone = self.args.device.type == "cpu" and self.args.world_size == 1
        return split_by_length(inputs) if alone else [inputs]

    def check_number(self, loss: torch.Tensor) -> None:
        """Stop at a loss that is no number; raises InputError."""
        if not math.isfinite(loss.item()):
            raise self.no_number(f"the loss of step {self.state.global_step + 1} is {loss.item()}")

    def no_number(self, said: str) -> InputError:
        """What to do about it: which rows the step read, and what is left."""
        rows = self.rows_of_step()
        look = f"look at the rows of that step ({rows}) or lower" if rows else "lower"
        last = self.run.last_checkpoint() or "no checkpoint yet"
        return InputError(f"{said}: {look} --learning_rate; the last good state is {last}")

    def rows_of_step(self) -> str:
        """The rows of the present step of all processes, as their numbers in the data; "" of a stream."""
        rows: Any = self.train_dataset
        if isinstance(rows, IterableDataset):
            return ""
        accumulated = self.args.gradient_accumulation_steps
        loader: Any = self.callback_handler.train_dataloader
        batch = self._train_batch_size * self.args.world_size * accumulated
        epoch, step = divmod(self.state.global_step, math.ceil(len(loader) / accumulated))
        order = epoch_order(loader.get_sampler(), epoch)[step * batch : (step + 1) * batch]
        column = rows["row"] if "row" in rows.column_names else None
        return listed(sorted({column[i] if column is not None else i + 1 for i in order}))

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Continued from its last checkpoint, a Trainer takes one step more before it sees that it is at the end."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _get_output_dir(self, trial: Any) -> str:
        return self._run_dir or super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self.off_the_clock():
            self._save_whole(model, trial)

    def _save_whole(self, model: Any, trial: Any) -> None:
        if not finite(self.model):
            raise self.no_number(f"the weights after step {self.state.global_step} are no numbers")
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        final, writing = self.run.folder / name, self.run.folder / f".writing-{name}"
        if self.args.should_save:
            remove(writing)
        self.run.state.wait_for_everyone()
        self._run_dir = str(writing)
        with room_for(writing, self.run.last_checkpoint):
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._run_dir = None
            self._save_meters(writing / name)
        self.run.state.wait_for_everyone()
        if self.args.should_save and not final.exists():
            with room_for(writing, self.run.last_checkpoint):
                write_hashes(writing / name)
                sync(writing)
            (writing / name).rename(final)
            rotate_checkpoints(str(self.run.folder), self.args.save_total_limit, self.state.best_model_checkpoint)
        if self.args.should_save:
            remove(writing)
        self.run.state.wait_for_everyone()

    def _save_meters(self, checkpoint: Path) -> None:
        clock = self.meters["seconds"] + time.perf_counter() - self._train_started
        trl_metrics = getattr(self, "_metrics", None)
        rank_state = {
            "loss_since_log": self._tr_loss.item(),
            "last_logged": self._globalstep_last_logged,
            "meters": {**self.meters, "seconds": clock},
            "trl_metrics": {k: dict(v) for k, v in trl_metrics.items()} if trl_metrics else None,
            "trl_tokens": getattr(self, "_total_train_tokens", None),
        }
        write_json(checkpoint / f"{self.args.process_index}-{METERS}", rank_state)

    def _load_meters(self) -> None:
        """Called at the beginning of training, when the Trainer has loaded the rest of the checkpoint."""
        self._train_started = time.perf_counter()
        checkpoint = self.run.folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        saved = read_json(checkpoint / f"{self.args.process_index}-{METERS}")
        if saved is None:
            return
        self._tr_loss += saved["loss_since_log"]
        self._globalstep_last_logged = saved["last_logged"]
        self.meters = saved["meters"]
        trl_metrics: dict[str, dict] = getattr(self, "_metrics", {})
        for mode, values in (saved["trl_metrics"] or {}).items():
            trl_metrics[mode].update(values)
        if saved["trl_tokens"] is not None:
            self._total_train_tokens = saved["trl_tokens"]

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The run writes its own card, with the measured results; the trainers' cards would overwrite it."""

    def _send_telemetry(self) -> None:
        """TRL reports each trainer to the Hub; recipes report nothing."""

    @contextlib.contextmanager
    def off_the_clock(self) -> Iterator[None]:
        """What happens in this block, if during training, is no part of the seconds of training."""
        started = time.perf_counter()
        yield
        if self.is_in_train:
            self.meters["seconds"] -= time.perf_counter() - started

    def speed(self) -> dict[str, float]:
        """Seconds of training over all sessions, without evaluations and checkpoints, and tokens a second."""
        own = torch.tensor(self.meters["tokens"], device=self.args.device)
        tokens = float(self.accelerator.reduce(own, "sum").item())
        seconds = self.meters["seconds"]
        return {"seconds": round(seconds, 3), "tokens_per_second": round(tokens / max(seconds, 1e-9), 1)}
