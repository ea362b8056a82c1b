"""kNN-LM: does a model predict better that can look up what came next wherever a text was like this one?

Nothing is trained. The model reads a text once, and for each of its tokens the inside of the last layer before it (the
key) and the token are stored. Then p = lambda p_kNN + (1 - lambda) p_LM, where p_kNN is a softmax over the distances
of the k nearest keys (Khandelwal et al. 2020). With the store of another text, that is adaptation without training.

    make knnlm                                   # the embedded world: its own corpus, and documents of another world
    python recipes/knnlm.py --config configs/knnlm/tiny.yaml --other_dataset_name my/texts --exam none --output_dir DIR
    accelerate launch recipes/knnlm.py --config configs/knnlm/gpt2-wikitext103.yaml

Result: docs/concepts/knnlm.md. Metrics <way>_<measure>. Ways: plain (the model alone), exact (whole store), exact_<p>
(its first p percent), ivfpq (approximate search, distances from keys), codes (the same, distances from codes), foreign
(exact, the other text's store), defaults (T 1, lambda .25); for --other_dataset_name each with other_ before it.
Measures: perplexity (per token, test part), entries, k, temperature, lambda (chosen on the validation part), recall
(share of the k nearest that ivfpq finds); with --exam truth_<lang> (share of openings that are continued right).
"""

from dataclasses import dataclass, field, replace

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.texts import Texts, to_stream
from hfcourse.errors import InputError
from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import first_texts, make_domain
from hfcourse.knn.experiment import Experiment
from hfcourse.knn.picture import plot, plot_speed
from hfcourse.knn.report import measure, metric_rows, speed, tables
from hfcourse.knn.settings import KNNSettings
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.decode import Writer
from hfcourse.run.evaluation import describe, refuse_training, show_texts
from hfcourse.run.knn_store import open_stores
from hfcourse.run.knnlm import do_work
from hfcourse.run.models import load_for_scoring
from hfcourse.run.plan import describe_rows
from hfcourse.run.prompts import Reader, read_all_prompts

from transformers import TrainingArguments
from trl import ModelConfig


PROMPT_TOKENS, NEW_TOKENS, DOCUMENTS = 12, 32, 32  # of the texts that are continued with and without a memory


@dataclass
class KNNLMArguments(RunArguments, DataArguments):
    other_dataset_name: str | None = field(default=None, metadata={"help": "A second text, with a store of its own."})
    dataset_validation_split: str | None = field(
        default=None, metadata={"help": "Split that chooses; without it, the first half of the test split does."}
    )
    separated: bool = field(default=True, metadata={"help": "Put the end-of-text token behind each row."})
    store: str | None = field(default=None, metadata={"help": "Folder of the stores; without it, in the run's."})
    exam: str | None = field(default=None, metadata={"help": "JSONL of texts with a [MASK] and its answer."})


def main():
    with start("knnlm", KNNLMArguments, KNNSettings, TrainingArguments, ModelConfig) as run:
        script, settings, training, model_args = run.arguments
        refuse_training(run)
        model, tokenizer, loaded = load_for_scoring(model_args, training.device)
        name = model_args.model_name_or_path
        capture = Capture(model, settings.key, name)

        def read(prefix, source, validation=None):
            data = load_data(source, Texts(), training.seed)
            if data.test is None:
                raise InputError(
                    f"{source.dataset_name} has no text to predict: it takes a second split or --eval_share"
                )
            splits = {"remembered": data.train, "test": data.test}
            if validation:
                other = replace(source, dataset_test_split=validation)
                splits["validation"] = load_data(other, Texts(), training.seed).test
            streams = {part: to_stream(split, tokenizer, script.separated) for part, split in splits.items()}
            lines = [f"{source.dataset_name}, {part}: {describe_rows(split)}" for part, split in splits.items()]
            domain = make_domain(prefix, source.dataset_name, streams, settings.block_size, settings.stride)
            return domain, splits["test"].dataset["text"][:DOCUMENTS], [*lines, *data.notes]

        found = [read("", script, script.dataset_validation_split)]
        if script.other_dataset_name:
            rows = {n: getattr(script, n) for n in ("max_train_samples", "max_eval_samples", "skip_bad_rows")}
            found.append(read("other_", DataArguments(script.other_dataset_name, **rows)))
        domains, texts = [domain for domain, *_ in found], found[-1][1]

        experiment = Experiment(capture, tokenizer, name, domains, settings, training.seed)
        stores = open_stores(run, script.store, experiment.plans)
        reader = Reader(name, model, tokenizer)
        prompts, notes = read_all_prompts(texts, (reader, None, None), script.exam, PROMPT_TOKENS, NEW_TOKENS)
        how = (experiment.strategies, None, prompts, NEW_TOKENS, settings.batch_size, training.seed)
        writer = Writer(reader, None, None, *how)

        facts = describe(run, {name: model}) | {"store": [str(plan) for plan in experiment.plans.values()]}
        facts["data"] = [loaded, *(line for *_, lines in found for line in lines), *notes]
        run.announce(facts, lambda: show_texts(first_texts(domains[0], tokenizer), run.console))

        with capture:
            work = do_work(run, stores, experiment, writer)

        ways, grid = experiment.ways, settings.grid
        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "base_model": name,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [*facts["store"], *facts["data"]],
            "tables": tables(ways, grid, work.milliseconds),
            "samples": work.samples,
        }
        plots = {"curves.png": lambda path: plot(path, ways, grid)}
        plots["speed.png"] = lambda path: plot_speed(path, work.milliseconds, settings.batch_size)
        measured = {"metrics": measure(ways, grid) | work.truth, **speed(work.predicted, work.journal.processes)}
        run.conclude(measured, lambda: work.write(run, metric_rows(ways, grid), plots), card)


if __name__ == "__main__":
    recipe(main)
