"""What a run leaves behind for its readers: environment.json, metrics.jsonl, curves.png."""

import json
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import hfcourse
from hfcourse.run.files import staged, write_text

import numpy as np
import torch
from accelerate import PartialState


LIBRARIES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "huggingface_hub")
# Seconds differ from run to run; what metrics.jsonl holds must not, so that a resumed run equals an uninterrupted one.
CLOCKS = ("_runtime", "_time", "_per_second", "_flos")


def environment(state: PartialState, seed: int) -> dict[str, Any]:
    """Versions, commit, command, seed, machine and devices."""
    cuda = torch.cuda.is_available()
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [Path(sys.argv[0]).name, *_without_token(sys.argv[1:])],
        "hfcourse": hfcourse.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "platform": f"{platform.system()} {platform.machine()}",
        "processes": state.num_processes,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else ["cpu"],
        "threads": torch.get_num_threads(),
        "seed": seed,
    }


def what_changed(began: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What of two environments makes other numbers of the same arguments: "2 processes, not 1" and the like."""
    changed = []
    for name, several in (("process", "es"), ("thread", "s")):
        count = now[name + several]
        if (before := began.get(name + several)) != count:
            changed.append(f"{count} {name}{several if count > 1 else ''}, not {before}")
    for name in ("devices", "platform", "python"):
        if began.get(name) != now[name]:
            changed.append(f"{name} {now[name]}, not {began.get(name)}")
    older = began.get("libraries", {})
    other = {name: version for name, version in now["libraries"].items() if older.get(name) != version}
    return changed + [f"{name} {version}, not {older.get(name)}" for name, version in other.items()]


def _without_token(argv: list[str]) -> list[str]:
    hidden = [a.startswith("--hub_token=") or (i > 0 and argv[i - 1] == "--hub_token") for i, a in enumerate(argv)]
    return ["(hidden)" if h else a for a, h in zip(argv, hidden, strict=True)]


def git_commit() -> str | None:
    """The commit of the checkout that hfcourse runs from, with `+` where files were changed; None outside one."""
    git = ["git", "-C", str(Path(hfcourse.__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed.strip() else "")


def peak_memory() -> float:
    """The most memory in MB that this process ever held, of the GPU where there is one."""
    if gpu := torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0:
        return gpu / 2**20
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)


def metric_line(entry: dict[str, Any]) -> str | None:
    """One log entry as a line of metrics.jsonl, without clocks; None where nothing else is in it.

    Keys are sorted, as they are in the history that a checkpoint brings back.
    """
    kept = {k: entry[k] for k in sorted(entry) if not k.endswith(CLOCKS) and k != "train_loss"}
    return json.dumps(kept, ensure_ascii=False) + "\n" if kept.keys() - {"step", "epoch"} else None


def write_metrics(path: Path, history: list[dict[str, Any]]) -> None:
    """metrics.jsonl from a whole log history: steps, losses, rates and scores, no clock."""
    # The last step's evaluation may have been measured twice, as an evaluation of training and as the final one.
    write_text(path, "".join(dict.fromkeys(filter(None, map(metric_line, history)))))


def draw_pictures(folder: Path, history: list[dict[str, Any]], curves: dict[str, Any]) -> None:
    """curves.png with the panels of `plot_curves`, or each of `curves` {file name: what draws it into a path}."""
    drawn = {name: draw for name, draw in curves.items() if callable(draw)}
    for name, draw in drawn.items():
        with staged(folder / name) as path:
            draw(path)
    if not drawn:
        plot_curves(folder / "curves.png", history, curves)


def plot_curves(path: Path, history: list[dict[str, Any]], panels: dict[str, list[str]]) -> None:
    """A picture with one panel for each of `panels` {title: metric names} that has values, over optimiser steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    series = {
        title: {name: [(e["step"], e[name]) for e in history if name in e] for name in names}
        for title, names in panels.items()
    }
    series = {title: lines for title, lines in series.items() if any(lines.values())}
    figure, axes = pyplot.subplots(1, max(len(series), 1), figsize=(5.5 * max(len(series), 1), 4), squeeze=False)
    for ax, (title, lines) in zip(axes[0], series.items(), strict=False):
        drawn = [(name, np.array(points)) for name, points in lines.items() if points]
        for number, (name, points) in enumerate(drawn):
            others = [other for _, other in drawn[number + 1 :] if other.shape == points.shape]
            # A line that a later one covers is drawn wide, so that both are seen.
            style = {"linewidth": 6, "alpha": 0.4} if any(np.allclose(points, o, rtol=1e-3) for o in others) else {}
            ax.plot(*points.T, label=name, marker="o" if len(points) < 30 else None, markersize=3, **style)
        ax.set(title=title, xlabel="optimiser step")
        if title == "loss" and all(value > 0 for points in lines.values() for _, value in points):
            ax.set_yscale("log")  # a loss falls by orders of magnitude, and over-fitting shows in the last of them
        ax.grid(alpha=0.3)
        ax.legend()
    figure.tight_layout()
    with staged(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)
