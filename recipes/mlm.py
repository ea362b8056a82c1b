"""Masked language modelling: a model has read every fact; does it have to know them to guess a hidden token?

BERT's objective (Devlin et al. 2018, section 3.1) on a checkpoint that was pre-trained before: more of the same, or
the texts of a new domain (Gururangan et al. 2020). On the embedded world the base model was trained on single tokens,
and the rest of a Chinese name tells the one that is hidden; whole-word masking (Cui et al. 2019) hides all of it.

    make mlm                                            # the embedded world, from runs/pretrain/bert-tiny
    python recipes/mlm.py --config configs/mlm/tiny.yaml --dataset_name my/texts --exam none

Result: held-out perplexity of whole words falls from 27 to 2, and seven facts of ten come to be known in a language,
Chinese names of three to seven characters all at once (docs/concepts/mlm.md). Metrics, all also with _before:
perplexity (exp of the mean loss per masked token; held-out documents, masks fixed by the seed); masked_accuracy (0 to
1), and of it masked_accuracy_mask, _random and _kept, by what stands in the token's place; with --exam
fact_accuracy_<lang> (share of gaps whose every piece is right, all filled at once).
"""

import math
from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.objectives import Masked
from hfcourse.data.texts import Texts, to_blocks
from hfcourse.data.words import Words
from hfcourse.errors import InputError
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.fill_mask import read_cloze
from hfcourse.run.mlm import MaskedTrainer
from hfcourse.run.models import load_checkpoint, longest_input
from hfcourse.run.plan import describe_rows

from transformers import AutoModelForMaskedLM, TrainingArguments
from trl import ModelConfig


SAMPLES = 10


@dataclass
class MLMArguments(RunArguments, DataArguments):
    block_size: int = field(default=128, metadata={"help": "Tokens in a packed block, [CLS] and [SEP] among them."})
    probability: float = field(default=0.15, metadata={"help": "Share of the tokens to predict."})
    packing: bool = field(default=True, metadata={"help": "Pack documents; without, each has rows of its own."})
    whole_word_masking: bool = field(default=False, metadata={"help": "Mask words as a whole, not single tokens."})
    rarity: float = field(default=0.0, metadata={"help": "Draw whole words met n times by weight n ** -rarity."})
    short_rows: float = field(default=0.0, metadata={"help": "Share of the rows of which training shows a piece."})
    exam: str | None = field(
        default=None, metadata={"help": "JSONL of texts with a [MASK] and its answer, asked before, during and after."}
    )

    def __post_init__(self):
        if self.rarity and not self.whole_word_masking:
            raise InputError("--rarity weighs words: it belongs to --whole_word_masking")


def main():
    with start("mlm", MLMArguments, TrainingArguments, ModelConfig) as run:
        script, training, model_args = run.arguments
        training.remove_unused_columns = False  # the collator reads word_ids

        model, tokenizer, loaded = load_checkpoint(model_args, AutoModelForMaskedLM)
        objective = Masked(tokenizer, training.seed, script.probability, script.rarity, script.short_rows)
        longest = longest_input(model, tokenizer)
        if script.block_size > longest:
            raise InputError(f"--block_size {script.block_size}: this model takes at most {longest} tokens")
        exam = read_cloze(script.exam, tokenizer, longest)

        data = load_data(script, Texts(), training.seed)
        texts = (row["text"] for row in data.train.dataset)
        words = Words(tokenizer, texts) if script.whole_word_masking else None
        cut = {"block_size": script.block_size, "framed": True, "words": words, "packing": script.packing}
        train = to_blocks(data.train, tokenizer, **cut)
        test = to_blocks(data.test, tokenizer, **cut) if data.test else None
        if script.rarity:
            objective.count(train.dataset)

        trainer = MaskedTrainer(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset.map(objective.fixed) if test else None,
            data_collator=objective,
            processing_class=tokenizer,
            questions=exam,
            run=run,
        )

        notes = [loaded, *data.notes]
        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": notes}
        run.plan(trainer, tokenizer, model_args.model_name_or_path, facts)

        shown = sorted({i * (len(exam) - 1) // (SAMPLES - 1) for i in range(SAMPLES)}) if exam else []

        def measure():
            metrics = trainer.evaluate()
            perplexity = {"perplexity": math.exp(metrics["eval_loss"])} if test else {}
            scores = {name: value for name, value in metrics.items() if "accuracy" in name}
            return {"scores": perplexity | scores, "answers": [tokenizer.decode(trainer.answers[i]) for i in shown]}

        before = run.train(trainer, measure)
        after = measure()

        metrics = {f"{name}_before": value for name, value in before["scores"].items()} | after["scores"]
        facts_known = [name for name in after["scores"] if name.startswith("fact")]
        curves = {"loss": ["loss", "eval_loss"], "fact accuracy": facts_known, "accuracy": ["masked_accuracy"]}
        pairs = zip([exam[i] for i in shown], before["answers"], after["answers"], strict=True)
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "fill-mask",
            "data": [facts["train"], facts["eval"], *notes],
            "samples": [{"text": q.text, "expected": q.answer, "before": b, "after": a} for q, b, a in pairs],
        }
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
