"""What is summed over a text, and what is chosen of it, against the paper's equations written down once more."""

import math

from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import Domain, make_domain
from hfcourse.knn.evaluate import Evaluator
from hfcourse.knn.quantised import build_index
from hfcourse.knn.report import best, collect, measure, metric_rows
from hfcourse.knn.settings import KNNSettings
from hfcourse.knn.store import Store

import numpy as np
import pytest
import torch
from knn_models import make_model


SETTINGS = KNNSettings(
    block_size=8, stride=4, batch_size=5, search=["exact", "ivfpq"], shares=[0.5], k=[2, 9],
    temperatures=[1.0, 20.0], lambdas=[0.0, 0.25, 0.9], lists=4, code_bytes=8, probe=4,
)  # fmt: skip


def make(prefix: str, seed: int) -> Domain:
    """A text of 160 tokens, and a store of as many random keys as it has entries: none of them equal."""
    random = np.random.default_rng(seed)
    ids = random.integers(2, 60, 400).astype(np.int32)
    domain = make_domain(prefix, f"text {seed}", {"remembered": ids, "test": ids[:160]}, 8, 4)
    keys = random.standard_normal((domain.entries, 32)).astype(np.float32)
    domain.store = Store(np.array_split(keys, 3), np.array_split(random.integers(2, 60, len(keys)), 3))
    domain.index = build_index(domain.store.keys, 4, 8, 0)
    return domain


@torch.no_grad()
def formula(
    model, domain: Domain, store: Store, part: str, size: int, k: int, temperature: float, share: float
) -> list:
    """log p of each token that counts: its window up to it, equation 2 over `size` entries, equation 3."""
    keys, tokens = (torch.from_numpy(np.concatenate(a))[:size] for a in (store.keys, store.tokens))
    found = []
    norm = model.transformer.h[1].ln_2
    for begin, first, end in domain.windows[part]:
        for token in range(first, end):
            context = torch.from_numpy(domain.predicted[part][begin:token]).long()[None]
            seen: list = []
            hook = norm.register_forward_hook(lambda module, args, output, seen=seen: seen.append(output[0, -1]))
            lm = model(context).logits[0, -1].double().softmax(-1)
            hook.remove()
            distances, nearest = (keys.double() - seen[0].double()).square().sum(1).topk(k, largest=False)
            weights = (-distances / temperature).softmax(0)
            came = int(domain.predicted[part][token])
            knn = weights[tokens[nearest] == came].sum()
            found.append(math.log(share * knn + (1 - share) * lm[came]))
    return found


@pytest.fixture(scope="module")
def evaluated():
    torch.manual_seed(0)
    model = make_model("gpt2")
    with Capture(model, "ffn_input", "m") as capture:
        evaluator = Evaluator(capture, [make("", 0), make("other_", 1)], SETTINGS)
        evaluator.check()
        lines = [{"piece": key, "seconds": 0.0} | piece() for key, piece in evaluator.pieces().items()]
        return model, evaluator, lines, collect(evaluator, lines)


def test_each_way_is_the_formula(evaluated):
    model, evaluator, _, ways = evaluated
    own, other = evaluator.domains
    by_name = {way.stem: way for way in ways}
    for stem, store, share_of in (("exact", own.store, 1), ("exact_50", own.store, 0.5), ("foreign", other.store, 1)):
        way = by_name[stem]
        size = round(share_of * len(store))
        assert way.entries == size
        for at in ((0, 0, 1), (1, 1, 2)):
            chosen = SETTINGS.grid.at(at)
            logs = formula(model, own, store, "test", size, *(chosen[n] for n in ("k", "temperature", "lambda")))
            assert len(logs) == way.tokens["test"]
            assert way.sums["test"][at] == pytest.approx(sum(logs), rel=1e-4)
    logs = formula(model, own, own.store, "validation", len(own.store), 2, 1.0, 0.0)
    assert by_name["plain"].perplexity("validation") == pytest.approx(math.exp(-sum(logs) / len(logs)), rel=1e-5)


def test_looking_into_all_lists_with_distances_from_keys_is_nearly_exact(evaluated):
    *_, ways = evaluated
    by_name = {way.stem: way for way in ways}
    assert 0.6 < by_name["ivfpq"].recall < 1 and by_name["exact"].recall is None
    gaps = {
        name: np.abs(by_name[name].sums["test"] - by_name["exact"].sums["test"]).max() for name in ("ivfpq", "codes")
    }
    assert gaps["ivfpq"] < gaps["codes"]


def test_validation_chooses(evaluated):
    *_, ways = evaluated
    assert best(np.array([[[1.0, 3.0]], [[3.0, 2.0]]])) == (0, 0, 1)  # of equal ones the first
    metrics = measure(ways, SETTINGS.grid)
    for way in ways:
        if way.choice is not None and way.name != "defaults":
            assert way.choice == best(way.sums["validation"])
            expected = math.exp(-way.sums["test"][way.choice] / way.tokens["test"])
            assert metrics[f"{way.stem}_perplexity"] == pytest.approx(expected)
    defaults = next(way for way in ways if way.stem == "other_defaults")
    assert SETTINGS.grid.at(defaults.choice) == {"k": 9, "temperature": 1.0, "lambda": 0.25}
    rows = metric_rows(ways, SETTINGS.grid)
    assert sum("choice_of" in row for row in rows) == 2 * 3 * 2 * 2 * 3


def test_a_lambda_of_one_where_the_memory_was_wrong_is_a_number_all_the_same(evaluated):
    *_, ways = evaluated
    way = next(way for way in ways if way.stem == "exact")
    way.sums["test"] = np.full(SETTINGS.grid.shape, -np.inf)
    assert math.isfinite(way.perplexity("test"))
