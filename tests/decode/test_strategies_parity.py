"""Each strategy from scratch against `generate`, token by token; contrastive search against plain recomputation."""

from hfcourse.decode.strategies import SETTINGS, parse_strategy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


STRATEGIES = [
    "greedy",
    "beam=2",
    "beam=5",
    "beam=3+no_repeat_ngram=2",
    "beam=4+repetition_penalty=1.4",
    "sample",
    "temperature=0.7",
    "temperature=1.6",
    "top_k=5",
    "top_p=0.8",
    "min_p=0.1",
    "repetition_penalty=1.3",
    "repetition_penalty=1.3+sample",
    "no_repeat_ngram=2",
    "top_k=20+top_p=0.9+min_p=0.02+temperature=1.3+repetition_penalty=1.2+no_repeat_ngram=3",
    "contrastive=0.6",
    "contrastive=0.3+top_k=8",
]
# With pad 0 the beam search of `generate` would pad with EOS (transformers 5.23: `pad_token_id or eos_token_id[0]`).
EOS, PAD, VOCABULARY, NEW = 7, 1, 48, 24
SIZES = {
    "gpt2": (GPT2LMHeadModel, GPT2Config, {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}),
    "llama": (
        LlamaForCausalLM,
        LlamaConfig,
        {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32}
        | {"intermediate_size": 64, "max_position_embeddings": 64},
    ),
}


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    """Random weights, drawn wide enough that some tokens are likely, of a seed by which some texts end early."""
    torch.manual_seed(8)
    model_class, config_class, sizes = SIZES[request.param]
    tokens = {"vocab_size": VOCABULARY, "eos_token_id": EOS, "bos_token_id": EOS, "pad_token_id": PAD}
    return model_class(config_class(**sizes, **tokens, initializer_range=0.25)).eval()


def prompts(count: int, length: int = 6) -> torch.Tensor:
    return torch.randint(8, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def both(model, text: str, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `generate` writes and what is written from scratch, as (B, T + NEW), from the same state of chance."""
    strategy, mask = parse_strategy(text), torch.ones_like(ids)
    torch.manual_seed(5)
    theirs = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=NEW, pad_token_id=PAD, **strategy.arguments()
    )
    torch.manual_seed(5)
    ours = strategy.write(model, ids, NEW, [EOS], PAD)
    width = ids.shape[1] + NEW
    return tuple(torch.nn.functional.pad(t, (0, width - t.shape[1]), value=PAD) for t in (theirs, ours))


def test_every_setting_is_in_one_of_these_strategies() -> None:
    assert {name for text in STRATEGIES for name in parse_strategy(text).settings} == SETTINGS.keys()


@pytest.mark.parametrize("text", STRATEGIES)
def test_equal_to_generate(model, text: str) -> None:
    theirs, ours = both(model, text, prompts(4))
    assert torch.equal(theirs, ours)
    assert len({tuple(row) for row in ours[:, 6:].tolist()}) > 1, "the prompts matter"


@pytest.mark.slow
@pytest.mark.parametrize("text", STRATEGIES)
def test_equal_to_generate_on_200_prompts(model, text: str) -> None:
    theirs, ours = both(model, text, prompts(200, length=9))
    assert torch.equal(theirs, ours)
    ended = (ours[:, 9:] == EOS).any(1)
    assert 0 < ended.sum() < 200, "some texts end by themselves, others at the limit"


@torch.no_grad()
@pytest.mark.parametrize("t", [1e-3, 1e-4])
def test_a_temperature_near_zero_is_greedy(model, t: float) -> None:
    assert torch.equal(both(model, f"temperature={t}", prompts(4))[0], both(model, "greedy", prompts(4))[0])


def test_other_ways_to_write_greedy(model) -> None:
    greedy = both(model, "greedy", prompts(4))[0]
    for text in ("top_k=1", "top_p=1e-6", "min_p=0.999999", "repetition_penalty=1", "contrastive=1e-6"):
        assert torch.equal(both(model, text, prompts(4))[0], greedy), text


@torch.no_grad()
def recompute_contrastive(model, ids: list[int], alpha: float, k: int) -> list[int]:
    """Su et al. 2022, eq. 5, written down plainly: every candidate's whole text is read again at every step."""
    ids = list(ids)
    for _ in range(NEW):
        before = model(torch.tensor([ids]), output_hidden_states=True)
        states = before.hidden_states[-1][0]
        probabilities = before.logits[0, -1].softmax(-1)
        found = {}
        for token in probabilities.topk(k).indices.tolist():
            new = model(torch.tensor([[*ids, token]]), output_hidden_states=True).hidden_states[-1][0, -1]
            alike = max(float(new @ old / (new.norm() * old.norm())) for old in states)
            found[token] = (1 - alpha) * float(probabilities[token]) - alpha * alike
        ids.append(max(found, key=found.__getitem__))
        if ids[-1] == EOS:
            break
    return ids


@pytest.mark.parametrize(("alpha", "k"), [(0.6, 4), (0.3, 8)])
def test_contrastive_search_is_its_equation(model, alpha: float, k: int) -> None:
    ours = both(model, f"contrastive={alpha}+top_k={k}", prompts(4))[1]
    for row, ids in zip(ours.tolist(), prompts(4).tolist(), strict=True):
        expected = recompute_contrastive(model, ids, alpha, k)
        assert row == expected + [PAD] * (len(row) - len(expected))


@torch.no_grad()
def test_contrastive_search_reads_prompts_that_are_padded_on_the_left(model) -> None:
    ids = prompts(4)
    alone = both(model, "contrastive=0.6", ids)[0]
    padded = torch.nn.functional.pad(ids, (3, 0), value=PAD)
    mask = (padded != PAD).long()
    arguments = parse_strategy("contrastive=0.6").arguments()
    text = model.generate(input_ids=padded, attention_mask=mask, max_new_tokens=NEW, pad_token_id=PAD, **arguments)
    assert torch.equal(text[:, 3:], alone[:, : text.shape[1] - 3])
