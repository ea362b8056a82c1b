"""Sequence to sequence: one text in, another out; one model translates both ways.

An encoder-decoder reads a task's prefix and a text, and learns to write the target token by token, given the true ones
before (Raffel et al. 2020, section 2.4). On the embedded world a T5 that has filled gaps in documents of two languages
translates sentences whose words it knows and whose combination it has never seen.

    make seq2seq                                                 # translation, embedded, from runs/pretrain/t5-tiny
    make seq2seq CONFIG=configs/seq2seq/vaswani-tiny.yaml        # the Transformer of 2017, from random weights
    python recipes/seq2seq.py --config configs/seq2seq/tiny.yaml --dataset_name my/pairs.jsonl --output_dir runs/mine

Result: BLEU on new combinations of known words. Metrics, all also with _before: loss (nats per token of the target,
given the true ones before it); with --predict_with_generate bleu_<a>_<b> of a translation (sacrebleu), rouge1 and
rougeL of a summary, exact_match of a correction, all from 0 to 100, of greedy texts; <name>_beam<n> of beam search,
after training; and what needs no model: rouge1_lead1, rouge1_lead3 (the first sentences), exact_match_copy.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.pairs import Pairs, find_tasks, with_tasks
from hfcourse.data.sequences import Sequences, all_texts, to_sequences
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.encoder_decoder import load_encoder_decoder, prepare_generation
from hfcourse.run.models import read_architecture
from hfcourse.run.plan import describe_rows
from hfcourse.run.seq2seq import Writer

from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainingArguments
from trl import ModelConfig


@dataclass
class Seq2SeqArguments(RunArguments, DataArguments):
    columns: list[str] | None = field(
        default=None, metadata={"help": "Names of the columns of source and target, where they can't be told."}
    )
    tasks: list[str] | None = field(
        default=None,
        metadata={"help": "translation_en_to_zh, summarization, correction, text2text; without it, by the columns."},
    )
    prefix: str | None = field(default=None, metadata={"help": "Stands before each source, in place of T5's own."})
    architecture: dict | str | None = field(
        default=None, metadata={"help": "New weights: model_type (t5, hfcourse, ...) and sizes, as YAML or JSON."}
    )
    tokenizer_name_or_path: str | None = field(
        default=None, metadata={"help": "Tokenizer of new weights; without it one of their vocab_size is trained."}
    )
    max_source_length: int = field(default=512, metadata={"help": "Tokens of prefix and source, the rest is cut."})
    max_target_length: int = field(default=128, metadata={"help": "Tokens of a target, also of a text it writes."})

    def __post_init__(self):
        self.architecture = read_architecture(self.architecture)


def main():
    with start("seq2seq", Seq2SeqArguments, Seq2SeqTrainingArguments, ModelConfig) as run:
        script, training, model_args = run.arguments

        pairs = Pairs(script.columns)
        data = load_data(script, pairs, training.seed)
        tasks = find_tasks(pairs.names, script.tasks, script.prefix)
        train = with_tasks(data.train, tasks)
        test = with_tasks(data.test, tasks) if data.test else None

        tokenizer = script.tokenizer_name_or_path
        if script.architecture and not tokenizer:
            tokenizer = train_tokenizer(all_texts(train, tasks), script.architecture.get("vocab_size", 8000), "span")
        model, tokenizer, loaded = load_encoder_decoder(model_args, script.architecture, tokenizer)
        ends = prepare_generation(model, tokenizer, script.max_source_length, script.max_target_length)
        model.config.task_specific_params = {task.name: {"prefix": task.prefix} for task in tasks}

        sequences = Sequences(tokenizer, tasks, script.max_source_length, script.max_target_length, ends)
        train = to_sequences(train, sequences, data.notes)
        test = to_sequences(test, sequences, data.notes, shortest_first=True) if test else None

        trainer = Writer(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset if test else None,
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            processing_class=tokenizer,
            examples=test.dataset if test else None,
            tasks=tasks,
            run=run,
        )

        told = [f"{task.name}: {task.prefix!r} before each source." for task in tasks]
        notes = [loaded, *told, *data.notes]
        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": notes}
        run.plan(trainer, tokenizer, model_args.model_name_or_path or script.architecture["model_type"], facts)

        def measure():
            metrics = trainer.evaluate()
            loss = {"loss": metrics["eval_loss"]} if test else {}
            return {"scores": loss | trainer.scores, "texts": trainer.sample_texts()}

        before = run.train(trainer, measure)
        after = measure()

        metrics = {f"{name}_before": value for name, value in before["scores"].items()} | after["scores"]
        metrics |= trainer.final_scores()
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": tasks[0].pipeline_tag,
            "data": [facts["train"], facts["eval"], *notes],
            "samples": trainer.samples(before["texts"], after["texts"]),
        }
        curves = {"loss": ["loss", "eval_loss"], "greedy texts": list(trainer.scores)}
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
