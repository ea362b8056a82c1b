"""One run folder from its opening to its finished results."""

import contextlib
import fcntl
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hfcourse.errors import InputError
from hfcourse.run import plan
from hfcourse.run.card import write_card
from hfcourse.run.checkpoints import room_for, set_damaged_aside
from hfcourse.run.files import read_json, remove, write_json, write_text
from hfcourse.run.hub import PushError, check_write, push_folder
from hfcourse.run.record import draw_pictures, environment, peak_memory, what_changed, write_metrics
from hfcourse.run.show import finished_results, show_results, show_samples
from hfcourse.run.signals import Interrupted, Signals

import torch
import yaml
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from rich.console import Console
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint


T = TypeVar("T")
BEFORE = "before.json"
# Where the processes of an evaluation write down what is scored.
JOURNALS = "scored-*.jsonl"
# Arguments that change how a run is watched or published, not what it computes: they may differ when a run goes on.
NEUTRAL = {
    "dry_run", "fresh", "output_dir", "push_to_hub", "hub_model_id", "hub_private_repo", "hub_token", "disable_tqdm",
    "report_to", "run_name", "save_total_limit", "dataloader_num_workers", "dataset_num_proc",
}  # fmt: skip


class Finished(Exception):
    """There is nothing left to do: the run was finished before and has been shown."""


class Run:
    """The folder of one run: plan, lock, resume, record, card, push. Made by `hfcourse.run.cli.start`."""

    def __init__(self, name: str, folder: Path, arguments: tuple, given: dict, state: PartialState, signals: Signals):
        self.name, self.folder, self.arguments, self.given = name, folder, arguments, given
        self.state, self.signals = state, signals
        self.own = arguments[0]
        self.training: TrainingArguments = next(a for a in arguments if isinstance(a, TrainingArguments))
        self.push = self.training.push_to_hub
        self.repo: str | None = None
        self._measure: Callable[[], dict] = dict
        # The Trainer would push unfinished checkpoints and create the repository by itself: the run does it, whole.
        self.training.push_to_hub = False
        # The Trainer replaces a loss that is no number by the average of the others; RunTrainer stops instead.
        self.training.logging_nan_inf_filter = False
        self.console = Console(stderr=False, quiet=not state.is_main_process, highlight=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Lock the folder and compare it with the arguments; shows a finished run and raises Finished."""
        if self.own.dry_run:
            yield
            return
        lock = self.on_main(self._open)
        try:
            yield
        finally:
            if lock is not None and self.state.is_main_process:
                os.close(lock)

    def _open(self) -> int:
        if self.own.fresh and self.folder.exists():
            aside = next(
                p for i in range(1, 10**6) if not (p := self.folder.with_name(f"{self.folder.name}.old-{i}")).exists()
            )
            self.folder.rename(aside)
            self.console.print(f"the earlier run was moved to {aside}")
        self._same_arguments()
        if (results := finished_results(self.folder)) is not None:
            show_results(results, self.folder, self.console)
            self._check_push()
            self._publish()
            raise Finished
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / "config.yaml").exists():
            raise InputError(f"{self.folder} is not empty and no run of a recipe: give another --output_dir")
        self._check_push()
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 20).decode() or "?"
            raise InputError(f"{self.folder} is in use by process {pid}; give this run another --output_dir") from None
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        kept = {k: v for k, v in self.given.items() if k not in NEUTRAL}
        header = "# What this run was given; the rest are its libraries' defaults (versions: environment.json).\n"
        started = self._started()
        if not started:
            write_text(self.folder / "config.yaml", header + yaml.safe_dump(kept, sort_keys=True, allow_unicode=True))
        now = environment(self.state, self.training.seed)
        first = read_json(self.folder / "environment.json", now) if started else now
        if first is not now:
            if changed := what_changed(first, now):
                said = "this run goes on where more than the clock has changed, so its end may be another one: "
                self.console.print(said + ", ".join(changed), soft_wrap=True)
            first.setdefault("resumed", []).append({k: v for k, v in now.items() if first.get(k) != v})
        for sentence in set_damaged_aside(self.folder):
            self.console.print(sentence, soft_wrap=True)
        write_json(self.folder / "environment.json", first)
        return lock

    def _started(self) -> bool:
        """Whether the folder holds more than the arguments of a run that stopped before it measured anything."""
        names = (BEFORE, "metrics.jsonl", "results.json", JOURNALS)
        return any(any(self.folder.glob(name)) for name in names)

    def _same_arguments(self) -> None:
        path = self.folder / "config.yaml"
        if not (path.exists() and self._started()):
            return
        before = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        now = {k: v for k, v in self.given.items() if k not in NEUTRAL}
        different = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        if different:
            key = different[0]
            raise InputError(
                f"{self.folder} holds a run with {key} = {before.get(key, 'the default')}, not "
                f"{now.get(key, 'the default')}: give another --output_dir, or --fresh to move it aside"
            )

    def on_main(self, act: Callable[[], T]) -> T:
        """Run `act` on the main process; every process gets its value, or raises what it raised."""
        outcome: list[Any] = [None, None]
        if self.state.is_main_process:
            try:
                outcome[0] = act()
            except (InputError, PushError, Finished, OSError) as e:
                outcome[1] = e
        if self.state.num_processes > 1:
            broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def stop_requested(self) -> bool:
        """Whether any process got a signal: all must agree on the step after which they stop."""
        asked = self.signals.received is not None
        if self.state.num_processes == 1:
            return asked
        flag = torch.tensor(int(asked), device=self.state.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        if flag.item() and self.signals.received is None:
            self.signals.received = 15
        return bool(flag.item())

    def last_checkpoint(self) -> str | None:
        """The newest complete checkpoint, or None."""
        return get_last_checkpoint(str(self.folder)) if self.folder.is_dir() else None

    def plan(self, trainer: Trainer, tokenizer: Any, model_name: str, data: dict[str, str | list[str]]) -> None:
        """Print what is about to happen. A dry run shows two batches as well and raises Finished."""
        lines = {
            "model": plan.describe_model(trainer.model, model_name),
            **data,
            "steps": plan.describe_steps(trainer),
            "device": plan.describe_device(trainer),
        }
        if checkpoint := (None if self.own.dry_run else self.last_checkpoint()):
            lines["resume"] = f"from {checkpoint}"
        self.announce(lines, lambda: plan.show_batches(trainer, tokenizer, self.console))

    def announce(self, lines: dict[str, str | list[str]], show: Callable[[], None]) -> None:
        """Print a plan. A dry run calls `show` as well, on the main process, and raises Finished."""
        plan.show_plan(f"{self.name} -> {self.folder}", lines, self.console)
        if self.own.dry_run:
            if self.state.is_main_process:
                show()
            raise Finished

    def train(self, trainer: Trainer, measure: Callable[[], dict]) -> dict:
        """Train from the last checkpoint, if there is one, to the end; raises Interrupted after a signal.

        Returns what `measure` gave before the first step, in this session or in the one that this one continues.
        """
        self._measure = measure
        self.signals.training = True
        trainer.train(resume_from_checkpoint=self.last_checkpoint())
        self.signals.training = False
        if self.signals.received is not None:
            raise Interrupted(self.signals.received)
        return self.on_main(lambda: read_json(self.folder / BEFORE))

    def measure_before(self) -> None:
        """Called when training begins at step 0: only then have DDP, FSDP or DeepSpeed wrapped the model.

        accelerate would take a model that was evaluated earlier for one that is wrapped already.
        """
        self.signals.training = False
        before = self._measure()
        self.on_main(lambda: write_json(self.folder / BEFORE, before))
        self.signals.training = True
        # Measuring draws random numbers, and a run that goes on from a checkpoint does not measure.
        set_seed(self.training.seed)

    def finish(
        self,
        trainer: Any,
        metrics: dict[str, float],
        curves: dict[str, list[str]] | dict[str, Callable[[Path], None]],
        card: dict[str, Any] | None = None,
    ) -> None:
        """Write weights, tokenizer, curves, card and, last of all, results.json; show them; push if asked to.

        `curves`: panels of curves.png for `plot_curves`; or, by the name of each picture, what draws it into a path.
        """
        writing = self.folder / ".writing-final"
        self.on_main(lambda: remove(writing))
        with room_for(writing, self.last_checkpoint):
            trainer.save_model(str(writing))
        speed, history = trainer.speed(), trainer.state.log_history

        def write() -> None:
            (writing / "training_args.bin").unlink(missing_ok=True)  # a pickle; config.yaml says the same
            for file in sorted(writing.iterdir()):
                if file.is_dir():  # can't replace the one that a session which was stopped here left
                    remove(self.folder / file.name)
                os.replace(file, self.folder / file.name)
            writing.rmdir()
            write_metrics(self.folder / "metrics.jsonl", history)
            draw_pictures(self.folder, history, curves)

        self.conclude({"metrics": metrics, "steps": trainer.state.global_step, **speed}, write, card or {})

    def conclude(self, measured: dict[str, Any], write: Callable[[], None], card: dict[str, Any]) -> None:
        """Call `write` on the main process, then write card and results.json; show them; push if asked to.

        `measured`: metrics, seconds, how many steps or requests, and how many a second.
        """
        results = {
            "recipe": self.name,
            "config": self.folder.name,
            **measured,
            "peak_memory_mb": round(peak_memory(), 1),
            "finished": True,
        }

        def write_all() -> None:
            write()
            write_card(self.folder, results, self.repo, card)
            write_json(self.folder / "results.json", results)
            if card.get("samples"):
                show_samples(card["samples"], self.console)
            show_results(results, self.folder, self.console)
            self._publish()

        self.on_main(write_all)

    def _check_push(self) -> None:
        if self.push:
            name = self.training.hub_model_id or f"{self.name}-{self.folder.name}"
            self.repo = check_write(name, private=self.training.hub_private_repo, token=self.training.hub_token)

    def _publish(self) -> None:
        if self.repo is None:
            return
        private, token = self.training.hub_private_repo, self.training.hub_token
        title = f"{self.name} {self.folder.name}"
        try:
            url = push_folder(self.folder, self.repo, message=title, private=private, token=token)
        except PushError as e:
            later = f"make push RUN={shlex.quote(str(self.folder))} REPO={shlex.quote(self.repo)}"
            raise PushError(f"{e}; the run is whole in {self.folder}; push it later with: {later}") from e
        self.console.print(f"pushed to {url}", soft_wrap=True)
