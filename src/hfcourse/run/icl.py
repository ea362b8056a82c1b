"""An in-context evaluation: tasks and their rows, groups of prompts that share demonstrations, their scores."""

import difflib
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.texts import Texts
from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import (
    CONDITIONS,
    NEEDS_TEXT,
    NONE,
    Unrelated,
    draw_order,
    find_words,
    group_items,
    show,
)
from hfcourse.icl.encoder_decoder import EncoderDecoder
from hfcourse.icl.engine import Causal, Engine, OneByOne, Query, score_alone
from hfcourse.icl.prompts import Encoded, Encoder, Pair, check_labels, content_free, of, write_demonstrations
from hfcourse.icl.report import is_main
from hfcourse.icl.scoring import read_names
from hfcourse.icl.task import Example, Task, TaskRows, examples, read_task
from hfcourse.run.arguments import read_yaml
from hfcourse.run.evaluation import Journal, Progress
from hfcourse.run.plan import describe_rows
from hfcourse.run.run import Run

import torch


# An engine's scores may differ by so much, in nats a token, from those of the plain model.
CLOSE = {torch.float32: 1e-3}
ROUGH = 0.1
# Conditions that are measured at other numbers of demonstrations as well.
CURVES = ("gold", "random")


@dataclass
class Loaded:
    """A task with its rows: `items` are asked, `pool` is what demonstrations are drawn from."""

    task: Task
    items: list[Example]
    pool: list[Example]
    notes: list[str]


class Cut(NamedTuple):
    """Which part of an evaluation a group belongs to. `channel`: P(input | label)."""

    condition: str
    k: int
    seed: int
    channel: bool


@dataclass
class Group:
    """Items of one task behind the same demonstrations; `pairs` may go on with inputs that say nothing.

    `missing`: demonstrations that were asked for and that neither the pool nor the context has room for.
    """

    loaded: Loaded
    cut: Cut
    members: list[int]
    chosen: tuple[Example, ...]
    demonstrations: list[str]
    pairs: list[list[Pair]]
    encoded: Encoded
    missing: int

    @cached_property
    def key(self) -> str:
        """Which group it is, and a digest of its tokens: other data under the same name is noticed."""
        digest = hashlib.blake2b(repr(self.encoded).encode(), digest_size=6).hexdigest()
        return f"{self.loaded.task.name}/{'/'.join(map(str, self.cut))}/{self.members[0]}/{digest}"


def read_cuts(conditions: str, shots: int, curve: str, seeds: str, rules: Sequence[str]) -> list[Cut]:
    """Every condition with every seed and number of demonstrations, by `--conditions` and so on, each pass once.

    Without demonstrations there is one seed; other numbers of them than `shots` are for gold and random labels.
    """
    names = read_names(conditions, (NONE, *CONDITIONS), "--conditions")
    if shots < 1:
        raise InputError(f"--shots is a number of demonstrations from 1 on, not {shots}")
    counts, drawn = [shots, *read_numbers(curve, "--curve")], read_numbers(seeds, "--seeds")
    if not names or not drawn:
        raise InputError("--conditions and --seeds name at least one each")
    found = []
    for name in names:
        several = name in CURVES
        for k in [0] if name == NONE else sorted(set(counts)) if several else [shots]:
            for seed in drawn[:1] if name == NONE else drawn:
                # Exact match comes from P(label | input), whatever the rule.
                found.append(Cut(name, k, seed, False))
                if rules[:1] == ["channel"] or ("channel" in rules and is_main(name, k, shots)):
                    found.append(Cut(name, k, seed, True))
    return found


def read_numbers(text: str, option: str) -> list[int]:
    """[1, 4] of "1,4"."""
    parts = [part.strip() for part in str(text).split(",") if part.strip()]
    if wrong := [part for part in parts if not part.isdecimal()]:
        raise InputError(f"{option} takes whole numbers with commas, not '{wrong[0]}'")
    return list(dict.fromkeys(map(int, parts)))


def load_tasks(names: str, data: DataArguments, seed: int) -> list[Loaded]:
    """The tasks of files, given as paths with commas; `data.dataset_name` stands in for the data of a single one."""
    paths = [Path(part.strip()) for part in names.split(",") if part.strip()]
    if not paths:
        raise InputError("--tasks is missing: files of configs/icl/tasks, with commas")
    if data.dataset_name and len(paths) > 1:
        raise InputError(f"--dataset_name goes with one task, not with {len(paths)}")
    if double := [name for name, count in Counter(path.stem for path in paths).items() if count > 1]:
        raise InputError(f"--tasks has two tasks named {double[0]}")
    return [_load_task(path, data, seed) for path in paths]


def _load_task(path: Path, data: DataArguments, seed: int) -> Loaded:
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        raise InputError(f"task {path} does not exist" + (f"; did you mean {path.parent / near[0]}?" if near else ""))
    task = read_task(path.stem, read_yaml(path), str(path))
    own = {} if data.dataset_name else {
        "dataset_name": task.dataset_name,
        "dataset_config": task.dataset_config,
        "dataset_revision": task.dataset_revision,
        "dataset_train_split": task.train_split,
        "dataset_test_split": task.test_split,
    }  # fmt: skip
    found = load_data(DataArguments(**{**vars(data), **own}), TaskRows(task), seed)
    if found.test is None:
        raise InputError(f"task {task.name}: {found.train.place.rsplit(',', 1)[0]} has no rows to ask about")
    items, pool = examples(found.test.dataset, "test"), examples(found.train.dataset, "train")
    counts = Counter(example.gold for example in items)
    described = f"{task.name}: {describe_rows(found.test)}; asked {len(items):,}"
    if task.kind == "classification":
        described += f" ({max(counts.values()) / len(items):.2f} of one label; {', '.join(task.words)})"
    notes = [described, f"pool {describe_rows(found.train)}; kept {len(pool):,}", *found.notes]
    return Loaded(task, items, pool, notes)


def load_unrelated(name: str | None, cuts: Sequence[Cut], seed: int) -> Unrelated:
    """Texts and words for the conditions that need such; the file's rows have a column text."""
    needing = [cut.condition for cut in cuts if cut.condition in NEEDS_TEXT]
    if not needing:
        return Unrelated((), ())
    if not name:
        raise InputError(f"the condition {needing[0]} needs --unrelated_text: a file of texts far from the tasks")
    split = load_data(DataArguments(dataset_name=name, eval_share=0), Texts(), seed).train
    texts = [row["text"] for row in split.dataset]
    return Unrelated(texts, find_words(texts))


def same_script(unrelated: Unrelated, task: Loaded) -> Unrelated:
    """The texts and words that are written as the task's inputs are: with Han characters, or without."""

    def is_han(text: str) -> bool:
        return any("㐀" <= character <= "鿿" for character in text)

    han = is_han("".join(task.items[0].fields))
    texts, words = ([t for t in part if is_han(t) == han] for part in unrelated)
    return Unrelated(texts, words) if texts and words else unrelated


def make_groups(
    tasks: Sequence[Loaded],
    cuts: Sequence[Cut],
    encoder: Encoder,
    limit: int,
    unrelated: Unrelated,
    balanced: bool,
    ordered: bool,
    calibrated: bool,
    shots: int,
) -> list[Group]:
    """Every group of an evaluation with its tokens, none longer than `limit`: demonstrations are dropped, at the end.

    Raises InputError where a question does not fit without any, or labels can't be told apart.
    """
    groups = []
    for loaded in tasks:
        own = same_script(unrelated, loaded) if unrelated.texts else unrelated
        for cut in cuts:
            if cut.channel and (loaded.task.kind == "generation" or loaded.task.channel is None):
                raise InputError(f"task {loaded.task.name} has no 'channel' template, which --scoring channel needs")
            order = draw_order(loaded.pool, cut.seed, balanced) if cut.condition != NONE else []
            for chosen, members in group_items(order, cut.k, loaded.items, ordered):
                shown = show(cut.condition, chosen, loaded.task, cut.seed, loaded.pool, own)
                demonstrations = write_demonstrations(loaded.task, shown, cut.channel)
                pairs = [of(loaded.items[i], loaded.task, cut.channel) for i in members]
                if calibrated and not cut.channel and is_main(cut.condition, cut.k, shots):
                    pairs += content_free(loaded.task)
                encoded = encoder.encode(demonstrations, pairs)
                while encoded.longest() > limit:
                    if not demonstrations:
                        raise InputError(
                            f"task {loaded.task.name}: a question has {encoded.longest()} tokens without any "
                            f"demonstration, and this model takes {limit}"
                        )
                    over = (encoded.longest() - limit) * len(demonstrations) // encoded.longest()
                    demonstrations = demonstrations[: len(demonstrations) - max(over, 1)]
                    encoded = encoder.encode(demonstrations, pairs)
                if not cut.channel:
                    check_labels(encoded, loaded.task)
                missing = cut.k - len(demonstrations)
                groups.append(Group(loaded, cut, members, chosen, demonstrations, pairs, encoded, missing))
    return groups


def make_engine(model: Any, groups: Sequence[Group], budget: int) -> tuple[Engine, str]:
    """The engine for a model, tried on the longest prompts of the run, and a sentence on what was found."""
    model.eval()
    engine = (EncoderDecoder if model.config.is_encoder_decoder else Causal)(model, budget)
    longest = max(groups, key=lambda group: group.encoded.longest())
    items = [longest.encoded.queries(i) for i in range(min(2, len(longest.members)))]
    try:
        found = engine.score(items)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        return OneByOne(model), f"one prompt at a time: {type(model).__name__} can't share prefixes ({reason})"
    expected = [[score_alone(model, query) for query in item] for item in items]
    pairs = [(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)]
    worst = max(abs(a.logprob - b.logprob) / a.tokens for a, b in pairs)
    if worst > CLOSE.get(model.dtype, ROUGH):
        return OneByOne(model), f"one prompt at a time: shared prefixes change this model's scores by {worst:.2g} nats"
    return engine, f"shared prefixes; the longest prompts scored alone differ by {worst:.1g} nats a token"


def score_groups(run: Run, engine: Engine, groups: Sequence[Group], journal: Journal) -> None:
    """Score what the journal does not hold yet; the processes of the run share the groups."""
    keys = [group.key for group in groups]
    mine = range(run.state.process_index, len(groups), run.state.num_processes)
    done: dict[str, set[int]] = {key: set() for key in keys}
    for line in journal.lines:
        if line["group"] not in done:
            raise InputError(
                f"{run.folder} holds scores of other prompts ({line['group'].rsplit('/', 1)[0]}): the data, the "
                "tokenizer or the code has changed since; --fresh moves them aside"
            )
        done[line["group"]].update(line["items"])
    total = sum(len(groups[g].pairs) for g in mine)
    progress = Progress(run, total, sum(len(done[keys[g]]) for g in mine), "prompt")
    for g in mine:
        group, began = groups[g], time.perf_counter()
        items: list[list[Query]] = [group.encoded.queries(i) for i in range(len(group.pairs))]
        for numbers, scores in engine.passes(items, done[keys[g]]):
            now = time.perf_counter()
            rows = [[tuple(score) for score in item] for item in scores]
            journal.append({"group": keys[g], "items": numbers, "scores": rows, "seconds": round(now - began, 4)})
            condition, k, seed, _ = group.cut
            progress.update(len(numbers), f"{group.loaded.task.name} {condition} k={k} seed={seed}")
            began = time.perf_counter()
    progress.close()


def scored(groups: Sequence[Group], lines: Sequence[dict]) -> Iterator[tuple[Group, list[list[list]]]]:
    """Each group with the scores [logprob, tokens, greedy] of each of its items' choices."""
    found: dict[str, dict[int, list]] = {}
    for line in lines:
        found.setdefault(line["group"], {}).update(zip(line["items"], line["scores"], strict=True))
    for group in groups:
        rows = found[group.key]
        yield group, [rows[i] for i in range(len(group.pairs))]
