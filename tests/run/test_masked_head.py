"""Projecting masked positions only: the loss and the gradients of the full projection, for each family of models."""

import inspect

from hfcourse.run.masked_head import project_masked_only

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM


SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}
SIZES |= {"intermediate_size": 32, "max_position_embeddings": 32, "embedding_size": 8, "sep_token_id": 2}
SIZES |= {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1}
DISTIL = {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32}
FAMILIES = ["bert", "roberta", "albert", "electra", "deberta-v2", "modernbert", "roformer", "distilbert"]


def tiny(family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **(DISTIL if family == "distilbert" else SIZES))
    return AutoModelForMaskedLM.from_config(config).eval()


def batch() -> dict[str, torch.Tensor]:
    """Three rows (T = 12), the second padded from its eighth token; 5, 3 and 0 labels."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 50, (3, 12), generator=draw)
    mask = torch.ones_like(ids)
    ids[1, 8:], mask[1, 8:] = 0, 0
    labels = torch.full_like(ids, -100)
    for row, places in enumerate([[0, 1, 5, 6, 11], [2, 3, 7], []]):
        labels[row, places] = torch.randint(3, 50, (len(places),), generator=draw)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_the_full_projection(family):
    model, inputs = tiny(family), batch()
    full = model(**inputs)
    full.loss.backward()
    wanted = gradients(model)
    assert full.logits.shape == (3, 12, 50) and len(wanted) > 15

    project_masked_only(model)
    output = model(**inputs)
    output.loss.backward()
    masked = inputs["labels"] != -100
    assert output.logits.shape == (1, 8, 50)
    torch.testing.assert_close(output.logits[0], full.logits[masked])
    torch.testing.assert_close(output.loss, full.loss)
    torch.testing.assert_close(gradients(model), wanted)

    # Without labels the model is what it was.
    torch.testing.assert_close(model(inputs["input_ids"], inputs["attention_mask"]).logits, full.logits)
    assert "labels" in inspect.signature(model.forward).parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_of_a_batch_add_up_to_the_batch(family):
    """Rows one by one, divided by the batch's 8 labels: the last has none, and its loss is 0."""
    model, inputs = tiny(family), batch()
    project_masked_only(model)
    whole = model(**inputs).loss
    whole.backward()
    wanted = gradients(model)
    parts = [model(**{k: v[i : i + 1] for k, v in inputs.items()}, num_items_in_batch=8).loss for i in range(3)]
    assert parts[2] == 0
    torch.testing.assert_close(sum(parts), whole)
    sum(parts).backward()
    torch.testing.assert_close(gradients(model), wanted)
    assert model.accepts_loss_kwargs
