"""In-context learning: do demonstrations teach, or do they only wake what the model knows?

Few-shot evaluation of any causal or sequence-to-sequence checkpoint, nothing is trained. Demonstrations with gold,
random, wrong or permuted labels, with unrelated inputs, with random words for labels, inputs or labels alone (Min et
al. 2022, "Rethinking the Role of Demonstrations"); four ways of scoring (Min et al. 2022, channel; Zhao et al. 2021,
calibrated) beside exact match in the full vocabulary; how sure the model is, and whether it should be.

    make icl                                                      # the embedded world: base model, then the questions
    python recipes/icl.py --config configs/icl/tiny.yaml --model_name_or_path DIR --scoring channel --output_dir DIR2
    accelerate launch recipes/icl.py --config configs/icl/gpt2.yaml

Result: docs/concepts/icl.md. Metrics: <task>_<condition>_k<k>_accuracy, _macro_f1, _ece (0 to 1), _brier (0 to 2),
_exact_match (greedy decoding over the whole vocabulary writes the right label), by the first of --scoring; by the
others <task>_<condition>_k<k>_<rule>_accuracy and so on; each with _low and _high, the ends of its 95 % interval over
items and seeds. The task "mean" is the mean over the classification tasks.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.texts import Texts
from hfcourse.errors import InputError
from hfcourse.icl.demonstrations import CONDITIONS, NONE, SEEDS
from hfcourse.icl.groups import keep_what_fits, load_tasks, load_unrelated, make_groups, read_cuts, score_groups
from hfcourse.icl.picture import plot
from hfcourse.icl.prompts import Encoder
from hfcourse.icl.report import report
from hfcourse.icl.scoring import read_rules
from hfcourse.icl.sharing import make_engine
from hfcourse.icl.tables import check_leaks, collect, describe_prompts, metric_rows, samples, tables, two_prompts
from hfcourse.icl.task import TaskRows
from hfcourse.run.arguments import RunArguments, read_yaml
from hfcourse.run.cli import recipe, start
from hfcourse.run.evaluation import Journal, Progress, describe, refuse_training, show_texts, speed, write_records
from hfcourse.run.models import load_for_scoring, longest_input

from transformers import TrainingArguments
from trl import ModelConfig


@dataclass
class ICLArguments(RunArguments):
    tasks: str | None = field(default=None, metadata={"help": "Task files, with commas."})
    dataset_name: str | None = field(default=None, metadata={"help": "Other data for the only task: file or folder."})
    max_train_samples: int | None = field(default=None, metadata={"help": "Draw demonstrations from N rows."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Ask about the first N rows of each task."})
    skip_bad_rows: bool = field(default=False, metadata={"help": "Drop and count what can't be used or is too long."})
    conditions: str = field(default=f"{NONE},gold,random", metadata={"help": f"Of {NONE}, {', '.join(CONDITIONS)}."})
    shots: int = field(default=8, metadata={"help": "Demonstrations in a prompt."})
    curve: str = field(default="", metadata={"help": "Other numbers of demonstrations for gold and random: 1,2,4."})
    seeds: str = field(default=",".join(map(str, SEEDS)), metadata={"help": "Seeds that draw demonstrations."})
    scoring: str = field(default="direct", metadata={"help": "direct, normalised, calibrated, channel; with commas."})
    balanced: bool = field(default=True, metadata={"help": "Draw as many demonstrations of each label."})
    ordered: bool = field(default=False, metadata={"help": "Put demonstrations of one label together."})
    unrelated_text: str | None = field(default=None, metadata={"help": "Texts far from the tasks: for ood, words."})
    batch_tokens: int = field(default=1024, metadata={"help": "Tokens of one pass behind the shared ones."})


def main():
    with start("icl", ICLArguments, TrainingArguments, ModelConfig) as run:
        script, training, model_args = run.arguments
        refuse_training(run)
        rules = read_rules(script.scoring)
        cuts = read_cuts(script.conditions, script.shots, script.curve, script.seeds, rules)

        model, tokenizer, loaded = load_for_scoring(model_args, training.device)

        if script.dataset_name and "," in (script.tasks or ""):
            raise InputError("--dataset_name goes with one task, not with several")

        def load(task):
            source = {"dataset_name": script.dataset_name} if script.dataset_name else task.source
            rows = {name: getattr(script, name) for name in ("max_train_samples", "max_eval_samples", "skip_bad_rows")}
            return load_data(DataArguments(**source, **rows), TaskRows(task), training.seed)

        def texts(name):
            return load_data(DataArguments(name, eval_share=0), Texts(), training.seed).train.dataset["text"][:]

        encoder, limit = Encoder(tokenizer, model.config.is_encoder_decoder), longest_input(model, tokenizer)
        tasks = load_tasks(script.tasks, read_yaml, load)
        tasks = [keep_what_fits(task, encoder, limit, script.skip_bad_rows) for task in tasks]
        unrelated = load_unrelated(script.unrelated_text, cuts, texts)
        free = script.shots if "calibrated" in rules else None
        groups = make_groups(tasks, cuts, encoder, limit, unrelated, script.balanced, script.ordered, free)
        engine, sharing = make_engine(model, groups, script.batch_tokens)

        facts = describe(run, {model_args.model_name_or_path: model})
        facts |= {"tasks": [*(line for task in tasks for line in task.notes), loaded]}
        facts |= {"prompts": describe_prompts(groups), "leaks": check_leaks(groups), "engine": sharing}
        run.announce(facts, lambda: show_texts(two_prompts(groups), run.console))

        journal = Journal(run)
        score_groups(engine, groups, journal, Progress(run, "prompt"))
        lines = journal.gather()
        cells = collect(groups, lines)
        metrics = report(cells, rules, script.shots, training.seed)

        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [*facts["tasks"], *facts["prompts"], facts["leaks"]],
            "tables": tables(metrics, cells),
        }

        def write():
            plots = {"curves.png": lambda path: plot(path, cells, metrics, rules[0])}
            write_records(run.folder, samples(groups, lines), metric_rows(cells, metrics), plots)

        run.conclude({"metrics": metrics, **speed(lines, journal.processes)}, write, card)
        run.on_main(journal.remove)


if __name__ == "__main__":
    recipe(main)
