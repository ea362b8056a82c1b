"""An in-context evaluation: tasks and their rows, groups of prompts that share demonstrations, their scores."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

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
from hfcourse.icl.engine import Engine
from hfcourse.icl.prompts import Encoded, Encoder, Pair, check_labels, content_free, of, write_demonstrations
from hfcourse.icl.report import is_main
from hfcourse.icl.scoring import read_names
from hfcourse.icl.task import Example, Task, examples, read_task


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

    Without demonstrations there is one seed. `curve`: other numbers of them than `shots`.
    """
    names = read_names(conditions, (NONE, *CONDITIONS), "--conditions")
    if shots < 1:
        raise InputError(f"--shots is a number of demonstrations from 1 on, not {shots}")
    counts, drawn = [shots, *read_numbers(curve, "--curve")], read_numbers(seeds, "--seeds")
    if not names or not drawn:
        raise InputError("--conditions and --seeds name at least one each")
    found = []
    for name in names:
        for k in [0] if name == NONE else sorted(set(counts)):
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


def load_tasks(names: str | None, read: Callable[[Path], dict], load: Callable[[Task], Any]) -> list[Loaded]:
    """The tasks of files, given as paths with commas.

    Args:
        read: the mapping in a file.
        load: the data of a task: `train` and `test`, splits of `TaskRows`, and `notes` (hfcourse.data).
    """
    paths = [Path(part.strip()) for part in (names or "").split(",") if part.strip()]
    if not paths:
        raise InputError("--tasks is missing: files of configs/icl/tasks, with commas")
    if double := [name for name, count in Counter(path.stem for path in paths).items() if count > 1]:
        raise InputError(f"--tasks has two tasks named {double[0]}")
    return [_loaded(task, load(task)) for task in [read_task(path.stem, read(path), str(path)) for path in paths]]


def _loaded(task: Task, data: Any) -> Loaded:
    if data.test is None:
        raise InputError(f"task {task.name}: {data.train.place.rsplit(',', 1)[0]} has no rows to ask about")
    items, pool = examples(data.test.dataset, "test"), examples(data.train.dataset, "train")
    described = f"{task.name}: {_describe(data.test)}; asked {len(items):,}"
    if task.kind == "classification":
        most = max(Counter(example.gold for example in items).values()) / len(items)
        described += f" ({most:.2f} of one label; {', '.join(task.words)})"
    shown = f"{task.name}, demonstrations: {_describe(data.train)}; kept {len(pool):,}"
    return Loaded(task, items, pool, [described, shown, *data.notes])


def _describe(split: Any) -> str:
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in split.dropped.items())
    count = sum(split.dropped.values())
    return f"{split.rows_read:,} rows read, {count:,} dropped" + (f" ({dropped})" if dropped else "")


def load_unrelated(name: str | None, cuts: Sequence[Cut], load: Callable[[str], list[str]]) -> Unrelated:
    """Texts of a file, and their words, for the conditions that need such."""
    needing = [cut.condition for cut in cuts if cut.condition in NEEDS_TEXT]
    if not needing:
        return Unrelated((), ())
    if not name:
        raise InputError(f"the condition {needing[0]} needs --unrelated_text: a file of texts far from the tasks")
    texts = load(name)
    return Unrelated(texts, find_words(texts))


def same_script(unrelated: Unrelated, task: Loaded) -> Unrelated:
    """The texts and words that are written as the task's inputs are: with Han characters, or without."""

    def is_han(text: str) -> bool:
        return any("㐀" <= character <= "鿿" for character in text)

    han = is_han("".join(task.items[0].fields))
    texts, words = ([t for t in part if is_han(t) == han] for part in unrelated)
    return Unrelated(texts, words) if texts and words else unrelated


def keep_what_fits(loaded: Loaded, encoder: Encoder, limit: int, skip: bool) -> Loaded:
    """A task without the items whose question alone is longer than the model takes: with `skip`, or InputError."""
    pairs = [of(item, loaded.task, channel=False) for item in loaded.items]
    queries = encoder.encode([], pairs).items
    lengths = [max(len(q.context) + len(q.target) for q in item) for item in queries]
    kept = [item for item, length in zip(loaded.items, lengths, strict=True) if length <= limit]
    if len(kept) == len(loaded.items):
        return loaded
    said = f"{len(lengths) - len(kept)} of {len(lengths)} questions are longer than the {limit} tokens of this model"
    if not skip or not kept:
        raise InputError(
            f"task {loaded.task.name}: {said}, without any demonstration; the longest has {max(lengths)}"
            + (": --skip_bad_rows true leaves them out" if kept else "")
        )
    return replace(loaded, items=kept, notes=[*loaded.notes, f"Dropped: {said}."])


def make_groups(
    tasks: Sequence[Loaded],
    cuts: Sequence[Cut],
    encoder: Encoder,
    limit: int,
    unrelated: Unrelated,
    balanced: bool,
    ordered: bool,
    free: int | None,
) -> list[Group]:
    """Every group of an evaluation with its tokens, none longer than `limit`.

    An item whose demonstrations do not fit gets fewer of them, the last ones dropped whole, in a group of its own.
    `free`: the number of demonstrations (and none) behind which inputs that say nothing are scored too; None: nowhere.
    Every question fits without any: see `keep_what_fits`. Raises InputError where labels can't be told apart.
    """
    groups: list[Group] = []
    for loaded in tasks:
        own = same_script(unrelated, loaded) if unrelated.texts else unrelated
        for cut in cuts:
            if cut.channel and (loaded.task.kind == "generation" or loaded.task.channel is None):
                raise InputError(f"task {loaded.task.name} has no 'channel' template, which --scoring channel needs")
            order = draw_order(loaded.pool, cut.seed, balanced) if cut.condition != NONE else []
            extra = free is not None and not cut.channel and is_main(cut.condition, cut.k, free)
            for chosen, members in group_items(order, cut.k, loaded.items, ordered):
                shown = show(cut.condition, chosen, loaded.task, cut.seed, loaded.pool, own)
                demonstrations = write_demonstrations(loaded.task, shown, cut.channel)
                groups += _fit(loaded, cut, members, chosen, demonstrations, encoder, limit, extra)
    return groups


def _fit(
    loaded: Loaded,
    cut: Cut,
    members: list[int],
    chosen: tuple[Example, ...],
    demonstrations: list[str],
    encoder: Encoder,
    limit: int,
    extra: bool,
) -> Iterator[Group]:
    """Groups of the items that have room for as many demonstrations; `extra`: with inputs that say nothing."""
    free = content_free(loaded.task) if extra else []
    while members:
        pairs = [*(of(loaded.items[i], loaded.task, cut.channel) for i in members), *free]
        encoded = encoder.encode(demonstrations, pairs)
        lengths = [encoded.length(place) for place in range(len(pairs))]
        room = max(lengths[len(members) :], default=0) <= limit
        fitting = [place for place in range(len(members)) if room and lengths[place] <= limit]
        if fitting:
            places = [*fitting, *range(len(members), len(pairs))]
            part = Encoded(encoded.head, [encoded.items[place] for place in places])
            if not cut.channel:
                check_labels(part, loaded.task)
            inside, texts = [members[place] for place in fitting], [pairs[place] for place in places]
            missing = cut.k - len(demonstrations)
            yield Group(loaded, cut, inside, chosen[: len(demonstrations)], demonstrations, texts, part, missing)
        left = [place for place in range(len(members)) if place not in set(fitting)]
        if left and not demonstrations:  # of P(input | label): of P(label | input) such were left out before
            raise InputError(
                f"task {loaded.task.name}: a prompt has {max(lengths)} tokens without any demonstration, and this "
                f"model takes {limit}"
            )
        if left:
            shortest = min(lengths[place] for place in left)
            over = (shortest - limit) * len(demonstrations) // shortest
            demonstrations = demonstrations[: len(demonstrations) - max(over, 1)]
        members = [members[place] for place in left]


def score_groups(engine: Engine, groups: Sequence[Group], journal: Any, progress: Any) -> None:
    """Score what the journal does not hold yet; the processes of a run share the groups.

    Args:
        journal, progress: hfcourse.run.evaluation's Journal and Progress.
    """
    mine = groups[journal.process :: journal.processes]
    done: dict[str, set[int]] = {group.key: set() for group in groups}
    for line in journal.lines:
        if line["group"] not in done:
            raise InputError(
                f"{journal.folder} holds scores of other prompts ({line['group'].rsplit('/', 1)[0]}): the data, the "
                "tokenizer or the code has changed since; --fresh moves them aside"
            )
        done[line["group"]].update(line["items"])
    progress.begin(sum(len(group.pairs) for group in mine), sum(len(done[group.key]) for group in mine))
    for group in mine:
        began, cut = time.perf_counter(), group.cut
        items = [group.encoded.queries(i) for i in range(len(group.pairs))]
        for numbers, scores in engine.passes(items, done[group.key]):
            seconds = round(time.perf_counter() - began, 4)
            journal.append({"group": group.key, "items": numbers, "scores": scores, "seconds": seconds})
            progress.update(len(numbers), f"{group.loaded.task.name} {cut.condition} k={cut.k} seed={cut.seed}")
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
