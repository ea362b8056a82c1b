"""Our NER recipe beside a plain transformers Trainer: same model, data, batch size, steps and precision, in turn.

    python bench/ner.py --model DIR --dataset CONLL_FOLDER                     # three epochs, three rounds
    python bench/ner.py --model DIR --dataset CONLL_FOLDER --max_train_samples 2000 --epochs 1 --rounds 1

The plain side is the token classification of the Hugging Face course: labels on first sub-tokens, dynamic padding by
DataCollatorForTokenClassification, random order, the model's own loss, seqeval after each epoch. fp32 on both sides.
Sentences a second are those of training, without the evaluations; the seconds in all are from the start of the process
to its end: imports, tokenising, training, evaluations, saving, on the clock and of the CPU, which other work on the
machine does not touch. The F1 of both final models is measured by the same
code, sentence by sentence. Each round has another seed.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.ner import TaggedSentences, tags_to_bio
from hfcourse.metrics.spans import span_scores, spans

import torch
from datasets import Dataset, load_dataset
from seqeval.metrics import f1_score, precision_score, recall_score
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)


ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/pretrain/bert-tiny")
    parser.add_argument("--dataset", default="runs/world/ner")
    parser.add_argument("--max_train_samples", type=int)
    parser.add_argument("--max_eval_samples", type=int)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--learning_rate", type=float, default=5e-4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--plain", metavar="FOLDER", help=argparse.SUPPRESS)  # the plain side, a process of its own
    options = parser.parse_args()
    if options.plain:
        plain(options, Path(options.dataset), Path(options.plain))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


def compare(options: argparse.Namespace, folder: Path) -> None:
    samples = {"max_train_samples": options.max_train_samples, "max_eval_samples": options.max_eval_samples}
    data = load_data(DataArguments(dataset_name=options.dataset, **samples), TaggedSentences(), 0)
    tags_to_bio(data)
    (folder / "data").mkdir()
    for name, split in (("train", data.train), ("test", data.test)):
        rows = ({"tokens": row["tokens"], "ner_tags": row["tags"]} for row in split.dataset)
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    found: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    for seed in range(options.first_seed, options.first_seed + options.rounds):
        for side, command in (("ours", ours), ("plain", stock)):
            out = folder / f"{side}-{seed}"
            started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                command(options, folder / "data", out, seed),
                capture_output=True,
                text=True,
                env=os.environ | {"CI": "1"},
            )
            if done.returncode != 0:
                sys.exit(f"{side}\n{done.stdout}\n{done.stderr}")
            wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            seconds = json.loads((out / "results.json").read_text())["seconds"]
            speed = options.epochs * len(data.train.dataset) / seconds
            found[side].append({"speed": speed, "wall": wall, "cpu": cpu, "f1": f1_of(out, data.test.dataset)})
            print(side, {k: round(v, 4) for k, v in found[side][-1].items()}, flush=True)

    print(
        f"\n{options.model} on {options.dataset}, {len(data.train.dataset)} sentences, {options.epochs} epochs of",
        end=" ",
    )
    print(f"batches of {options.batch_size}; medians of {options.rounds} rounds; torch {torch.__version__}", end=", ")
    print(f"{torch.get_num_threads()} threads")
    names = {"speed": "training sentences/s", "wall": "seconds in all", "cpu": "CPU seconds in all", "f1": "F1"}
    for key, name in names.items():
        mine, theirs = ([row[key] for row in found[side]] for side in ("ours", "plain"))
        ratios = [a / b if b else 0.0 for a, b in zip(mine, theirs, strict=True)]
        print(
            f"{name:<22} ours {statistics.median(mine):>9.4g}   plain {statistics.median(theirs):>9.4g}   "
            f"ours/plain {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


def shared(options: argparse.Namespace, out: Path, seed: int) -> dict[str, object]:
    """TrainingArguments of both sides."""
    return {
        "output_dir": str(out),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.batch_size,
        "per_device_eval_batch_size": 64,
        "learning_rate": options.learning_rate,
        "optim": "adamw_torch_fused",
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "logging_steps": 50,
        "seed": seed,
    }


def ours(options: argparse.Namespace, data: Path, out: Path, seed: int) -> list[str]:
    arguments = shared(options, out, seed) | {"model_name_or_path": options.model, "dataset_name": data}
    arguments["train_sampling_strategy"] = "group_by_length"
    given = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    return [sys.executable, str(ROOT / "recipes/ner.py"), *given]


def stock(options: argparse.Namespace, data: Path, out: Path, seed: int) -> list[str]:
    command = [sys.executable, str(Path(__file__)), "--plain", str(out), "--dataset", str(data), "--seed", str(seed)]
    for name in ("model", "batch_size", "learning_rate", "epochs"):
        command += [f"--{name}", str(getattr(options, name))]
    return command


def plain(options: argparse.Namespace, data: Path, out: Path) -> None:
    """What one writes without a recipe."""
    set_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    files = {name: str(data / f"{name}.jsonl") for name in ("train", "test")}
    rows = load_dataset("json", data_files=files)
    labels = sorted({tag for tags in rows["train"]["ner_tags"] for tag in tags})
    ids = {label: i for i, label in enumerate(labels)}

    def encode(batch: dict) -> dict:
        encoded = tokenizer(batch["tokens"], truncation=True, max_length=512, is_split_into_words=True)
        encoded["labels"] = []
        for i, tags in enumerate(batch["ner_tags"]):
            words = encoded.word_ids(i)
            first = [word is not None and (k == 0 or words[k - 1] != word) for k, word in enumerate(words)]
            encoded["labels"].append([ids[tags[w]] if new else -100 for w, new in zip(words, first, strict=True)])
        return encoded

    def compute_metrics(prediction: tuple) -> dict[str, float]:
        best, gold = prediction[0].argmax(-1), prediction[1]
        sides = [
            [
                [labels[i] for i, g in zip(row, golds, strict=True) if g != -100]
                for row, golds in zip(side, gold, strict=True)
            ]
            for side in (gold, best)
        ]
        return {"f1": f1_score(*sides), "precision": precision_score(*sides), "recall": recall_score(*sides)}

    encoded = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)
    trainer = Trainer(
        model=AutoModelForTokenClassification.from_pretrained(
            options.model, id2label=dict(enumerate(labels)), label2id=ids, num_labels=len(labels)
        ),
        args=TrainingArguments(**shared(options, out, options.seed), report_to="none"),
        train_dataset=encoded["train"],
        eval_dataset=encoded["test"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    seconds = trainer.train().metrics["train_runtime"]
    seconds -= sum(entry["eval_runtime"] for entry in trainer.state.log_history if "eval_runtime" in entry)
    trainer.save_model()
    (out / "results.json").write_text(json.dumps({"seconds": seconds}))


@torch.no_grad()
def f1_of(folder: Path, rows: Dataset) -> float:
    """F1 over whole sentences of a saved model, one by one."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    found = []
    for row in rows:
        encoded = tokenizer(
            row["tokens"], is_split_into_words=True, return_tensors="pt", truncation=True, max_length=512
        )
        best, words = model(**encoded).logits[0].argmax(-1).tolist(), encoded.word_ids()
        tags = ["O"] * len(row["tokens"])
        for i, word in enumerate(words):
            if word is not None and words[i - 1] != word:
                tags[word] = model.config.id2label[best[i]]
        found.append(tags)
    return span_scores(spans(rows["tags"]), spans(found))["f1"]


if __name__ == "__main__":
    main()
