"""Cleaning: what does training data go through, and what does a model learn from what should have gone?

Raw pages become training text in the order of the notes: mark-up and boilerplate out, line breaks kept; language;
quality, each dropped text with its reason (Gopher, Rae et al. 2021; C4, Raffel et al. 2020); harm, by a classifier that
is trained in the run; copies and near copies (MinHash, Broder 1997; Lee et al. 2022); personal data masked; texts that
hold rows of an exam. It runs on datatrove, on this machine or through Slurm. Then one model is trained twice, on raw
and on clean text, on as many tokens.

    make clean-data                                             # the embedded world, three minutes on two cores
    python recipes/clean_data.py --config configs/clean_data/tiny.yaml --proof false --workers 2 --fresh
    make clean-data CONFIG=configs/clean_data/crawl.yaml        # a crawl in English, by 32 workers or Slurm

Result: cleaned/kept, which `--dataset_name` of any recipe takes, and cleaned/dropped. Metrics: documents, kept,
dropped_<stage> of html, language, quality, harm, copies, near_copies, leaks; with labelled pages <stage>_precision and
<stage>_recall, lost (documents without a fault that were dropped), the same two of lines (what is left of pages),
personal (masks) and words (harm by a list alone). With a proof, of each side, raw and clean: perplexity (held-out text),
recited_copied and recited_single (shares of texts with copies, and without, that are continued word for word),
exam_leaked and exam_unseen (shares of the exam answered).
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
from hfcourse.run.cleaning import clean, finish_without_proof, plot_into, show_dropped, stage_rows
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import read_architecture
from hfcourse.run.plan import describe_processes, describe_rows
from hfcourse.run.sides import SIDES, Sides, SidesTrainer, ask, choose_texts, measure, side_by_side

from transformers import TrainingArguments


@dataclass
class CleanArguments(RunArguments):
    dataset_name: str | None = field(
        default=None, metadata={"help": "Pages: html, text, bytes or base64; any source."}
    )
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a Hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Commit, tag or branch on the Hub."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Clean the first N pages."})
    skip_bad_rows: bool = field(default=False, metadata={"help": "Drop and count rows that hold no page."})
    harmful: str | None = field(default=None, metadata={"help": "Texts labelled `harmful`, which teach a classifier."})
    exam: str | None = field(default=None, metadata={"help": "Evaluation rows that must not be in the clean text."})
    cleaning: dict | str | None = field(default=None, metadata={"help": "Settings of the stages, as YAML or JSON."})
    tasks: int = field(default=1, metadata={"help": "Parts of the data; each has its files."})
    workers: int = field(default=1, metadata={"help": "Tasks at a time on this machine."})
    slurm: dict | str | None = field(
        default=None, metadata={"help": "Partition, time, ... of Slurm, which does them."}
    )
    proof: bool = field(default=True, metadata={"help": "Train on raw and on clean text; without it, only clean."})
    eval_dataset_name: str | None = field(
        default=None, metadata={"help": "Clean text that both models are judged on."}
    )
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
        training.remove_unused_columns = False  # the collator reads both sides

        def load(name, normalise, **more):
            return load_data(DataArguments(name, eval_share=0, **more), normalise, training.seed)

        names = ("dataset_config", "dataset_revision", "max_train_samples", "skip_bad_rows")
        data = load(script.dataset_name, Pages(), **{name: getattr(script, name) for name in names})
        labelled = load(script.harmful, Labelled()).train.dataset if script.harmful else None
        exam = load(script.exam, Exam()).train.dataset.to_list() if script.exam else []

        cleaning, leaks = Cleaning.read(script.cleaning), [row["text"] for row in exam]
        parts = (script.tasks, script.workers, script.slurm)
        cleaner = DataCleaner(data.train.dataset, cleaning, *parts, labelled, leaks, script.proof)
        folder = clean(run, cleaner, stack)
        report = read(folder, len(data.train.dataset), cleaning.harm_words)
        facts = {"pages": [describe_rows(data.train), *cleaner.describe()], "data": data.notes}

        if not script.proof:
            run.announce(
                facts | {"device": describe_processes(run.state.num_processes)},
                lambda: show_dropped(report.dropped, run.console),
            )
            finish_without_proof(run, folder, report, cleaning.found, [*facts["pages"], *data.notes])
            return

        held_out = {"eval_dataset_name": script.eval_dataset_name, "max_eval_samples": script.max_eval_samples}
        texts = [load(str(folder / "raw"), Texts()), load(str(folder / "kept"), Texts(), **held_out)]
        tokenizer = train_tokenizer((row["text"] for row in texts[0].train.dataset), script.vocab_size, "causal")
        raw, kept, test = (
            to_blocks(split, tokenizer, script.block_size) for split in (texts[0].train, texts[1].train, texts[1].test)
        )
        objective = Objective(tokenizer, training.seed)

        trainer = SidesTrainer(
            model=Sides(script.architecture, tokenizer, training.seed),
            args=training,
            train_dataset=side_by_side(raw.dataset, kept.dataset),
            eval_dataset=test.dataset,
            data_collator=Together(dict.fromkeys(SIDES, objective)),
            processing_class=tokenizer,
            run=run,
        )

        facts |= {
            "train": [f"{describe_rows(raw)}, raw", f"{describe_rows(kept)}, clean"],
            "eval": describe_rows(test),
        }
        run.plan(trainer, tokenizer, f"{script.architecture['model_type']}, twice", facts)

        leaked = {row for document in report.dropped["leaks"] for row in document["leaks"]}
        recited = choose_texts(report.kept, tokenizer, 2 * script.prompt_tokens)
        exams = ask(exam, leaked, tokenizer)

        def proof():
            return measure(trainer, recited, script.prompt_tokens, exams)

        before = run.train(trainer, proof)
        metrics = report.metrics() | {f"{name}_before": value for name, value in before.items()} | proof()

        picture = run.folder / "cleaning.png"
        run.on_main(lambda: plot_into(picture, report.stages, cleaning.found, metrics))
        curves = {"loss": ["loss_raw", "loss_clean"], "held-out loss": ["eval_loss_raw", "eval_loss_clean"]}
        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "data": [*facts["pages"], *facts["train"], facts["eval"], *data.notes],
            "samples": stage_rows(report.stages),
            "samples_title": "Stages",
        }
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
