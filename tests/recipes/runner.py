"""Runs recipes as their command line does, each in a process of its own, without the ten seconds of imports.

A fork server imports the libraries once (preload.py); a run is a fork of it with its own arguments, environment,
folder, stdout and stderr. No run can reach beyond this machine, by an audit hook.
"""

import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock


ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem for path in ROOT.glob("recipes/*.py"))
# A recipe that trains nothing says so, by refusing what only training would read.
EVALUATIONS = [name for name in RECIPES if "refuse_training(" in (ROOT / "recipes" / f"{name}.py").read_text()]
TRAININGS = [name for name in RECIPES if name not in EVALUATIONS]
# In the environment of a run: no file that it writes may have more bytes.
LARGEST_FILE = "TEST_LARGEST_FILE"
LOOPBACK = {None, "", b"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}


def run_program(folder: Path, *command: object) -> None:
    """`python COMMAND...` in `folder`, as a process of its own; raises CalledProcessError where it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, *map(str, command)], cwd=folder, env=environment, check=True)


@dataclass
class Outcome:
    """How a run ended: exit code (negative: the signal that killed it) and what it printed."""

    code: int | None
    out: str
    err: str


@dataclass
class Running:
    """A run that has been started."""

    process: multiprocessing.Process
    log: Path

    def wait(self, timeout: float = 120) -> Outcome:
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"not done after {timeout} s: {self.log.with_suffix('.err').read_text()}")
        return Outcome(
            self.process.exitcode, self.log.with_suffix(".out").read_text(), self.log.with_suffix(".err").read_text()
        )

    def when(self, condition: Callable[[], bool], signum: int, timeout: float = 60) -> bool:
        """Send `signum` at the moment when `condition` holds; False if the run ended before it ever did.

        The run is stopped while it is asked, so that nothing passes between the answer and the signal.
        """
        until = time.monotonic() + timeout
        while self.process.is_alive():
            assert time.monotonic() < until, f"not there after {timeout} s"
            if condition():
                self._send(signal.SIGSTOP)
                if condition():
                    if signum != signal.SIGSTOP:
                        self._send(signum)
                        self._send(signal.SIGCONT)
                    return True
                self._send(signal.SIGCONT)
            time.sleep(0.0005)
        return False

    def _send(self, signum: int) -> None:
        os.kill(self.process.pid, signum)


class Runner:
    """Starts recipes in `folder`; `environment` is there before any library is imported."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.count = folder, 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["preload"])
        paths = os.pathsep.join([str(Path(__file__).parent), str(ROOT / "src")])
        with mock.patch.dict(os.environ, environment | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}):
            first = self._context.Process(target=int)
            first.start()
        first.join()

    def start(self, recipe: str, *arguments: object, env: dict[str, str] | None = None) -> Running:
        """Start `python recipes/<recipe>.py ARGUMENTS...` with `env` added to its environment."""
        self.count += 1
        log = self.folder / "logs" / str(self.count)
        log.parent.mkdir(exist_ok=True)
        for suffix in (".out", ".err"):  # a run may be killed before it has opened them
            log.with_suffix(suffix).touch()
        target = str(ROOT / "recipes" / f"{recipe}.py")
        process = self._context.Process(
            target=_run, args=(target, [str(a) for a in arguments], env or {}, self.folder, log), daemon=True
        )
        process.start()
        return Running(process, log)

    def run(self, recipe: str, *arguments: object, env: dict[str, str] | None = None) -> Outcome:
        """Run a recipe to its end."""
        return self.start(recipe, *arguments, env=env).wait()


def _run(recipe: str, arguments: list[str], env: dict[str, str], folder: Path, log: Path) -> None:
    os.setpgrp()
    os.chdir(folder)
    for suffix, descriptor in ((".out", 1), (".err", 2)):
        os.dup2(os.open(log.with_suffix(suffix), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND), descriptor)
    os.environ.update(env)
    if LARGEST_FILE in env:  # writing beyond it fails in the middle of a file, as on a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(env[LARGEST_FILE]), resource.RLIM_INFINITY))
    sys.addaudithook(_only_loopback)
    sys.argv = [recipe, *arguments]
    runpy.run_path(recipe, run_name="__main__")


def _only_loopback(event: str, arguments: tuple) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in LOOPBACK:
        raise RuntimeError(f"a run on local data reached out to {host!r}")
