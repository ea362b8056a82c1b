"""Recurrent models: read at once or step by step they say the same, and they start and are saved as they should."""

from hfcourse.baselines.recurrent import Bag, RecurrentConfig, RecurrentForCausalLM
from hfcourse.errors import InputError

import pytest
import torch
from transformers import AutoModelForCausalLM


CELLS = ("bag", "rnn", "lstm")


def tiny(cell: str, **sizes: object) -> RecurrentForCausalLM:
    torch.manual_seed(0)
    return RecurrentForCausalLM(RecurrentConfig(cell=cell, **{"vocab_size": 11, "hidden_size": 6} | sizes)).eval()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_a_state_carried_from_step_to_step_is_reading_everything_again(cell: str, layers: int) -> None:
    model, ids = tiny(cell, num_hidden_layers=layers), torch.randint(11, (3, 9))
    whole = model(ids, labels=ids)
    state, steps = None, []
    for place in range(9):
        output = model(ids[:, place : place + 1], past_key_values=state)
        state = output.past_key_values
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole.logits)
    head = model(ids[:, :4])
    tail = model(ids[:, 4:], past_key_values=head.past_key_values)
    torch.testing.assert_close(tail.logits, whole.logits[:, 4:])
    p = whole.logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])
    torch.testing.assert_close(whole.loss, -p.mean())


@torch.no_grad()
def test_an_lstm_and_an_rnn_are_their_equations() -> None:
    rnn, lstm = tiny("rnn"), tiny("lstm")
    ids = torch.randint(11, (1, 4))
    h = torch.zeros(6)
    for x in rnn.embeddings(ids[0]):
        cell = rnn.cell
        h = (cell.weight_ih_l0 @ x + cell.bias_ih_l0 + cell.weight_hh_l0 @ h + cell.bias_hh_l0).tanh()
    torch.testing.assert_close(rnn(ids).logits[0, -1], rnn.embeddings.weight @ h + rnn.lm_head.bias)
    h, c = torch.zeros(6), torch.zeros(6)
    for x in lstm.embeddings(ids[0]):
        cell = lstm.cell
        gates = cell.weight_ih_l0 @ x + cell.bias_ih_l0 + cell.weight_hh_l0 @ h + cell.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    torch.testing.assert_close(lstm(ids).logits[0, -1], lstm.embeddings.weight @ h + lstm.lm_head.bias)


@torch.no_grad()
def test_a_bag_forgets_the_order_and_nothing_else() -> None:
    model = tiny("bag")
    one, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[3, 1, 2, 4]])
    torch.testing.assert_close(model(one).logits[0, 2:], model(other).logits[0, 2:])
    assert not torch.allclose(model(one).logits[0, 1], model(other).logits[0, 1], atol=1e-4)
    bag, x = Bag(6), torch.randn(2, 5, 6)
    torch.testing.assert_close(bag(x)[0][:, 3], bag.dense(x[:, :4].mean(1)).tanh())


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_padding_behind_the_tokens_changes_nothing_before_it(cell: str) -> None:
    model, ids = tiny(cell), torch.randint(11, (1, 5))
    torch.testing.assert_close(model(torch.cat([ids, ids], 1)).logits[:, :5], model(ids).logits)


def test_first_weights_are_orthogonal_and_a_forget_gate_starts_open() -> None:
    for cell, gates in (("rnn", 1), ("lstm", 4)):
        model = tiny(cell, num_hidden_layers=2)
        for layer in range(2):
            for gate in getattr(model.cell, f"weight_hh_l{layer}").chunk(gates):
                torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
            bias = getattr(model.cell, f"bias_ih_l{layer}") + getattr(model.cell, f"bias_hh_l{layer}")
            assert bias.tolist() == ([0.0] * 6 if cell == "rnn" else [0.0] * 6 + [1.0] * 6 + [0.0] * 12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_saved_model_is_found_by_the_auto_classes(cell: str, tmp_path) -> None:
    model = tiny(cell, num_hidden_layers=2, dropout=0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    assert type(again) is RecurrentForCausalLM and torch.equal(again(ids).logits, model(ids).logits)
    assert again.lm_head.weight is again.embeddings.weight


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(InputError, match="there is no cell 'gru', but bag, rnn, lstm"):
        RecurrentConfig(cell="gru")
