"""From n-grams to GPT-2: what did each step of history buy?

n-grams with Kneser-Ney smoothing (Chen and Goodman 1999), a bag of words (Mikolov et al. 2013), an RNN (Elman 1990),
an LSTM (Hochreiter and Schmidhuber 1997), the first Transformer's decoder (Vaswani et al. 2017) and GPT-2 (Radford et
al. 2019) learn from the same tokens and predict the same held-out ones.

    make baselines                                         # the embedded world, three minutes on one core
    python recipes/baselines.py --config configs/baselines/tiny.yaml --dataset_name my/texts --output_dir DIR
    accelerate launch recipes/baselines.py --config configs/baselines/wikitext2.yaml

Result: docs/concepts/baselines.md. The run's folder holds each trained model as a checkpoint (lstm/, gpt2/, ...),
distance.png, and speed.json: tokens a second of training, on a batch and on one text at a time, and of writing.
Metrics for each model, ngram_<order> or a name in --architectures: perplexity_<model> (exp of the mean loss per
predicted token, held-out documents), of trained ones also with _before; where the documents have marks of it, by where
the needed word was last said: perplexity_<model>_sentence (in the same one), _earlier (in an earlier one), _start (in
none but the first) and _elsewhere (all other tokens); parameters_<model> (of n-grams: how many it holds).
"""

import math
from dataclasses import dataclass, field

from hfcourse.baselines.ngram import Counts, KneserNey
from hfcourse.data.arguments import DataArguments
from hfcourse.data.documents import DISTANCES, Documents, to_rows
from hfcourse.data.load import load_data
from hfcourse.data.objectives import Objective
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run import baselines_report as report
from hfcourse.run.arguments import RunArguments
from hfcourse.run.baselines import Cohort, CohortTrainer, read_architectures
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import load
from hfcourse.run.plan import describe_rows
from hfcourse.run.show import models_table

from transformers import AutoTokenizer, TrainingArguments


@dataclass
class BaselinesArguments(RunArguments, DataArguments):
    architectures: dict | str | None = field(
        default=None, metadata={"help": "Models by name, each with model_type, sizes, learning_rate: YAML or JSON."}
    )
    orders: int = field(default=5, metadata={"help": "n-grams of 1 to so many tokens."})
    tokenizer_name_or_path: str | None = field(
        default=None, metadata={"help": "Use this tokenizer; without it one is trained on the training documents."}
    )
    vocab_size: int = field(default=1024, metadata={"help": "Size of the tokenizer to train."})
    block_size: int = field(default=128, metadata={"help": "Longest row; a longer document makes several."})
    generated_tokens: int = field(
        default=64, metadata={"help": "Tokens that each model writes behind the first of a document."}
    )
    speed_rounds: int = field(default=3, metadata={"help": "Timed rounds of each model; 0 times nothing."})

    def __post_init__(self):
        self.architectures = read_architectures(self.architectures)
        if self.orders < 1:
            raise InputError(f"--orders must be at least 1, not {self.orders}")


def main():
    with start("baselines", BaselinesArguments, TrainingArguments) as run:
        script, training = run.arguments
        training.remove_unused_columns = False  # the collator makes the labels

        data = load_data(script, Documents(), training.seed)
        if data.test is None:
            raise InputError("there is nothing to evaluate on: give --eval_dataset_name, or an --eval_share above 0")
        if script.tokenizer_name_or_path:
            tokenizer = load(AutoTokenizer, script.tokenizer_name_or_path, None)
        else:
            tokenizer = train_tokenizer(data.train.dataset["text"][:], script.vocab_size, "causal")
        train, test = (to_rows(split, tokenizer, script.block_size, data.notes) for split in (data.train, data.test))
        rows, objective = train.dataset["input_ids"][:], Objective(tokenizer, training.seed)

        longest = max(script.block_size, report.PROMPT + script.generated_tokens)
        cohort = Cohort(script.architectures, tokenizer, training.seed, longest, training.learning_rate)

        def count(order):
            return KneserNey(Counts(rows, order, len(tokenizer)), order)

        ngrams = {f"ngram_{order}": count(order) for order in range(1, script.orders + 1)}

        trainer = CohortTrainer(
            model=cohort,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset.map(objective.fixed),
            data_collator=objective,
            processing_class=tokenizer,
            run=run,
        )

        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": data.notes}
        facts |= {"models": report.describe(cohort, ngrams), "marks": report.describe_marks(test.dataset, DISTANCES)}
        run.plan(trainer, tokenizer, ", ".join(cohort.models), facts)

        def measure():
            metrics = trainer.evaluate()
            return {f"perplexity_{name}": math.exp(metrics[f"eval_loss_{name}"]) for name in cohort.models}

        before = run.train(trainer, measure)
        scored = run.on_main(lambda: report.score(trainer, ngrams, test.dataset, DISTANCES))
        metrics = {f"{name}_before": value for name, value in before.items()} | report.name_metrics(scored)
        metrics |= {f"parameters_{name}": size for name, size in report.sizes(cohort, ngrams).items()}

        timing = (script.generated_tokens, script.speed_rounds)
        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "data": [facts["train"], facts["eval"], *data.notes],
            "tables": [("Perplexity of held-out documents", *models_table(metrics))],
            "samples": run.on_main(lambda: report.write_report(run.folder, trainer, ngrams, count, scored, *timing)),
            "samples_title": "Speed, and what each model writes",
        }
        run.finish(trainer, metrics, {"held-out loss": trainer.names("eval_"), "loss": trainer.names()}, card)


if __name__ == "__main__":
    recipe(main)
