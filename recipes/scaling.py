"""Scaling: with so much compute, a small model on more data, or a large one on less?

Several sizes of a decoder are trained at several budgets of FLOPs, on documents of which no run reads a token twice.
At each budget the loss over the size is a valley; its lowest points tell how the best size and the best amount of data
grow with compute (Kaplan et al. 2020; Hoffmann et al. 2022, approach 2). And on the same runs: does an ability come
suddenly, or is it counted so (Schaeffer et al. 2023)?

    make scaling                                             # the embedded world: 15 runs, and 10 to check the rates
    make scaling ARGS="--max_steps 300 --output_dir runs/scaling/short"           # all budgets smaller, in proportion
    accelerate launch recipes/scaling.py --config configs/scaling/fineweb-edu.yaml

Result: docs/concepts/scaling.md. Metrics: loss_<run>, nats a token, held-out (a run is <size>_c<n>, n the budget from
1 up, with _rate_<factor> where another rate was tried); best_parameters_c<n>, best_tokens_c<n>, best_loss_c<n>,
bracketed_c<n> (1: the best lies between the sizes); where all do, size_exponent, data_exponent (N, D ~ C ** it), with
_lower, _upper (95 %, from four sizes on); of L = 2, 4, 8, 16 tokens in a row effective_length_<L> (k: all are right
with p ** k, p of one token), explained_<L> (share of variance) and, from L = 1, late_share_<L> (of its gain, in the
last third of the loss's fall); relative: rate_regret (the rule's rate against the best tried), budget_error,
counter_difference (FLOPs, formula against torch's counter), rule_of_thumb_<size> (6 N D against FLOPs).
"""

from dataclasses import dataclass, field
from functools import partial

from hfcourse.data.arguments import DataArguments
from hfcourse.data.endless import fill_blocks, first_blocks
from hfcourse.data.load import load_data
from hfcourse.data.objectives import OBJECTIVES
from hfcourse.data.texts import Texts, to_blocks
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.run import scaling
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import load
from hfcourse.run.plan import describe_rows
from hfcourse.scaling.emergence import LENGTHS, count_exact
from hfcourse.scaling.flops import Decoder, training_flops
from hfcourse.scaling.picture import plot, plot_emergence
from hfcourse.scaling.report import find, metrics, table, winners
from hfcourse.scaling.schedule import make_schedule, rate_by_width
from hfcourse.world.endless import documents

from transformers import AutoTokenizer, TrainingArguments


@dataclass
class ScalingArguments(RunArguments, DataArguments):
    sizes: dict | str | None = field(
        default=None, metadata={"help": "Names of sizes, each a model_type and its sizes, as YAML or JSON."}
    )
    budgets: list[float] = field(
        default_factory=list,
        metadata={"help": "FLOPs of a run; with --max_steps, in these proportions, what gives the longest so many."},
    )
    rate_power: float = field(default=0.5, metadata={"help": "The rule: --learning_rate x (width / first) ** -this."})
    rate_probes: list[float] = field(
        default_factory=list, metadata={"help": "At the smallest budget, try the rate times these factors, too."}
    )
    endless_world: int | None = field(
        default=None, metadata={"help": "Train on the endless documents of the embedded world of this seed."}
    )
    tokenizer_name_or_path: str | None = field(
        default=None, metadata={"help": "Use this tokenizer; without it one is trained on the training documents."}
    )
    vocab_size: int = field(default=1024, metadata={"help": "Size of the tokenizer to train."})

    def __post_init__(self):
        self.sizes, self.budgets = scaling.read_sizes(self.sizes), [float(budget) for budget in self.budgets]


def main():
    with start("scaling", ScalingArguments, TrainingArguments) as run:
        script, training = run.arguments
        data = load_data(script, Texts(), training.seed)
        if script.tokenizer_name_or_path:
            tokenizer = load(AutoTokenizer, script.tokenizer_name_or_path, None)
        else:
            tokenizer = train_tokenizer((row["text"] for row in data.train.dataset), script.vocab_size, "causal")

        configs = {size: scaling.read_config(given, tokenizer) for size, given in script.sizes.items()}
        decoders = {size: Decoder(**scaling.dimensions(config)) for size, config in configs.items()}
        length, rows = scaling.block_length(configs), scaling.rows_of_a_step(training)
        difference = scaling.counter_difference(configs, lambda size: training_flops(decoders[size], length), length)
        rate = rate_by_width(training.learning_rate, script.rate_power, decoders)
        schedule = make_schedule(decoders, length, rows, script.budgets, training.max_steps, rate, script.rate_probes)
        training.max_steps, needed = schedule.steps, schedule.steps * rows

        if script.endless_world is None:
            train = first_blocks(data.train, tokenizer, length, needed)
        else:
            train = fill_blocks(partial(documents, script.endless_world), tokenizer, length, needed)
        test = to_blocks(data.test, tokenizer, length) if data.test else None
        objective = OBJECTIVES["causal"](tokenizer, training.seed)

        trainer = scaling.LadderTrainer(
            model=scaling.Ladder(script.sizes, schedule.runs, tokenizer, training.seed),
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset.map(objective.fixed) if test else None,
            data_collator=objective,
            processing_class=tokenizer,
            runs=schedule.runs,
            judge=(count_exact, LENGTHS),
            run=run,
        )

        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": data.notes}
        facts["runs"] = schedule.describe()
        run.plan(trainer, tokenizer, f"{len(schedule.runs)} runs", facts)

        run.train(trainer, lambda: {"loss": trainer.evaluate()["eval_loss"]})
        found = find(schedule, trainer.evaluate(), trainer.state.log_history, training.seed)

        notes = [facts["train"], facts["eval"], *data.notes, *facts["runs"], *winners(found), "![](emergence.png)"]
        card = {"what": __doc__.split("\n\n")[1], "data": notes, "samples": table(found), "samples_title": "Losses"}
        pictures = {"curves.png": partial(plot, found=found), "emergence.png": partial(plot_emergence, found=found)}
        run.finish(trainer, metrics(found, difference), pictures, card)


if __name__ == "__main__":
    recipe(main)
