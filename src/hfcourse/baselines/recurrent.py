"""Language models that read one token after another and keep a state of fixed size: a bag of words, an RNN, an LSTM.

Shapes: B batch, T time, D width, V vocabulary, N layers.
"""

from typing import Any

from hfcourse.errors import InputError

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast


State = Any  # of nn.RNN h (N, B, D), of nn.LSTM (h, c), of a Bag the sum (B, D) and how many it is of (1,)


class Bag(nn.Module):
    """What has been said so far, in no order: h_t = tanh(W mean(x_1, ..., x_t) + b).

    The mean of the context's embeddings is CBOW's (Mikolov et al. 2013), here of all words before, with the layer of a
    deep averaging network (Iyyer et al. 2015) above it.
    """

    def __init__(self, width: int):
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Embeddings (B, T, D) and the state before them -> hidden states (B, T, D) and the state behind them."""
        total, count = x.cumsum(1), torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]  # (B, T, D), (T, 1)
        if state is not None:
            total, count = total + state[0][:, None], count + state[1]
        return self.dense(total / count).tanh(), (total[:, -1], count[-1])


@strict
class RecurrentConfig(PreTrainedConfig):
    """The sizes of a recurrent model. Raises InputError for a cell that is no such."""

    model_type = "recurrent"
    cell: str = "lstm"
    vocab_size: int = 32000  # V
    hidden_size: int = 128  # D, of embeddings and state alike
    num_hidden_layers: int = 1  # N
    dropout: float | int = 0.0  # between layers, never from step to step (Zaremba et al. 2014)
    initializer_range: float = 0.1  # of the embeddings
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs):
        if self.cell not in CELLS:
            raise InputError(f"there is no cell '{self.cell}', but {', '.join(CELLS)}")
        super().__post_init__(**kwargs)


CELLS = {"bag": None, "rnn": nn.RNN, "lstm": nn.LSTM}


class RecurrentForCausalLM(PreTrainedModel):
    """Logits (B, T, V) = h E^T + b of a cell's states h (B, T, D); tied, E is the matrix of the embeddings.

    `past_key_values` is the state behind the last token: of one size, however much was read. Padding must stand behind
    the tokens, where it changes nothing before it.
    """

    config_class = RecurrentConfig
    _tied_weights_keys = {"lm_head.weight": "embeddings.weight"}

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        width, layers = config.hidden_size, config.num_hidden_layers
        self.embeddings = nn.Embedding(config.vocab_size, width)
        self.dropout = nn.Dropout(config.dropout)
        # torch drops out between layers alone and warns where there is one.
        inner = config.dropout if layers > 1 else 0.0
        cell = CELLS[config.cell]
        self.cell: Any = Bag(width) if cell is None else cell(width, width, layers, dropout=inner, batch_first=True)
        self.lm_head = nn.Linear(width, config.vocab_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Recurrent weights orthogonal, so that a state neither dies nor explodes (Saxe et al. 2014; Le et al. 2015).

        An LSTM's forget gate starts open, with a bias of 1 (Jozefowicz et al. 2015).
        """
        super()._init_weights(module)
        if not isinstance(module, nn.RNNBase):
            return
        for name, weight in module.named_parameters():
            gates = weight.chunk(weight.shape[0] // module.hidden_size)  # (D, D) or (D,) each; LSTM: i, f, g, o
            if name.startswith("weight_hh"):
                init.copy_(weight, torch.cat([nn.init.orthogonal_(torch.empty_like(gate)) for gate in gates]))
            elif name.startswith("weight_ih"):
                init.xavier_uniform_(weight)
            else:
                start = torch.zeros_like(weight)
                if len(gates) == 4 and name.startswith("bias_ih"):
                    start[module.hidden_size : 2 * module.hidden_size] = 1
                init.copy_(weight, start)

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def forward(
        self, input_ids=None, attention_mask=None, past_key_values: State = None, use_cache=None, labels=None, **kwargs
    ):  # fmt: skip
        """Token ids (B, T) -> logits (B, T, V), the state, and with labels (B, T) the mean loss of the next token."""
        hidden, state = self.cell(self.dropout(self.embeddings(input_ids)), past_key_values)
        logits = self.lm_head(self.dropout(hidden))
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=state)
