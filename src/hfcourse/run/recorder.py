"""What happens between the steps of a training: metrics.jsonl, progress, and a stop after a signal."""

import sys
import time
from collections.abc import Sequence
from itertools import islice
from statistics import mean, pstdev
from typing import Any

from hfcourse.run.record import metric_line, write_metrics

from tqdm.auto import tqdm
from transformers import TrainerCallback


# A loss is compared with this many log lines before it.
WINDOW = 10
SPIKE = 6.0


class Recorder(TrainerCallback):
    """Writes metrics.jsonl, shows progress, and turns a signal into a checkpoint and a stop."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self.path = trainer.run.folder / "metrics.jsonl"
        self.bar: tqdm | None = None
        self.began, self.first = time.monotonic(), 0

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self.trainer._load_meters()
        if state.is_world_process_zero:
            write_metrics(self.path, state.log_history)
            # Its default follows the log level, which recipes lower: only what was given counts.
            if sys.stderr.isatty() and not self.trainer.run.given.get("disable_tqdm"):
                self.bar = tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True, unit="step")
        if state.global_step == 0:
            self.trainer.run.measure_before()
        self.began, self.first = time.monotonic(), state.global_step

    def on_epoch_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        collator = getattr(self.trainer.data_collator, "data_collator", self.trainer.data_collator)
        if hasattr(collator, "set_epoch"):
            collator.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)
        if self.trainer.run.stop_requested():
            control.should_save = control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if not state.is_world_process_zero or not self.trainer.is_in_train:
            return
        line = metric_line(state.log_history[-1])
        if line is None:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line)
        if "loss" in logs:
            latest = islice((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), WINDOW + 1)
            if (said := spike([*latest][::-1])) is not None:
                print(f"step {state.global_step}  {said}", file=sys.stderr, flush=True)
        shown = {k: v for k, v in logs.items() if k.endswith(("loss", "accuracy", "perplexity", "f1")) or "truth" in k}
        text = "  ".join(f"{k} {v:.4g}" for k, v in shown.items() if isinstance(v, float))
        if self.bar is not None:
            self.bar.set_postfix_str(text)
        elif text:
            done, left = state.global_step - self.first, state.max_steps - state.global_step
            seconds = (time.monotonic() - self.began) / max(done, 1) * left
            clock = f"  {duration(seconds)} left" if done else ""
            print(f"step {state.global_step}/{state.max_steps}  {text}{clock}", file=sys.stderr, flush=True)

    def on_train_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self.trainer.meters["seconds"] += time.perf_counter() - self.trainer._train_started
        if self.bar is not None:
            self.bar.close()


def spike(losses: Sequence[float]) -> str | None:
    """A sentence where the last loss stands far above the WINDOW before it: SPIKE of their standard deviations, and
    a tenth, over their mean."""
    before = losses[-WINDOW - 1 : -1]
    if len(before) < WINDOW or losses[-1] <= mean(before) * 1.1 + SPIKE * pstdev(before):
        return None
    return f"the loss rose to {losses[-1]:.4g}, its mean over {WINDOW} lines before was {mean(before):.4g}"


def duration(seconds: float) -> str:
    """1:05, or 2:01:05."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
