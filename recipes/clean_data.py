"""Cleaning: what does training data go through, and what does a model learn from what should have gone?

Raw pages become training text in the order of the notes: mark-up and boilerplate out, line breaks kept; language;
quality, with a reason for each dropped text (Rae et al. 2021; Raffel et al. 2020); harm, by a classifier that is
trained in the run; copies and near copies (Lee et al. 2022); personal data masked; texts that hold rows of an exam. It
runs on datatrove, here or through Slurm. Then the same model is trained on raw and on clean text, on as many tokens.

    make clean-data                                             # the embedded world, three minutes on two cores
    python recipes/clean_data.py --config configs/clean_data/tiny.yaml --proof false --workers 2 --fresh
    make clean-data CONFIG=configs/clean_data/crawl.yaml        # an English crawl, on Slurm

Result: cleaned/kept, which `--dataset_name` of any recipe takes, and cleaned/dropped. Metrics: documents, kept,
dropped_<stage>; with labels <stage>_precision and _recall, lost (pages without a fault that were dropped), the same
of lines (what is left of pages), personal (masks) and words (harm by a list alone). With a proof, _raw and _clean,
before training with _before: perplexity (held-out text), recited_copied and recited_single (shares of texts with and
without copies that are continued word for word), exam_leaked and exam_unseen (shares of the exam that are answered).
"""

import contextlib
from dataclasses import dataclass, field

from hfcourse.clean.cleaner import DataCleaner
from hfcourse.clean.pipeline import Cleaning
from hfcourse.clean.report import read
from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.objectives import Objective, Together
from hfcourse.data.pages import Exam, Labelled, Pages
from hfcourse.data.texts import Texts, to_blocks
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run.arguments import RunArguments, read_mapping
from hfcourse.run.cleaning import PICTURE, clean, conclude, plot_into, stage_table
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import read_architecture
from hfcourse.run.plan import describe_rows
from hfcourse.run.sides import SIDES, Memory, Sides, SidesTrainer, side_by_side

from transformers import TrainingArguments


@dataclass
class CleanArguments(RunArguments):
    dataset_name: str | None = field(default=None, metadata={"help": "Pages: a file, a folder, or a Hub id."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Commit, tag or branch on the Hub."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Clean the first N pages."})
    skip_bad_rows: bool = field(default=False, metadata={"help": "Drop and count rows that hold no page."})
    harmful: str | None = field(default=None, metadata={"help": "Texts labelled `harmful`, which teach a classifier."})
    exam: str | None = field(default=None, metadata={"help": "Evaluation rows that must not be in the clean text."})
    cleaning: dict | str | None = field(default=None, metadata={"help": "Settings of the stages, as YAML or JSON."})
    tasks: int = field(default=1, metadata={"help": "Parts of the data; each has its files."})
    workers: int = field(default=1, metadata={"help": "Tasks at a time on this machine."})
    slurm: dict | str | None = field(default=None, metadata={"help": "Slurm's partition, time, ...: many machines."})
    proof: bool = field(default=True, metadata={"help": "Train on raw and on clean text; without it, only clean."})
    eval_dataset_name: str | None = field(default=None, metadata={"help": "Clean text that both are judged on."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Judge on the first N texts."})
    architecture: dict | str | None = field(default=None, metadata={"help": "model_type and sizes, as YAML or JSON."})
    vocab_size: int = field(default=1024, metadata={"help": "Size of the tokenizer to train."})
    block_size: int = field(default=128, metadata={"help": "Tokens in a packed block."})
    prompt_tokens: int = field(default=16, metadata={"help": "Tokens of a text that are given, and then recited."})

    def __post_init__(self):
        self.cleaning, self.slurm = read_mapping(self.cleaning, "cleaning"), read_mapping(self.slurm, "slurm")
        self.architecture = read_architecture(self.architecture)
        if self.proof and not (self.architecture and self.eval_dataset_name):
            raise InputError("a proof takes --architecture and --eval_dataset_name; --proof false only cleans")


def main():
    with contextlib.ExitStack() as stack, start("clean_data", CleanArguments, TrainingArguments) as run:
        script, training = run.arguments

        def load(name, normalise, **more):
            return load_data(DataArguments(name, eval_share=0, **more), normalise, training.seed)

        names = ("dataset_config", "dataset_revision", "max_train_samples", "skip_bad_rows")
        pages = load(script.dataset_name, Pages(), **{name: getattr(script, name) for name in names}).train
        labelled = load(script.harmful, Labelled()).train.dataset if script.harmful else None
        exam = load(script.exam, Exam()).train.dataset.to_list() if script.exam else []

        cleaning, how = Cleaning.read(script.cleaning), (script.tasks, script.workers, script.slurm)
        cleaner = DataCleaner(pages.dataset, cleaning, *how, labelled, [row["text"] for row in exam], script.proof)
        folder = clean(run, cleaner, stack)
        report = read(folder, len(pages.dataset), cleaning.harm_words, script.proof)
        facts = {"pages": [describe_rows(pages), *cleaner.describe()]}
        card = {"what": " ".join(__doc__.split("\n\n")[1].split()), **stage_table(report.stages)}
        if not script.proof:
            return conclude(run, folder, report, cleaning.found, facts, card)

        held_out = {"eval_dataset_name": script.eval_dataset_name, "max_eval_samples": script.max_eval_samples}
        raw, kept = load(str(folder / "raw"), Texts()), load(str(folder / "kept"), Texts(), **held_out)
        tokenizer = train_tokenizer((row["text"] for row in raw.train.dataset), script.vocab_size, "causal")
        raw, clean_, test = (to_blocks(s, tokenizer, script.block_size) for s in (raw.train, kept.train, kept.test))
        trainer = SidesTrainer(
            model=Sides(script.architecture, tokenizer, training.seed),
            args=training,
            train_dataset=side_by_side(raw.dataset, clean_.dataset),
            eval_dataset=test.dataset,
            data_collator=Together(dict.fromkeys(SIDES, Objective(tokenizer, training.seed))),
            processing_class=tokenizer,
            run=run,
        )

        sides = [f"{describe_rows(split)}, {side}" for side, split in zip(SIDES, (raw, clean_), strict=True)]
        facts |= {"train": sides, "eval": describe_rows(test), "data": kept.notes}
        run.plan(trainer, tokenizer, f"{script.architecture['model_type']}, twice", facts)

        memory = Memory(trainer, report.kept, exam, report.leaked(), script.prompt_tokens)
        before = run.train(trainer, memory.measure)
        metrics = report.metrics() | {f"{name}_before": value for name, value in before.items()} | memory.measure()

        run.on_main(lambda: plot_into(run.folder / PICTURE, report.stages, cleaning.found, metrics))
        card["data"] = [*facts["pages"], *sides, facts["eval"], *kept.notes, f"[What each stage did]({PICTURE})"]
        curves = {"loss": ["loss_raw", "loss_clean"], "held-out": ["eval_loss_raw", "eval_loss_clean"]}
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
