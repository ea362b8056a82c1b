"""Decoding: what a model writes depends on how the next token is chosen. Is the likeliest text a good one?

One model, many ways to choose: greedy, beam search, sampling with a temperature, the k likeliest (Fan et al. 2018),
the nucleus (Holtzman et al. 2020), min-p (Nguyen et al. 2024), penalties for repetition (Keskar et al. 2019, Paulus et
al. 2018), contrastive search (Su et al. 2022); nothing is trained. And the other way to generate: all tokens at once,
in N passes, by a masked model (Ghazvininejad et al. 2019, mask-predict).

    make decode                                              # the embedded world: two GPT-2, one BERT, then the texts
    python recipes/decode.py --config configs/decode/tiny.yaml --strategies greedy top_p=0.9+temperature=0.7 --fresh
    accelerate launch recipes/decode.py --config configs/decode/gpt2.yaml

Result: docs/concepts/decode.md. Metrics <way>_<measure>; a way is document (what the documents have themselves), a
strategy's text with =, . and + as _ (beam_5, top_p_0_9), passes_<N> or left_to_right. Measures: perplexity (per token,
under the model without any filter), judge_perplexity (under --judge), repetition (share of 4-grams that their text has
had before), doubled (share of tokens equal to the one before), distinct_2 (different 2-grams of all), self_bleu (0 to
1), length (tokens); with --exam truth_<lang> (share of openings continued with their answer).
"""

from dataclasses import dataclass, field
from functools import partial

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.texts import Texts
from hfcourse.decode.mask_predict import fill_masks
from hfcourse.decode.strategies import check_vocabulary, parse_strategies
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.decode import Writer, make_pieces
from hfcourse.run.decode_report import describe, first_prompts, measure, samples, speed, tables, write_report
from hfcourse.run.evaluation import Journal, do_pieces, refuse_training, show_texts
from hfcourse.run.prompts import load_readers, read_all_prompts

from transformers import TrainingArguments
from trl import ModelConfig


@dataclass
class DecodeArguments(RunArguments, DataArguments):
    strategies: list[str] = field(
        default_factory=lambda: ["greedy", "sample"],
        metadata={"help": "Ways to choose: greedy, beam=5, top_p=0.9+temperature=0.7; an unknown one lists them."},
    )
    prompt_tokens: int = field(default=16, metadata={"help": "Tokens of a document to continue."})
    max_new_tokens: int = field(default=48, metadata={"help": "Tokens to write at most, and to fill at once."})
    batch_size: int = field(default=32, metadata={"help": "Prompts that are continued together."})
    exam: str | None = field(default=None, metadata={"help": "JSONL of texts with a [MASK] and its answer."})
    judge: str | None = field(default=None, metadata={"help": "Another causal model: folder, or name@revision."})
    infiller: str | None = field(default=None, metadata={"help": "A masked model: folder, or name@revision."})


def main():
    with start("decode", DecodeArguments, TrainingArguments, ModelConfig) as run:
        script, training, model_args = run.arguments
        refuse_training(run)
        strategies = parse_strategies(script.strategies)

        readers, loaded = load_readers(model_args, script.judge, script.infiller, training.device)
        check_vocabulary(strategies.values(), readers[0].model.config.vocab_size)

        data = load_data(script, Texts(), training.seed)
        texts = [row["text"] for row in (data.test or data.train).dataset]
        prompts, notes = read_all_prompts(texts, readers, script.exam, script.prompt_tokens, script.max_new_tokens)
        new, size = script.max_new_tokens, script.batch_size
        writer = Writer(*readers, strategies, fill_masks, prompts, new, size, training.seed)
        pieces = make_pieces(writer)

        facts = describe(run, writer, pieces, [loaded, *data.notes, *notes], data)
        run.announce(facts, lambda: show_texts(first_prompts(writer), run.console))

        journal = Journal(run)
        work = {writer.key(piece): partial(writer, piece) for piece in pieces}
        lines = list(do_pieces(run, work, journal).values())

        metrics = measure(writer, pieces, lines)
        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [facts["prompts"], *facts["data"]],
            "tables": tables(metrics, writer, pieces, lines),
            "samples": samples(writer, pieces, lines),
        }
        run.conclude(
            {"metrics": metrics, **speed(pieces, lines, run.state.num_processes)},
            lambda: write_report(run.folder, writer, pieces, lines, metrics, journal),
            card,
        )


if __name__ == "__main__":
    recipe(main)
