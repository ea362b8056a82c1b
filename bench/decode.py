"""Each strategy from scratch beside `generate`: the same tokens, the seconds of both in turn, their ratio.

    python bench/decode.py                                                  # a GPT-2 of 4 layers, random weights
    python bench/decode.py --model runs/pretrain/gpt2-tiny --rounds 9
    python bench/decode.py --strategies greedy beam=5 --prompts 32 --new 128
    python bench/decode.py --model runs/pretrain/gpt2-tiny --infiller runs/pretrain/bert-tiny --strategies

Both sides get the same prompts of one length and the same state of chance. `generate` has contrastive search from
hfcourse as well (transformers moved its own to a repository whose code would be downloaded), so that its ratio shows
what `generate` itself costs. With --infiller: mask-predict and left to right of a masked model beside greedy
`generate` of the causal one, on as many prompts and tokens.
"""

import argparse
import os
import statistics
import time
from functools import partial

from hfcourse.decode.mask_predict import left_to_right, mask_predict
from hfcourse.decode.strategies import Strategy, parse_strategy
from hfcourse.run.decode import powers_of_two

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    set_seed,
)
from transformers.utils import logging


STRATEGIES = ["greedy", "sample", "temperature=0.7", "top_k=50", "top_p=0.9", "min_p=0.1", "repetition_penalty=1.2"]
STRATEGIES += ["no_repeat_ngram=3", "beam=5", "contrastive=0.6"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint folder; without it, a GPT-2 of random weights")
    parser.add_argument("--strategies", nargs="*", default=STRATEGIES)
    parser.add_argument("--infiller", help="a masked model's folder")
    parser.add_argument(
        "--prompts", type=int, default=8, help="at once; beam and contrastive search take them in turn"
    )
    parser.add_argument("--length", type=int, default=32, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=64, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores; {vars(options)}")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(0)
    model = AutoModelForCausalLM.from_pretrained(options.model) if options.model else random_model()
    ids = torch.randint(model.config.vocab_size, (options.prompts, options.length))
    for text in options.strategies:
        compare(model.eval(), parse_strategy(text), ids, options)
    if options.infiller:
        compare_passes(model.eval(), ids, options)


def random_model() -> GPT2LMHeadModel:
    sizes = {"n_layer": 4, "n_head": 4, "n_embd": 256, "n_positions": 512, "vocab_size": 8192}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, initializer_range=0.1))


@torch.no_grad()
def compare(model, strategy: Strategy, ids: torch.Tensor, options: argparse.Namespace) -> None:
    """Seconds of both sides, in turn; medians, and the ratio of each round."""
    stop, pad = (
        model.generation_config.eos_token_id,
        1,
    )  # a pad of 0 is one that beam search replaces (transformers 5.23)

    def generate() -> torch.Tensor:
        arguments = strategy.arguments()
        return model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=options.new,
            pad_token_id=pad,
            **arguments,
        )

    sides = {"generate": generate, "scratch": lambda: strategy.write(model, ids, options.new, [stop], pad)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    written: dict[str, torch.Tensor] = {}
    for round_ in range(options.rounds + 1):  # the first one warms up
        for side in list(sides) if round_ % 2 else list(sides)[::-1]:
            torch.manual_seed(round_)
            started = time.perf_counter()
            written[side] = sides[side]()
            if round_:
                seconds[side].append(time.perf_counter() - started)
        shortest = min(text.shape[1] for text in written.values())
        assert torch.equal(*(text[:, :shortest] for text in written.values())), f"{strategy.text}: other tokens"
    ratios = [scratch / stock for scratch, stock in zip(seconds["scratch"], seconds["generate"], strict=True)]
    scratch, stock = (statistics.median(seconds[side]) for side in ("scratch", "generate"))
    print(
        f"{strategy.text}: equal tokens; from scratch {scratch:.3f} s, generate {stock:.3f} s, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        flush=True,
    )


@torch.no_grad()
def compare_passes(causal, ids: torch.Tensor, options: argparse.Namespace) -> None:
    """Seconds of each number of passes and of greedy `generate`, in turn, and their ratio."""
    tokenizer = AutoTokenizer.from_pretrained(options.infiller)
    masked = AutoModelForMaskedLM.from_pretrained(options.infiller).eval()
    mask, never = tokenizer.mask_token_id, set(tokenizer.all_special_ids)
    shape = (options.prompts, options.length)
    known = torch.randint(len(never), masked.config.vocab_size, shape)
    rows = torch.cat([known, torch.full((options.prompts, options.new), mask)], 1)
    greedy = parse_strategy("greedy").arguments() | {"min_new_tokens": options.new}  # none ends sooner

    def generate() -> torch.Tensor:
        full = torch.ones_like(ids)
        return causal.generate(
            input_ids=ids, attention_mask=full, max_new_tokens=options.new, pad_token_id=1, **greedy
        )

    for name in powers_of_two(options.new):
        if name.isdecimal():
            fill = partial(mask_predict, masked, rows, mask, int(name), never)
        else:
            fill = partial(left_to_right, masked, rows, mask, never)
        ratios = []
        for _ in range(options.rounds):
            times = [time.perf_counter()]
            for act in (fill, generate):
                act()
                times.append(time.perf_counter())
            ratios.append((times[1] - times[0]) / (times[2] - times[1]))
        print(
            f"passes {name}: {statistics.median(ratios):.2f} times greedy generate's seconds "
            f"({min(ratios):.2f}-{max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
