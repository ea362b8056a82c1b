"""The reference Transformer beside transformers' models: training steps and generation, in turn, for each family.

    python bench/transformer.py                                     # vocabulary 8,192, two sizes, batch 8 x 128
    python bench/transformer.py --sizes 6x384 --families gpt2 --rounds 40
    python bench/transformer.py --sizes 12x768 --families gpt2 --vocab_size 50304 --length 1024 --device cuda --bf16 \\
        --variants eager sdpa compiled                              # GPT-2 124M on a GPU, with MFU

Equal weights and batches, no dropout; what a step is stands in hfcourse/run/speed.py. Ratios are medians over the
rounds, with their range. Peak memory is that of a process that holds one side alone.
"""

import argparse
import os

from hfcourse.run.speed import Case, measure

import torch


DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=["bert", "gpt2", "t5"])
    parser.add_argument("--sizes", nargs="+", default=["2x128", "4x256"], help="layers x width")
    parser.add_argument("--vocab_size", type=int, default=8192)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--generated", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--variants", nargs="+", default=["sdpa"], choices=["sdpa", "eager", "compiled"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores; {vars(options)}")
    keys = [(size, f, variant) for size in options.sizes for f in options.families for variant in options.variants]
    cases = [
        Case(
            config=sizes(family, *map(int, size.split("x")), options),
            batch_size=options.batch_size,
            length=options.length,
            generated=options.generated,
            rounds=options.rounds,
            variant=variant,
            bf16=options.bf16,
            device=options.device,
        )
        for size, family, variant in keys
    ]
    for key, found in zip(keys, measure(cases), strict=True):
        print(" ".join(key))
        for part, values in found.items():
            ours, theirs = values["reference"], values["transformers"]
            text = f"  {part:<11} reference {ours:>10,.4g}   transformers {theirs:>10,.4g}   {ours / theirs:.2f}"
            if "least" in values:
                text += f"; {values['ratio']:.2f} times as fast ({values['least']:.2f}-{values['most']:.2f})"
            print(text, flush=True)


def sizes(family: str, layers: int, width: int, options: argparse.Namespace) -> dict:
    """transformers' config: heads of 32 or 64, an inner width of 4 D, positions for what is asked, no dropout."""
    heads = width // (32 if width < 384 else 64)
    config = {"model_type": family, "vocab_size": options.vocab_size, "pad_token_id": 0, "eos_token_id": 1}
    if family == "t5":
        config |= {"num_layers": layers, "d_model": width, "num_heads": heads, "d_kv": width // heads}
        return config | {"d_ff": 4 * width, "dropout_rate": 0.0, "decoder_start_token_id": 0}
    config |= {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads}
    config |= {"max_position_embeddings": max(options.length, options.length // 4 + options.generated)}
    if family == "gpt2":
        return config | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return config | {"intermediate_size": 4 * width} | dict.fromkeys(DROPOUT, 0.0)


if __name__ == "__main__":
    main()
