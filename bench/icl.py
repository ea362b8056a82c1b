"""Our shared-prefix engine beside lm-evaluation-harness 0.4.13: the same requests to the same weights, in turn.

    python bench/icl.py --lm_eval DIR/bin/python                                   # a GPT-2 of 3 million parameters
    python bench/icl.py --lm_eval DIR/bin/python --models gpt2,llama,t5 --shots 4 --rounds 1           # exactness
    python bench/icl.py --lm_eval DIR/bin/python --models FOLDER --tasks FILE --dataset FOLDER --shots 16

DIR is a virtual environment with lm_eval[hf]==0.4.13 and the versions of constraints.txt; this project does not need
it. The models gpt2, llama and t5 have random weights (large ones, so that a wrong token shows) and a tokenizer of the
embedded corpus; a folder is a checkpoint. Requests are the labels of the first items behind k gold demonstrations.
Each side is a process of its own that gets the texts: what is timed is from texts to log-likelihoods, tokenising and
model, without imports and loading. Memory is the peak of the process above what it had when a case began.
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
    parser.add_argument("--alone", action="store_true", help="score each request by one plain call as well")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "MODEL", "REQUESTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options, *options.side)
        return
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models.split(","):
            compare(options, Path(folder), model)


def compare(options: argparse.Namespace, folder: Path, name: str) -> None:
    """All tasks and numbers of demonstrations with one model: a process for each side and round."""
    model = make_model(name, folder / name) if name in ("gpt2", "llama", "t5") else Path(name)
    cases = [(task, int(k)) for task in options.tasks.split(",") for k in options.shots.split(",")]
    made = [make_requests(options, model, task, shots) for task, shots in cases]
    path = folder / "requests.json"
    path.write_text(json.dumps([requests for requests, _ in made]), encoding="utf-8")
    found: dict[str, list[list[dict]]] = {"ours": [], "lm_eval": []}
    for _ in range(options.rounds):
        for side, python in (("ours", sys.executable), ("lm_eval", options.lm_eval)):
            command = [python, __file__, "--side", side, str(model), str(path)]
            command += ["--batch_size", str(options.batch_size), "--batch_tokens", str(options.batch_tokens)]
            command += ["--alone"] * options.alone
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{side}\n{done.stdout}\n{done.stderr}")
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    for i, ((task, shots), (requests, labels)) in enumerate(zip(cases, made, strict=True)):
        ours, theirs = ([rounds[i] for rounds in found[side]] for side in ("ours", "lm_eval"))
        print(f"\n{name}, {Path(task).stem}, k = {shots}: {len(requests)} requests, {ours[0]['tokens']:,} tokens")
        report(ours, theirs, labels)


def report(ours: list[dict], theirs: list[dict], labels: int) -> None:
    """What the rounds of both sides say of one case."""
    pairs = list(zip(ours[0]["scores"], theirs[0]["scores"], strict=True))
    greedy = sum(a[1] == b[1] for a, b in pairs)
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    best = [[max(range(labels), key=lambda i: row[i][0]) for row in rows(side, labels)] for side in sides]
    same = sum(a == b for a, b in zip(*best, strict=True))
    worst = max(abs(a[0] - b[0]) for a, b in pairs)
    longest = ours[0]["longest"]
    print(f"log-likelihoods differ by {worst:.1e} at most (labels of up to {longest} tokens); ", end="")
    print(f"greedy equal {greedy} of {len(pairs)}; predictions equal {same} of {len(best[0])}")
    if ours[0]["alone"] is not None:
        print(f"ours and one plain call of the model for each request differ by {ours[0]['alone']:.1e} at most")
    for key, unit in (("speed", "requests/s"), ("memory", "MB above the start")):
        mine, other = ([row[key] for row in side] for side in (ours, theirs))
        ratios = [a / b for a, b in zip(mine, other, strict=True) if b] or [float("nan")]
        print(
            f"{unit:<26} ours {statistics.median(mine):>8.4g}   harness {statistics.median(other):>8.4g}   "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            flush=True,
        )


def rows(scores: list, labels: int) -> list[list]:
    return [scores[i : i + labels] for i in range(0, len(scores), labels)]


def make_requests(options: argparse.Namespace, model: Path, path: str, shots: int) -> tuple[list[list], int]:
    """[demonstrations, context, continuation] of every label of every item, and how many labels an item has.

    Items that are longer than the model reads are left out: the harness would cut them.
    """
    from hfcourse.data.arguments import DataArguments
    from hfcourse.data.load import load_data
    from hfcourse.icl.demonstrations import draw_order, gold
    from hfcourse.icl.groups import load_tasks
    from hfcourse.icl.prompts import of, write_demonstrations
    from hfcourse.icl.task import TaskRows
    from hfcourse.run.arguments import read_yaml

    from transformers import AutoConfig, AutoTokenizer

    def load(task):  # type: ignore[no-untyped-def]
        source = {"dataset_name": options.dataset} if options.dataset else task.source
        return load_data(DataArguments(**source, max_eval_samples=options.items), TaskRows(task), 0)

    (loaded,) = load_tasks(path, read_yaml, load)
    chosen = draw_order(loaded.pool, 100, balanced=True)[:shots]
    demonstrations = write_demonstrations(loaded.task, gold(chosen, None))  # type: ignore[arg-type]
    pairs = [of(item, loaded.task, channel=False) for item in loaded.items]
    limit = getattr(AutoConfig.from_pretrained(model), "max_position_embeddings", sys.maxsize)
    tokenizer, before = AutoTokenizer.from_pretrained(model), "".join(demonstrations)
    texts = [[before + pair.context + pair.target for pair in item] for item in pairs]
    longest = [max(map(len, tokenizer(item, verbose=False)["input_ids"])) for item in texts]
    pairs = [item for item, length in zip(pairs, longest, strict=True) if length <= limit]
    if not pairs:
        sys.exit(f"{path}: no item of the first {len(texts)} fits with {shots} demonstrations")
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
    """Score each case and print one line of JSON: scores, requests a second, MB, tokens of the requests."""
    cases = json.loads(Path(path).read_text(encoding="utf-8"))
    if side == "ours":
        score, alone = our_side(model, options.batch_tokens)
    else:
        score, alone = their_side(model, options.batch_size), None
    found = []
    for requests in cases:
        memory, began = Memory(), time.perf_counter()
        scores, tokens, longest = score(requests)
        seconds = time.perf_counter() - began
        memory.over = True
        found.append({"scores": scores, "speed": len(requests) / seconds, "memory": memory.peak - memory.before})
        found[-1] |= {"tokens": tokens, "longest": longest}
        found[-1]["alone"] = alone(requests, scores) if alone and options.alone else None
    print(json.dumps(found))


def our_side(folder: str, budget: int):  # type: ignore[no-untyped-def]
    from hfcourse.icl.encoder_decoder import EncoderDecoder
    from hfcourse.icl.engine import Causal, Query, score_alone
    from hfcourse.icl.prompts import Encoder, Pair
    from hfcourse.run.models import load_for_scoring

    import torch
    from trl import ModelConfig

    model, tokenizer, _ = load_for_scoring(
        ModelConfig(model_name_or_path=folder, dtype="float32"), torch.device("cpu")
    )
    encoder = Encoder(tokenizer, model.config.is_encoder_decoder)
    engine = (EncoderDecoder if model.config.is_encoder_decoder else Causal)(model, budget)

    def encode(requests: list[list]) -> list[list[Query]]:
        items: dict[str, list[Pair]] = {}
        for _, context, target in requests:
            items.setdefault(context, []).append(Pair(context, target))
        encoded = encoder.encode(requests[0][0], list(items.values()))
        return [encoded.queries(i) for i in range(len(items))]

    def score(requests: list[list]) -> tuple[list, int, int]:
        engine.asked = 0
        scores = [score for item in engine.score(encode(requests)) for score in item]
        return [[score.logprob, score.greedy] for score in scores], engine.asked, max(s.tokens for s in scores)

    def alone(requests: list[list], scores: list[list]) -> float:
        queries = [query for item in encode(requests) for query in item]
        pairs = zip(queries, scores, strict=True)
        return max(abs(score_alone(model, query).logprob - logprob) for query, (logprob, _) in pairs)

    return score, alone


def their_side(folder: str, batch_size: int):  # type: ignore[no-untyped-def]
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=batch_size)

    def score(requests: list[list]) -> tuple[list, int, int]:
        instances = [
            Instance("loglikelihood", {}, ("".join(demonstrations) + context, target), i)
            for i, (demonstrations, context, target) in enumerate(requests)
        ]
        return [list(pair) for pair in lm.loglikelihood(instances, disable_tqdm=True)], 0, 0

    return score


if __name__ == "__main__":
    main()
