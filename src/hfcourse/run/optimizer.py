"""T5's own optimiser: Adafactor whose steps are a share of each weight's size."""

from collections.abc import Callable
from typing import Any

from hfcourse.errors import InputError

from transformers import Adafactor
from transformers.training_args import OptimizerNames


# What else Adafactor takes comes from TrainingArguments, or would compute a learning rate of its own.
OPTIONS: dict[str, Callable[[str], Any]] = {
    "scale_parameter": {"true": True, "false": False}.__getitem__,
    "beta1": float,
    "clip_threshold": float,
    "decay_rate": float,
}


def adafactor(args: Any) -> tuple[type, dict[str, Any]] | None:
    """The class and its arguments for `--optim adafactor` with `--optim_args`; None for another optimiser.

    The Trainer reads no --optim_args for Adafactor and fixes scale_parameter at false. With `scale_parameter=true` the
    learning rate is a share of a weight's root mean square, max(.001, RMS(W)) (Shazeer and Stern 2018, section 8).
    T5 was made with it (Raffel et al. 2020, section 3.1.2) and is drawn for it: its embeddings have a standard
    deviation of 1, its queries of (d_model x d_kv)^-.5, since its attention does not divide by sqrt(d_kv). Adam's one
    rate for both is a crawl for the first and a leap for the second.

    Raises InputError for what is none of OPTIONS.
    """
    if args.optim != OptimizerNames.ADAFACTOR or not args.optim_args:
        return None
    given: dict[str, Any] = {}
    for part in args.optim_args.replace(" ", "").split(","):
        name, _, value = part.partition("=")
        try:
            given[name] = OPTIONS[name](value.lower())
        except (KeyError, ValueError):
            raise InputError(
                f"--optim_args {args.optim_args}: '{part}' is none of adafactor's scale_parameter=true or false and "
                "beta1, clip_threshold, decay_rate=a number"
            ) from None
    return Adafactor, {"lr": args.learning_rate, "relative_step": False, "scale_parameter": False, **given}
