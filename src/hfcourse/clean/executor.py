"""Runs phases: on this machine, task by task or by several processes, or by Slurm on many."""

import contextlib
import copy
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from hfcourse.clean.pipeline import Phase
from hfcourse.errors import InputError

from datatrove.executor.base import DistributedEnvVars, PipelineExecutor
from loguru import logger


LOGS, LOG = "logs", "log.txt"
# Between two looks at what Slurm has done.
SECONDS = 10.0


class Local(PipelineExecutor):
    """The tasks of a phase on this machine. A task that was done before is not done again.

    datatrove's own starts a manager process, which outlives a run that is killed, and workers that import the recipe
    anew; it tells what is done in a log alone.
    """

    def __init__(self, phase: Phase, logs: Path):
        super().__init__(phase.steps, str(logs / phase.name.replace(" ", "_")), skip_completed=True)
        self.tasks, self.log = phase.tasks, logs / LOG

    @property
    def world_size(self) -> int:
        return self.tasks

    def run(self, workers: int = 1, done: Callable[[], object] = lambda: None) -> None:  # type: ignore[override]
        """Do what is left to do; `done` is called after each task, also for those that were done before.

        Raises InputError where a worker dies.
        """
        left = set(self.get_incomplete_ranks())
        for _ in range(self.tasks - len(left)):
            done()
        if workers == 1 or len(left) == 1:
            for task in sorted(left):
                self.do(task)
                done()
            return
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(workers, max(len(left), 1)), context, initializer=_default_signals) as pool:
            try:
                futures = [pool.submit(self.do, task) for task in sorted(left)]
                for future in as_completed(futures):
                    future.result()
                    done()
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
                if isinstance(error, BrokenProcessPool):
                    raise InputError(
                        f"a worker died, perhaps for want of memory (see {self.log}): fewer --workers need less"
                    ) from error
                raise

    def do(self, task: int) -> None:
        """One task, with what datatrove says of it in the log. Steps keep counts, so each task has its own."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
            try:
                copy.deepcopy(self)._run_for_rank(task, local_rank=1)
            finally:
                logger.remove()  # it would go on writing to a file that is closed

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        unknown = dict.fromkeys(("datatrove_cpus_per_task", "datatrove_mem_per_cpu", "datatrove_gpus_on_node"), "-1")
        return DistributedEnvVars(datatrove_node_ips="localhost", datatrove_executor="LOCAL", **unknown)  # type: ignore[typeddict-item]


def _default_signals() -> None:
    """A worker that is told to stop stops; the run's own handler is for the main process."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)


def run_locally(phases: Sequence[Phase], logs: Path, workers: int, done: Callable[[str], None]) -> None:
    """Run all phases; `done` is called with the name of a phase after each of its tasks."""
    for phase in phases:
        Local(phase, logs).run(workers, partial(done, phase.name))


def run_on_slurm(
    phases: Sequence[Phase], logs: Path, options: Mapping[str, Any], done: Callable[[str], None], wait: float = SECONDS
) -> None:
    """Submit each phase to Slurm behind the one before, and wait until all tasks are done.

    `options` are arguments of datatrove's SlurmPipelineExecutor: partition, time and so on. Tasks that were done
    before are not submitted again. What fails stands in Slurm's logs below `logs`: cancel what waits for it, stop
    this, and the same command submits what is missing. Raises InputError for options that are none.
    """
    from datatrove.executor import SlurmPipelineExecutor

    executors: list[SlurmPipelineExecutor] = []
    try:
        for phase in phases:
            name = phase.name.replace(" ", "_")
            before = executors[-1] if executors else None
            arguments = {"job_name": f"clean-{name}", "logging_dir": str(logs / name)} | dict(options)
            executors.append(SlurmPipelineExecutor(phase.steps, phase.tasks, depends=before, **arguments))
    except TypeError as error:
        raise InputError(f"--slurm: {error}; see the arguments of datatrove's SlurmPipelineExecutor") from error
    executors[-1].run()
    seen = [0] * len(phases)
    while True:
        for i, (phase, executor) in enumerate(zip(phases, executors, strict=True)):
            finished = phase.tasks - len(executor.get_incomplete_ranks(skip_completed=True))
            for _ in range(finished - seen[i]):
                done(phase.name)
            seen[i] = finished
        if seen == [phase.tasks for phase in phases]:
            return
        time.sleep(wait)
