"""The parser of every recipe: YAML under the command line, types by the fields, errors that help."""

from dataclasses import dataclass, field

from hfcourse.errors import InputError
from hfcourse.run.arguments import Parser, RunArguments

import pytest
from transformers import TrainingArguments


@dataclass
class Own(RunArguments):
    dataset_name: str | None = field(default=None)
    share: float = field(default=0.5)
    shape: dict | str | None = field(default=None)
    sizes: list[float] = field(default_factory=lambda: [1.0])


@pytest.fixture
def parse(tmp_path):
    def parse(text, *argv, name="quick.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        parser = Parser(Own, TrainingArguments, recipe="x")
        own, training = parser.parse(["--config", str(tmp_path / name), *argv])
        return own, training, parser.given

    return parse


def test_the_command_line_goes_over_the_file_and_the_file_over_the_default(parse):
    text = "share: 0.25\nmax_steps: 7\nlearning_rate: 1e-3\nshape:\n  a: 1\nlogging_steps: 2"
    own, training, given = parse(text, "--max_steps", "9", "--dry_run")
    assert (own.share, own.dry_run, own.fresh, own.shape) == (0.25, True, False, {"a": 1})
    assert (training.max_steps, training.learning_rate, training.logging_steps) == (9, 1e-3, 2)
    assert training.output_dir == "runs/x/quick"
    assert given == {
        "share": 0.25, "max_steps": 9, "learning_rate": 1e-3, "shape": {"a": 1}, "logging_steps": 2, "dry_run": True
    }  # fmt: skip


def test_what_is_the_default_anyway_is_not_given(parse):
    assert parse("share: 0.5\nmax_steps: -1\nbf16: false")[2] == {}


def test_1e_3_is_a_number_though_yaml_says_it_is_text(parse):
    assert parse("learning_rate: 1e-3")[1].learning_rate == 0.001


@pytest.mark.parametrize("argv", [["--config=FILE"], ["--config", "FILE"], ["--max_steps", "3", "--config", "FILE"]])
def test_the_config_may_stand_anywhere(tmp_path, argv):
    (tmp_path / "a.b.yaml").write_text("dataset_name: here")
    argv = [part.replace("FILE", str(tmp_path / "a.b.yaml")) for part in argv]
    own, training = Parser(Own, TrainingArguments, recipe="x").parse(argv)
    assert (own.dataset_name, training.output_dir) == ("here", "runs/x/a.b")


def test_without_a_config_the_folder_is_the_default_one():
    assert Parser(Own, TrainingArguments, recipe="x").parse([])[1].output_dir == "runs/x/default"


@pytest.mark.parametrize(
    ("text", "argv", "said"),
    [
        ("shar: 1", [], "unknown key 'shar'; did you mean 'share'?"),
        ("zzzzzz: 1", [], "unknown key 'zzzzzz'; python recipes/x.py --help lists the keys"),
        ("help: 1", [], "unknown key 'help'"),
        ("share: much", [], "--share: invalid float value: 'much'"),
        ("dry_run: maybe", [], "dry_run"),
        ("", [], "must be a mapping"),
        ("share: 0.5", ["--shar", "1"], "unknown argument '--shar'; did you mean 'share'?"),
        ("share: 0.5", ["--share", "much"], "--share: invalid float value: 'much'"),
        ("share: 0.5", ["stray"], "unknown argument 'stray': a value without a key"),
        ("bf16: true", [], "bf16"),
    ],
)
def test_refusals(parse, text, argv, said):
    with pytest.raises(InputError) as refusal:
        parse(text, *argv)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(("text", "sizes"), [("[1, 0.5]", [1.0, 0.5]), ("3", [3.0]), ("[1e-3]", [0.001])])
def test_a_field_of_several_values_takes_a_list_or_one(parse, text, sizes):
    own, _, given = parse(f"sizes: {text}")
    assert own.sizes == sizes and (sizes == [1.0]) == ("sizes" not in given)


@pytest.mark.parametrize("text", ["[1, many]", "{a: 1}", "many"])
def test_a_list_with_what_is_no_number_is_refused(parse, text):
    with pytest.raises(InputError, match=r"quick\.yaml: sizes: expected float values, found"):
        parse(f"sizes: {text}")
