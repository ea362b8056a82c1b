"""The key of a context: what the model itself makes of it, caught by a hook while the model runs."""

from typing import Any

from hfcourse.errors import InputError

import torch
from torch import Tensor, nn


# Names under which the feed-forward part of a layer is known: GPT-2, GPT-NeoX, Llama, Qwen; the reference; others.
FEED_FORWARDS = ("mlp", "feed_forward", "ffn")
# The paper's key, its best of seven (section 5.1), and what the output layer reads.
KEYS = ("ffn_input", "hidden_state")


def last_feed_forward(model: Any, name: str) -> tuple[str, nn.Module]:
    """Path and module of the feed-forward network of the last layer; InputError where a layer has none by its names.

    Whatever calls it has normalised its input before, with pre-norm and parallel layers by a norm of its own: the
    paper's "input to the last layer's feed-forward network after layer normalization".
    """
    depth = model.config.get_text_config().num_hidden_layers
    stacks = [(p, m) for p, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    for path, layers in stacks:
        for part in FEED_FORWARDS:
            if isinstance(module := getattr(layers[-1], part, None), nn.Module):
                return f"{path}.{depth - 1}.{part}", module
    layer = type(stacks[0][1][-1]).__name__ if stacks else f"{type(model).__name__}, which has no {depth} layers,"
    raise InputError(
        f"{name}: no feed-forward network found in its last {layer} (looked for {', '.join(FEED_FORWARDS)}); "
        "--key hidden_state works for any model"
    )


class Capture:
    """In its `with` block each run of the model leaves its keys (B, T, D), in float32, in `keys`.

    `key` is one of KEYS; `layer` says of what module they are the input or output. Where the model runs with a cache,
    T counts the tokens of the last run alone. Raises InputError for a model that has no such keys.
    """

    def __init__(self, model: Any, key: str, name: str):
        if model.config.is_encoder_decoder:
            raise InputError(f"{name} is an encoder-decoder: the memory is one of a causal model's contexts")
        self.model, self.key = model, key
        self._keys: Tensor | None = None
        if key == "ffn_input":
            self.layer, self._module = last_feed_forward(model, name)
        else:
            self.layer, self._module = f"{model.base_model_prefix} (output)", model.base_model

    @property
    def width(self) -> int:
        """Of a key, D: that of the model."""
        return self.model.config.get_text_config().hidden_size

    @property
    def keys(self) -> Tensor:
        assert self._keys is not None, "the model has not run in this block"
        return self._keys.float()

    def __enter__(self) -> "Capture":
        if self.key == "ffn_input":
            self._hook = self._module.register_forward_pre_hook(self._before, with_kwargs=True)
        else:
            self._hook = self._module.register_forward_hook(self._after)
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()

    def _before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self._keys = (args[0] if args else next(iter(kwargs.values()))).detach()

    def _after(self, module: nn.Module, args: tuple, output: Any) -> None:
        self._keys = output[0].detach()

    @torch.no_grad()
    def of(self, ids: Tensor) -> Tensor:
        """Keys (B, T, D) of the contexts that end at each of the ids (B, T); the output layer is left out."""
        self.model.base_model(ids, use_cache=False)
        return self.keys
