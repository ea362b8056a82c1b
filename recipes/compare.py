"""The reference Transformer beside transformers: does one small model, written to be read, do what the libraries do?

The BERT (Devlin et al. 2018), GPT-2 (Radford et al. 2019) and T5 (Raffel et al. 2020) of transformers get random
weights, the Transformer of hfcourse/transformer gets the same, and both sides are trained in lock-step on the same
batches: BERT on masked tokens, GPT-2 on the next token, T5 on corrupted spans. Then each side is timed.

    make compare                                            # the embedded world, a minute on two cores
    make compare CONFIG=configs/compare/gpt2-124m.yaml      # GPT-2 124M on a GPU: bf16, torch.compile, MFU

Result: the curves lie on one another, and the small model is not slower. The run's folder holds the trained references
as checkpoints that every recipe takes (gpt2/, ...), and comparison.json: tokens a second forward, backward, in whole
steps and in generation, peak memory of a process of its own, MFU on a known GPU (formula: hfcourse/run/speed.py),
parameters, lines. Metrics, for each family: loss_<family> and loss_<family>_transformers (nats per predicted token,
held-out documents), both also with _before; loss_difference_<family> (the largest between the two on any batch of
training, to 4 decimals); parameters_<family>; lines_<family>_transformers and, of all families, lines_reference.
"""

import json
from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.objectives import OBJECTIVES, Together
from hfcourse.data.texts import Texts, to_blocks
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.comparison import FILE, check_positions, count_lines, measure_speed, write_comparison
from hfcourse.run.plan import describe_rows
from hfcourse.run.speed import OBJECTIVES as FAMILIES
from hfcourse.run.twins import Twins, TwinTrainer

from transformers import TrainingArguments


@dataclass
class CompareArguments(RunArguments, DataArguments):
    architectures: dict | str | None = field(
        default=None, metadata={"help": "Of bert, gpt2 and t5, those to compare, with their sizes, as YAML or JSON."}
    )
    vocab_size: int = field(default=1024, metadata={"help": "Size of the tokenizer to train."})
    block_size: int = field(default=128, metadata={"help": "Tokens in a packed block."})
    speed_rounds: int = field(default=10, metadata={"help": "Timed steps of each model; 0 times nothing."})
    speed_variants: list[str] = field(
        default_factory=lambda: ["sdpa"],
        metadata={"help": "What to time.", "choices": ["sdpa", "eager", "compiled"]},
    )
    generated_tokens: int = field(default=64, metadata={"help": "Tokens that a timed generation writes."})

    def __post_init__(self):
        if isinstance(self.architectures, str):
            self.architectures = json.loads(self.architectures)
        if not self.architectures:
            raise InputError("--architectures is missing: a mapping of families to sizes, see configs/compare")


def main():
    with start("compare", CompareArguments, TrainingArguments) as run:
        script, training = run.arguments
        training.remove_unused_columns = False  # the collator reads what the evaluation hides

        data = load_data(script, Texts(), training.seed)
        # One tokenizer for all objectives: T5's, which has sentinels, and BERT's mask.
        tokenizer = train_tokenizer((row["text"] for row in data.train.dataset), script.vocab_size, "span")
        tokenizer.add_special_tokens({"mask_token": "[MASK]"})
        train = to_blocks(data.train, tokenizer, script.block_size)
        test = to_blocks(data.test, tokenizer, script.block_size) if data.test else None

        model = Twins(script.architectures, tokenizer, training.seed)
        check_positions(model, script.block_size, script.generated_tokens if script.speed_rounds else 0)
        families = list(script.architectures)
        objective = Together({name: OBJECTIVES[FAMILIES[name]](tokenizer, training.seed) for name in families})

        trainer = TwinTrainer(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset.map(objective.fixed) if test else None,
            data_collator=objective,
            processing_class=tokenizer,
            run=run,
        )

        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": data.notes}
        run.plan(trainer, tokenizer, f"{', '.join(families)}, each twice", facts)

        def measure():
            metrics = trainer.evaluate()
            return {name.removeprefix("eval_"): metrics[name] for name in trainer.names("eval_") if name in metrics}

        before = run.train(trainer, measure)
        metrics = {f"{name}_before": value for name, value in before.items()} | measure()
        differences = trainer.differences()
        metrics |= {f"loss_difference_{name}": float(f"{value:.1e}") for name, value in differences.items()}
        for family, pair in model.pairs.items():
            lines = {side: count_lines(pair[side]) for side in pair}
            metrics |= {f"parameters_{family}": pair["reference"].num_parameters()}
            metrics |= {f"lines_{family}_transformers": lines["transformers"], "lines_reference": lines["reference"]}

        def report():
            timing = (script.block_size, script.generated_tokens, script.speed_rounds, script.speed_variants)
            speeds = measure_speed(trainer, *timing) if script.speed_rounds else {}
            return write_comparison(run.folder, trainer, differences, speeds)

        rows = run.on_main(report)
        curves = {name: [f"loss_{name}_transformers", f"loss_{name}"] for name in families}
        card = {
            "what": __doc__.split("\n\n")[1],
            "data": [facts["train"], facts["eval"], *data.notes, f"[All that was measured]({FILE})"],
            "samples": rows,
            "samples_title": "Side by side",
        }
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
