"""What recipes/icl.py refuses, each in one sentence."""

import pytest
import yaml
from contract import assert_refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": {"good": "positive", "bad": "positive,"}}, "the tokens of the label 'positive' begin those of"),
        ({"labels": {"good": " ", "bad": "bad"}}, "the label 'good' has no words: it would tokenise to nothing"),
        ({"lables": {}}, "task.yaml: unknown field 'lables'; did you mean 'labels'?"),
        ({"template": "{txet} {label}"}, "no column 'txet': the row has text, label"),
        ({"template": "{text}"}, "the template ends with {label}"),
        ({"template": "{text {label}"}, "template is broken"),
        ({"labels": {"good": "good"}}, "labels has fewer than two different words"),
        ({"labels": {"good": "good", "nice": "nice"}}, "unknown label: 'bad', expected one of 'good', 'nice'"),
        ({"kind": "ranking"}, "kind is one of classification, choice, generation"),
        ({"template": "{text}" * 300 + " {label}"}, "2 of 2 questions are longer than the 512 tokens of this model"),
    ],
)
def test_a_bad_task_is_one_sentence(runner, config, rows, tmp_path, change, said):
    path = rows(*({"text": f"It was day {i}.", "label": ("good", "bad")[i % 2]} for i in range(40)))
    task = {"dataset_name": path, "template": "{text} So {label}", "label": "label"}
    task |= {"labels": {"good": "good", "bad": "bad"}} | change
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    command = ["--config", config("icl"), "--scoring", "direct", "--output_dir", str(tmp_path / "run")]
    assert_refused(runner.run("icl", *command, "--tasks", str(tmp_path / "task.yaml")), said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "configs/icl/tasks/kinds_zn.yaml"], "did you mean configs/icl/tasks/kinds_zh.yaml?"),
        (["--conditions", "none,god"], "--conditions takes none, gold, random"),
        (["--scoring", "chanel"], "--scoring takes direct, normalised, calibrated, channel, not 'chanel'"),
        (["--unrelated_text", ""], "the condition ood needs --unrelated_text"),
        (["--shots", "0"], "--shots is a number of demonstrations from 1 on"),
        (["--seeds", "1,x"], "--seeds takes whole numbers with commas, not 'x'"),
        (["--dataset_name", "runs/world/sft"], "--dataset_name goes with one task, not with several"),
        (["--model_name_or_path", "runs/nothing/here"], "runs/nothing/here does not exist"),
    ],
)
def test_refusals(runner, config, tmp_path, arguments, said):
    command = ["--config", config("icl"), "--output_dir", str(tmp_path / "run"), *arguments]
    assert_refused(runner.run("icl", *command), said)
