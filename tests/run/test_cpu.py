"""The CPU's shortcuts compute the same loss and the same gradients as TRL's head on the whole padded batch."""

import copy

from hfcourse.run import cpu

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from trl.trainer.utils import add_fused_lm_head


CONFIGS = {
    "gpt2": GPT2Config(
        n_layer=2,
        n_embd=32,
        n_head=2,
        vocab_size=90,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
    ),  # fmt: skip
    "llama": LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=90,
    ),  # fmt: skip
}


def batch(rows: int = 6, width: int = 14) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 90, (rows, width), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(rows):
        mask[row, width - 2 * row :] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :3] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("name", CONFIGS)
def test_same_loss_and_gradients(name, monkeypatch):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    ours = copy.deepcopy(model)
    for m in (model, ours):
        add_fused_lm_head(m, outputs=("log_probs", "entropy", "is_top1"))
    assert cpu.use_compact_head(ours)
    inputs = batch()
    whole = model(**inputs, fused_lm_head=True)
    whole.loss.backward()
    count = (inputs["labels"][:, 1:] != -100).sum()

    monkeypatch.setattr(cpu, "OVERHEAD", 1)
    parts = cpu.split_by_length(inputs)
    assert len(parts) == cpu.MOST_PARTS
    outputs = [ours(**part, fused_lm_head=True, num_items_in_batch=count) for part in parts]
    loss = sum(output.loss for output in outputs)
    loss.backward()
    torch.testing.assert_close(loss, whole.loss, rtol=1e-5, atol=1e-6)
    for (_, mine), (path, theirs) in zip(ours.named_parameters(), model.named_parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=path)

    full = ours(**inputs, fused_lm_head=True)
    for field in ("log_probs", "entropy"):
        torch.testing.assert_close(getattr(full, field), getattr(whole, field), rtol=1e-5, atol=1e-5)
    assert torch.equal(full.is_top1, whole.is_top1)
    assert torch.equal(full.label_mask, whole.label_mask)


def test_parts_hold_every_row_once_and_no_needless_padding(monkeypatch):
    monkeypatch.setattr(cpu, "OVERHEAD", 1)
    inputs = batch()
    parts = cpu.split_by_length(inputs)
    rows = sorted(row[mask == 1].tolist() for p in parts for row, mask in zip(*list(p.values())[:2], strict=True))
    expected = [
        row[mask == 1].tolist() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]
    assert rows == sorted(expected)
    assert all(part["attention_mask"].any(0).all() for part in parts)


def test_cuts_cost_least():
    def cost(bounds, sizes):
        return sum((b - a) * sizes[b - 1] + cpu.OVERHEAD for a, b in zip(bounds, bounds[1:], strict=False))

    sizes = [3, 4, 90, 95, 400, 410, 420, 900]
    every = [[0, 8]] + [[0, i, 8] for i in range(1, 8)]
    every += [[0, i, j, 8] for i in range(1, 8) for j in range(i + 1, 8)]
    every += [[0, i, j, k, 8] for i in range(1, 8) for j in range(i + 1, 8) for k in range(j + 1, 8)]
    assert cost(cpu._cuts(sizes), sizes) == min(cost(bounds, sizes) for bounds in every)
    assert cpu._cuts([50] * 8) == [0, 8], "equal rows stay together"


def test_what_can_not_be_split_stays_whole():
    packed = {"input_ids": torch.ones(1, 9), "position_ids": torch.arange(9)[None]}
    left = batch()
    left["attention_mask"] = left["attention_mask"].flip(1)
    for inputs in (packed, left, batch() | {"labels": torch.zeros(6, 3)}):
        assert cpu.split_by_length(inputs) == [inputs]


def test_left_padded_generation_keeps_its_positions():
    """The head must not hide from `generate` that the model takes position_ids."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["gpt2"]).eval()
    prompt = torch.tensor([[5, 6, 7]])
    padded = {"input_ids": torch.tensor([[0, 0, 5, 6, 7]]), "attention_mask": torch.tensor([[0, 0, 1, 1, 1]])}
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": 89}
    expected = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, 3:]
    add_fused_lm_head(model, outputs=("log_probs",))
    assert cpu.use_compact_head(model)
    assert torch.equal(model.generate(**padded, **options)[0, 5:], expected)


def test_a_head_that_does_more_is_left_to_trl():
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    model.config.logit_scale = 0.5
    assert not cpu.use_compact_head(model)
