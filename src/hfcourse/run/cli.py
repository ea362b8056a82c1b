"""How a recipe starts and ends: from a command line to a run folder, from an error to one sentence and a code."""

import contextlib
import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from hfcourse.errors import InputError
from hfcourse.run.arguments import Parser
from hfcourse.run.checkpoints import disk_problem
from hfcourse.run.hub import PushError
from hfcourse.run.run import Finished, Run
from hfcourse.run.show import leave
from hfcourse.run.signals import Interrupted, Signals

from accelerate import PartialState
from datasets.utils import disable_progress_bars
from transformers import TrainingArguments, set_seed
from transformers.utils import logging as transformers_logging


def recipe(main: Callable[[], None]) -> None:
    """Run `main`; an error that the user can mend ends in one sentence on stderr.

    Exit codes: 0 done (or shown), 1 a push that failed after training, 2 bad input, 130 SIGINT, 143 SIGTERM.
    """
    gc.freeze()  # the libraries' modules stay: no collection has to walk them, nor the one at the very end
    try:
        main()
    except Finished:
        return
    except InputError as e:
        leave(str(e), 2)
    except PushError as e:
        leave(str(e), 1)
    except Interrupted as e:
        leave(str(e), e.exit_code)
    except OSError as e:
        if e.filename is None and disk_problem(e) is None:
            raise
        leave(f"{e.filename or 'what the run writes'}: {e.strerror}", 2)


@contextlib.contextmanager
def start(name: str, *dataclasses: type, argv: list[str] | None = None) -> Iterator[Run]:
    """Parse the arguments, seed everything, and open the run folder of recipe `name` for the block.

    `run.arguments` holds the filled dataclasses in the given order: the recipe's own first (a RunArguments), and one
    TrainingArguments among them. Raises InputError for bad input; `Finished` where there is nothing left to do.
    """
    signals = Signals()
    signals.install()
    parser = Parser(*dataclasses, recipe=name)
    _quiet()
    arguments = parser.parse(list(sys.argv[1:] if argv is None else argv))
    training = next(a for a in arguments if isinstance(a, TrainingArguments))
    state = _world(training)
    set_seed(training.seed)
    run = Run(name, Path(training.output_dir or ""), arguments, parser.given, state, signals)
    with run.opened():
        yield run
    state.destroy_process_group()


def _world(training: TrainingArguments) -> PartialState:
    """The processes of this run; refuses a launcher's several processes that do not see one another."""
    if training.device.type == "cpu" and getattr(training, "bf16", False):
        warnings.warn("bf16 on this CPU can be many times slower than fp32: --bf16 false", stacklevel=2)
    training.dataloader_pin_memory = training.dataloader_pin_memory and training.device.type != "cpu"
    state = PartialState()
    # `accelerate launch` names a master where it was asked for several processes, and on a CPU starts one (1.15).
    asked = os.environ.get("WORLD_SIZE") or ("several" if "MASTER_ADDR" in os.environ else "1")
    if asked != str(state.num_processes):
        raise InputError(
            f"the launcher was asked for {asked} processes but each of them sees {state.num_processes}, so they would "
            "train apart: on a CPU use make NPROC=n, or ACCELERATE_USE_CPU=true torchrun --nproc_per_node n"
        )
    return state


def _quiet() -> None:
    """The libraries' notes that every run repeats are left out; their errors and warnings about this run are not."""
    transformers_logging.set_verbosity_error()
    # TRL and peft still use the old name of activation_checkpointing, in every run.
    warnings.filterwarnings("ignore", ".* is deprecated and will be removed in v6", FutureWarning)
    transformers_logging.disable_progress_bar()
    if not sys.stderr.isatty():
        disable_progress_bars()
    for library in ("datasets", "trl", "accelerate", "torch.distributed", "httpx", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
