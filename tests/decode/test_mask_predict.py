"""Mask-predict against its equations written row by row, and what a pass may not touch."""

from hfcourse.decode.mask_predict import left_to_right, mask_predict

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM


MASK, NEVER, VOCABULARY = 4, {0, 1, 2, 3, 4}, 40


@pytest.fixture(scope="module")
def model() -> BertForMaskedLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=VOCABULARY, max_position_embeddings=32, initializer_range=0.5, **sizes)
    return BertForMaskedLM(config).eval()


def rows() -> torch.Tensor:
    """Texts (6, 16) with 4 to 9 masks, some of them apart from the others."""
    ids = torch.randint(5, VOCABULARY, (6, 16), generator=torch.Generator().manual_seed(2))
    for i, row in enumerate(ids):
        row[7 : 10 + i] = MASK
        row[2] = MASK
    return ids


@torch.no_grad()
def plain(model, ids: list[int], passes: int) -> list[int]:
    """Ghazvininejad et al. 2019, section 3: pass t fills what is masked, and masks the n least sure of the N again."""
    ids, places = list(ids), [i for i, token in enumerate(ids) if token == MASK]
    sure: dict[int, float] = {}
    for t in range(1, passes + 1):
        probabilities = model(torch.tensor([ids])).logits[0].clone()
        probabilities[:, sorted(NEVER)] = -torch.inf
        probabilities = probabilities.softmax(-1)
        for place in [i for i in places if ids[i] == MASK]:
            sure[place] = float(probabilities[place].max())
            ids[place] = int(probabilities[place].argmax())
        for place in sorted(places, key=sure.__getitem__)[: len(places) * (passes - t) // passes]:
            ids[place] = MASK
    return ids


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 9, 30])
def test_equal_to_its_equations(model, passes: int) -> None:
    filled = mask_predict(model, rows(), MASK, passes, NEVER)
    assert filled.tolist() == [plain(model, row, passes) for row in rows().tolist()]


def test_only_masks_are_filled_and_never_with_what_is_forbidden(model) -> None:
    before = rows()
    for filled in (mask_predict(model, before, MASK, 3, NEVER), left_to_right(model, before, MASK, NEVER)):
        given = before != MASK
        assert torch.equal(filled[given], before[given]) and before.equal(rows()), "in a copy"
        assert not NEVER & set(filled[~given].tolist())


@torch.no_grad()
def test_left_to_right_sees_what_it_has_written(model) -> None:
    ids = rows()[0].tolist()
    for place in [i for i, token in enumerate(ids) if token == MASK]:
        logits = model(torch.tensor([ids])).logits[0, place]
        logits[sorted(NEVER)] = -torch.inf
        ids[place] = int(logits.argmax())
    assert left_to_right(model, rows()[:1], MASK, NEVER)[0].tolist() == ids


def test_more_passes_change_what_is_written(model) -> None:
    one, many = (mask_predict(model, rows(), MASK, passes, NEVER) for passes in (1, 8))
    assert not torch.equal(one, many)
