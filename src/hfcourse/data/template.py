"""The chat template and the special tokens that a tokenizer needs for training on conversations."""

from pathlib import Path

from hfcourse.errors import InputError

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase


# Plain-text markers, so that no vocabulary has to grow; each turn reads the same whatever follows it, and an answer
# ends with the end-of-sequence token, which is what stops generation. Contents are trimmed, because white space next
# to a marker would merge with it into tokens that the model does not meet when it is asked.
CHAT_TEMPLATE = """\
{%- macro tool_list() -%}
{{ 'Tools:' }}{% for tool in tools %}{{ '\\n' + (tool.function or tool) | tojson }}{% endfor %}
{%- endmacro -%}
{%- if tools and messages[0].role != 'system' -%}
{{ '### System:\\n' + tool_list() + '\\n\\n' }}
{%- endif -%}
{%- for message in messages -%}
{{ ('' if loop.first else '\\n\\n') + '### ' + message.role | capitalize + ':\\n' }}
{%- if message.role == 'assistant' -%}
{%- generation -%}{{ message.content | trim + eos_token }}{%- endgeneration -%}
{%- else -%}
{{ message.content | trim }}
{%- if tools and loop.first and message.role == 'system' -%}{{ '\\n\\n' + tool_list() }}{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '\\n\\n### Assistant:\\n' }}{%- endif -%}
"""


def ensure_chat_template(tokenizer: PreTrainedTokenizerBase, path: str | None = None) -> str:
    """Give `tokenizer` a chat template and a padding token where it has none; `save_pretrained` then keeps both.

    Args:
        path: a Jinja file whose template replaces the tokenizer's own.

    Returns:
        One sentence that says what the tokenizer has now.

    Raises:
        InputError: no end-of-sequence token, or a template file that can't be used.
    """
    if tokenizer.eos_token is None:
        raise InputError(
            f"The tokenizer {tokenizer.name_or_path} has no end-of-sequence token (eos_token): "
            "a model trained with it would never stop."
        )
    if path is not None:
        tokenizer.chat_template = _read_template(path)
        said = f"The chat template of {path}"
        _try_out(tokenizer, path)
    elif tokenizer.chat_template is None:
        # Where the tokenizer starts a text with its first token (Llama), a conversation starts with it too.
        starts = tokenizer.bos_token is not None and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
        tokenizer.chat_template = ("{{- bos_token -}}\n" if starts else "") + CHAT_TEMPLATE
        said = "The tokenizer had no chat template, the plain-text default"
    else:
        said = "The tokenizer's own chat template"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _spare_token(tokenizer)
        return f"{said} is used, {tokenizer.eos_token} ends a text and {tokenizer.pad_token} now pads."
    return f"{said} is used, {tokenizer.eos_token} ends a text."


def _spare_token(tokenizer: PreTrainedTokenizerBase) -> str:
    used = {tokenizer.eos_token, tokenizer.bos_token}
    spare = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special and t.content not in used]
    named = [token for token in spare if "pad" in token.lower()] + [t for t in spare if "reserved" in t.lower()]
    unknown = [tokenizer.unk_token] if tokenizer.unk_token in spare else []
    return (named + unknown + [tokenizer.eos_token])[0]


def _read_template(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"The chat template {path} is not UTF-8 text.") from None
    except OSError as error:
        raise InputError(f"The chat template {path} can't be read: {error.strerror}.") from None


def _try_out(tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    try:
        tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError as error:
        raise InputError(f"The chat template {path} does not work: {error}.") from None
