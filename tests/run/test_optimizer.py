"""Adafactor as T5 was trained with it: steps in proportion to a matrix's size, and what is refused."""

from hfcourse.errors import InputError
from hfcourse.run.optimizer import adafactor

import pytest
import torch
from transformers import TrainingArguments


def arguments(tmp_path, optim="adafactor", optim_args="scale_parameter=true", **kwargs):
    return TrainingArguments(str(tmp_path), optim=optim, optim_args=optim_args, report_to="none", **kwargs)


def stepped(found, weight, gradient):
    """How far one step moves each entry of a weight."""
    kind, options = found
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = gradient
    kind([parameter], **options).step()
    return weight - parameter.detach()


def test_a_step_is_a_share_of_the_size_of_the_weight(tmp_path):
    """Shazeer and Stern 2018, algorithms 4 and 5, at the first step: an update has a RMS of at most 1."""
    torch.manual_seed(0)
    weight, gradient = torch.randn(4, 6), torch.randn(4, 6)
    square = gradient**2
    factored = square.sum(1, keepdim=True) @ square.sum(0, keepdim=True) / square.sum()
    update = gradient / factored.sqrt()
    update = update / max(1, update.pow(2).mean().sqrt())
    found = adafactor(arguments(tmp_path, learning_rate=0.05))
    for size in (1.0, 0.02):
        share = 0.05 * (size * weight).pow(2).mean().sqrt()
        torch.testing.assert_close(stepped(found, size * weight, gradient), share * update, rtol=1e-4, atol=1e-7)
    tiny = stepped(found, 1e-5 * weight, gradient)
    torch.testing.assert_close(tiny, 0.05 * 1e-3 * update, rtol=1e-4, atol=1e-7)


def test_other_options_reach_it(tmp_path):
    kind, options = adafactor(arguments(tmp_path, optim_args="beta1=0.9, clip_threshold=2", learning_rate=0.01))
    optimizer = kind([torch.nn.Parameter(torch.ones(2, 2))], **options)
    expected = {"lr": 0.01, "beta1": 0.9, "clip_threshold": 2.0, "scale_parameter": False, "relative_step": False}
    assert {name: optimizer.param_groups[0][name] for name in expected} == expected


@pytest.mark.parametrize(("optim", "optim_args"), [("adafactor", None), ("adamw_torch_fused", "eps=1e-6")])
def test_the_trainer_keeps_its_own_optimiser(tmp_path, optim, optim_args):
    assert adafactor(arguments(tmp_path, optim, optim_args)) is None


@pytest.mark.parametrize("optim_args", ["scale_parameter=1", "relative_step=true", "scale", "beta1=high", "lr=0.1"])
def test_an_option_it_does_not_have_is_refused(tmp_path, optim_args):
    with pytest.raises(InputError, match="is none of adafactor.s scale_parameter=true or false"):
        adafactor(arguments(tmp_path, optim_args=optim_args))
