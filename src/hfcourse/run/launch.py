"""`python -m hfcourse.run.launch [--nproc N] [--launcher FILE] recipes/x.py ARGS...`: start as this machine can.

One process is started as it is. Several on a CPU need torchrun with ACCELERATE_USE_CPU, since `accelerate launch`
starts one process there, or several that do not see one another (accelerate 1.15); on accelerators, `accelerate
launch` does it all. A run that this very command finished before is shown at once, before anything heavy is imported.
"""

import argparse
import os
import sys
from pathlib import Path

from hfcourse.run.files import read_json
from hfcourse.run.show import finished_results, leave, show_results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hfcourse.run.launch", allow_abbrev=False)
    parser.add_argument("--nproc", type=int, default=1, help="processes on this machine")
    parser.add_argument("--launcher", help="a configuration of accelerate launch")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.launcher and not Path(options.launcher).is_file():
        leave(f"{options.launcher} does not exist; there are {_names(Path('configs/accelerate'))}", 2)
    if _show_finished(options.recipe, options.arguments):
        return
    command = [str(options.recipe), *options.arguments]
    if options.launcher:
        command = ["-m", "accelerate.commands.launch", "--config_file", options.launcher, *command]
    elif options.nproc > 1:
        command = [*_several(options.nproc), *command]
    os.execv(sys.executable, [sys.executable, *command])


def _several(nproc: int) -> list[str]:
    import torch

    if torch.cuda.is_available():
        if nproc > torch.cuda.device_count():
            leave(f"NPROC={nproc}, but this machine has {torch.cuda.device_count()} GPUs", 2)
        return ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(nproc)]
    os.environ["ACCELERATE_USE_CPU"] = "true"
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // nproc, 1)))
    return ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(nproc)]


def _show_finished(recipe: Path, arguments: list[str]) -> bool:
    """Show the run if its folder is finished and came from this very command, with a config not edited since."""
    if len(arguments) < 2 or arguments[0] != "--config" or any(a.startswith("--fresh") for a in arguments):
        return False
    config = Path(arguments[1])
    folder = Path("runs", recipe.stem, config.stem)
    results = finished_results(folder)
    environment = read_json(folder / "environment.json", {})
    if results is None or environment.get("command") != [recipe.name, *arguments] or not config.is_file():
        return False
    if config.stat().st_mtime > (folder / "config.yaml").stat().st_mtime:
        return False
    show_results(results, folder)
    return True


def _names(folder: Path) -> str:
    return ", ".join(str(path) for path in sorted(folder.glob("*.yaml"))) or "none"


if __name__ == "__main__":
    main()
