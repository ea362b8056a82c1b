"""The shared-prefix engines against one plain call of the model for each query, on every architecture."""

import random
from collections.abc import Callable
from types import SimpleNamespace

from hfcourse.icl.encoder_decoder import EncoderDecoder
from hfcourse.icl.engine import Causal, OneByOne, Query, common_beginning, grow, score_alone
from hfcourse.icl.sharing import make_engine

import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)


VOCABULARY = 90
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64} | SMALL
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
MODELS: dict[str, Callable] = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=4, n_embd=32, n_positions=128, **SMALL)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, **SIZES)),
    "t5": lambda: T5ForConditionalGeneration(T5Config(**T5, **SMALL)),
}


def make(name: str) -> torch.nn.Module:
    """Weights large enough that a wrong mask or position changes the scores by far more than rounding does."""
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    return model.eval()


def questions(count: int = 20, shared: int = 40, labels: int = 3) -> list[list[Query]]:
    """Items behind the same demonstrations, with labels of one to four tokens, some with equal beginnings."""
    rng = random.Random(1)

    def draw(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randrange(2, VOCABULARY) for _ in range(rng.randrange(low, high)))

    head, targets = draw(shared, shared + 1), [draw(1, 5) for _ in range(labels)]
    targets[1] = (*targets[0], *targets[1])
    return [[Query(context, target) for target in targets] for context in (head + draw(1, 12) for _ in range(count))]


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_each_prompt_alone_whatever_the_batch(name):
    model, items = make(name), questions()
    alone = [[score_alone(model, query) for query in item] for item in items]
    assert np.std([score.logprob for item in alone for score in item]) > 1, "the scores tell prompts apart"
    for budget in (1, 64, 4096):
        engine = (EncoderDecoder if name == "t5" else Causal)(model, budget)
        for item, expected in zip(engine.score(items), alone, strict=True):
            for score, right in zip(item, expected, strict=True):
                assert score.logprob == pytest.approx(right.logprob, abs=1e-5 * right.tokens)
                assert (score.tokens, score.greedy) == (right.tokens, right.greedy)
    assert engine.asked > (2 if name == "t5" else 7) * engine.computed


def test_every_different_token_is_read_once():
    model, items = make("gpt2"), questions()
    engine = Causal(model, 10**6)
    engine.score(items)
    # A tree of all prompts; the last token of each is predicted and never read.
    nodes = {(*q.context, *q.target)[:length] for item in items for q in item for length in
             range(1, len(q.context) + len(q.target))}  # fmt: skip
    assert engine.computed == len(nodes)
    assert engine.asked == sum(len(q.context) + len(q.target) - 1 for item in items for q in item)


def test_a_tree_by_hand():
    tree = grow([Query((7, 8, 1), (5, 6)), Query((7, 8, 1), (5,)), Query((7, 8, 2), (4,))], start=2)
    assert tree.tokens == [1, 5, 2] and tree.depths == [2, 3, 2]
    assert tree.mask.tolist() == [[True, False, False], [True, True, False], [False, False, True]]
    # The node 1 predicts both 5s, the node 5 predicts 6, the node 2 predicts 4.
    assert tree.used == [0, 1, 2] and tree.rows == [[0, 1], [0], [2]]


@pytest.mark.parametrize(
    ("contexts", "length"),
    [([(1, 2, 3), (1, 2, 4)], 2), ([(1, 2), (1, 2)], 1), ([(5,), (5, 6)], 0), ([(1, 9), (2, 9)], 0)],
)
def test_the_common_beginning_leaves_a_token_to_each_context(contexts, length):
    assert common_beginning([Query(context, (3,)) for context in contexts]) == length


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_an_interrupted_evaluation_goes_on_to_the_same_bits(name):
    model, items = make(name), questions()
    engine = (EncoderDecoder if name == "t5" else Causal)(model, 100)
    whole = list(engine.passes(items))
    assert len(whole) > 3
    done = {number for numbers, _ in whole[:2] for number in numbers} | {whole[2][0][0]}
    assert list(engine.passes(items, done)) == whole[2 + (len(whole[2][0]) == 1) :]


@pytest.mark.parametrize(
    "make_other",
    [
        lambda: BloomForCausalLM(BloomConfig(n_layer=2, n_head=4, **({"hidden_size": 32} | SMALL))),
        lambda: BartForConditionalGeneration(
            BartConfig(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                       decoder_attention_heads=2, decoder_start_token_id=0, init_std=0.3, **SMALL)
        ),
        lambda: MistralForCausalLM(
            MistralConfig(sliding_window=8, num_key_value_heads=2, initializer_range=0.3, **SIZES)
        ),
    ],
    ids=["ALiBi", "a decoder's own positions", "sliding window"],
)  # fmt: skip
def test_a_model_that_can_not_share_prefixes_is_found_out(make_other):
    torch.manual_seed(0)
    model, items = make_other().eval(), questions(4)
    encoded = SimpleNamespace(longest=lambda: 60, length=lambda i: 60, queries=items.__getitem__)
    groups = [SimpleNamespace(members=[0, 1], encoded=encoded)]
    engine, said = make_engine(model, groups, 1024)
    assert isinstance(engine, OneByOne) and said.startswith("one prompt at a time"), said
    assert engine.score(items)[1][2] == score_alone(model, items[1][2])
