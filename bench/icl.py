"""Our shared-prefix engine beside lm-evaluation-harness 0.4.13: the same requests to the same weights, in turn.

    python bench/icl.py --lm_eval DIR/bin/python                                   # a GPT-2 of 3 million parameters
    python bench/icl.py --lm_eval DIR/bin/python --models gpt2,llama,t5 --shots 4 --rounds 1           # exactness
    python bench/icl.py --lm_eval DIR/bin/python --models FOLDER --tasks FILE --dataset FOLDER --shots 16

DIR is a virtual environment with lm_eval[hf]==0.4.13 and the versions of constraints.txt; this project does not need
it. The models gpt2, llama and t5 have random weights (large ones, so that a wrong token shows) and a tokenizer of the
embedded corpus; a folder is a checkpoint. Requests are the labels of the first items behind k gold demonstrations.
Each side is a process of its own that gets the texts: what is timed is from texts to log-likelihoods, tokenising and
model, without imports and loading. Memory is the peak of the process above what it had when the model was loaded.
The harness's default keeps one pass for labels of one token that have the same context (logits_cache), as ours does.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm_eval", default=sys.executable, help="a Python with lm_eval 0.4.13")
    parser.add_argument("--models", default="gpt2")
    parser.add_argument("--tasks", default="configs/icl/tasks/sentiment_en.yaml")
    parser.add_argument("--dataset", help="other data for the task")
    parser.add_argument("--shots", default="16,32")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=8, help="of the harness")
    parser.add_argument("--batch_tokens", type=int, default=512, help="of ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=3, metavar=("NAME", "MODEL", "REQUESTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options, *options.side)
        return
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models.split(","):
            for task in options.tasks.split(","):
                for shots in map(int, options.shots.split(",")):
                    compare(options, Path(folder), model, task, shots)


def compare(options: argparse.Namespace, folder: Path, name: str, task: str, shots: int) -> None:
    model = make_model(name, folder / name) if name in ("gpt2", "llama", "t5") else Path(name)
    requests, labels = make_requests(options, task, shots)
    path = folder / "requests.json"
    path.write_text(json.dumps(requests), encoding="utf-8")
    found: dict[str, list[dict]] = {"ours": [], "lm_eval": []}
    for _ in range(options.rounds):
        for side, python in (("ours", sys.executable), ("lm_eval", options.lm_eval)):
            command = [python, __file__, "--side", side, str(model), str(path)]
            command += ["--batch_size", str(options.batch_size), "--batch_tokens", str(options.batch_tokens)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{side}\n{done.stdout}\n{done.stderr}")
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    ours, theirs = found["ours"][0]["scores"], found["lm_eval"][0]["scores"]
    worst = max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True))
    greedy = sum(a[1] == b[1] for a, b in zip(ours, theirs, strict=True))
    best = [[max(range(labels), key=lambda i: row[i][0]) for row in rows(side, labels)] for side in (ours, theirs)]
    same = sum(a == b for a, b in zip(*best, strict=True))
    print(f"\n{name}, {Path(task).stem}, k = {shots}: {len(requests)} requests, {found['ours'][0]['tokens']:,} tokens")
    print(f"log-likelihoods differ by {worst:.1e} at most; greedy equal {greedy} of {len(ours)}; ", end="")
    print(f"predictions equal {same} of {len(best[0])}")
    for key, unit in (("speed", "requests/s"), ("memory", "MB above the loaded model")):
        mine, other = ([row[key] for row in found[side]] for side in ("ours", "lm_eval"))
        ratios = [a / b for a, b in zip(mine, other, strict=True)]
        print(
            f"{unit:<26} ours {statistics.median(mine):>8.4g}   harness {statistics.median(other):>8.4g}   "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            flush=True,
        )


def rows(scores: list, labels: int) -> list[list]:
    return [scores[i : i + labels] for i in range(0, len(scores), labels)]


def make_requests(options: argparse.Namespace, path: str, shots: int) -> tuple[list[list], int]:
    """[demonstrations, context, continuation] of every label of every item, and how many labels an item has."""
    from hfcourse.data.arguments import DataArguments
    from hfcourse.icl.demonstrations import draw_order, gold
    from hfcourse.icl.prompts import of, write_demonstrations
    from hfcourse.run.icl import load_tasks

    data = DataArguments(dataset_name=options.dataset, max_eval_samples=options.items)
    (loaded,) = load_tasks(path, data, seed=0)
    chosen = draw_order(loaded.pool, 100, balanced=True)[:shots]
    demonstrations = write_demonstrations(loaded.task, gold(chosen, None))  # type: ignore[arg-type]
    pairs = [of(item, loaded.task, channel=False) for item in loaded.items]
    return [[demonstrations, pair.context, pair.target] for item in pairs for pair in item], len(pairs[0])


def make_model(kind: str, folder: Path) -> Path:
    from hfcourse.data.tokenizer import train_tokenizer

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    if folder.exists():
        return folder
    lines = Path("runs/world/icl/corpus/train.jsonl").read_text(encoding="utf-8").splitlines()
    tokenizer = train_tokenizer(
        [json.loads(line)["text"] for line in lines], 1536, "span" if kind == "t5" else "causal"
    )
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "vocab_size": len(tokenizer),
    }
    sizes = {
        "gpt2": {"n_layer": 4, "n_head": 4, "n_embd": 256, "n_positions": 2048},
        "llama": {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 256,
                  "intermediate_size": 688, "max_position_embeddings": 2048},
        "t5": {"num_layers": 2, "num_heads": 4, "d_model": 128, "d_kv": 32, "d_ff": 256, "decoder_start_token_id": 0,
               "pad_token_id": tokenizer.pad_token_id},
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **ids, **sizes[kind])
    torch.manual_seed(0)
    model = (AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.08)
    model.save_pretrained(folder)
    tokenizer.model_max_length = 2048
    tokenizer.save_pretrained(folder)
    return folder


class Memory(threading.Thread):
    """The largest resident memory while it runs, in MB; ru_maxrss would not forget what loading took."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = self.resident()
        self.over = False
        self.start()

    @staticmethod
    def resident() -> float:
        try:
            return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        except OSError:  # no Linux
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def run(self) -> None:
        while not self.over:
            self.peak = max(self.peak, self.resident())
            time.sleep(0.002)


def run_side(options: argparse.Namespace, side: str, model: str, path: str) -> None:
    """Score the requests and print one line of JSON: scores, requests a second, MB, tokens of the requests."""
    requests = json.loads(Path(path).read_text(encoding="utf-8"))
    score = our_side(model, options.batch_tokens) if side == "ours" else their_side(model, options.batch_size)
    memory, began = Memory(), time.perf_counter()
    scores, tokens = score(requests)
    seconds = time.perf_counter() - began
    memory.over = True
    used = memory.peak - memory.before
    print(json.dumps({"scores": scores, "speed": len(requests) / seconds, "memory": used, "tokens": tokens}))


def our_side(folder: str, budget: int):  # type: ignore[no-untyped-def]
    from hfcourse.icl.encoder_decoder import EncoderDecoder
    from hfcourse.icl.engine import Causal
    from hfcourse.icl.prompts import Encoder, Pair
    from hfcourse.run.models import load_for_scoring

    import torch
    from trl import ModelConfig

    model, tokenizer, _ = load_for_scoring(
        ModelConfig(model_name_or_path=folder, dtype="float32"), torch.device("cpu")
    )
    encoder = Encoder(tokenizer, model.config.is_encoder_decoder)
    engine = (EncoderDecoder if model.config.is_encoder_decoder else Causal)(model, budget)

    def score(requests: list[list]) -> tuple[list, int]:
        items: dict[str, list[Pair]] = {}
        for _, context, target in requests:
            items.setdefault(context, []).append(Pair(context, target))
        encoded = encoder.encode(requests[0][0], list(items.values()))
        found = engine.score([encoded.queries(i) for i in range(len(items))])
        return [[score.logprob, score.greedy] for item in found for score in item], engine.asked

    return score


def their_side(folder: str, batch_size: int):  # type: ignore[no-untyped-def]
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=batch_size)

    def score(requests: list[list]) -> tuple[list, int]:
        instances = [
            Instance("loglikelihood", {}, ("".join(demonstrations) + context, target), i)
            for i, (demonstrations, context, target) in enumerate(requests)
        ]
        return [list(pair) for pair in lm.loglikelihood(instances, disable_tqdm=True)], 0

    return score


if __name__ == "__main__":
    main()
