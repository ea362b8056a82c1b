"""A tagger from any encoder, its loss, and the ablation of its weights."""

import json
from types import SimpleNamespace

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.errors import InputError
from hfcourse.run.ner import IGNORED, Judge, Tagger, load_tagger, token_loss, window_size
from hfcourse.run.ner_ablation import ablate, read_sizes

import pytest
import torch
from datasets import Dataset, concatenate_datasets
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    DataCollatorForTokenClassification,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizer,
    TrainingArguments,
)
from transformers.modeling_outputs import TokenClassifierOutput
from trl import ModelConfig


LABELS = ["O", "B-LOC", "I-LOC"]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
CORPUS = ["Oslo is a city in Norway"] * 4


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(CORPUS, 60, "masked")


def folder_of(path, model, tokenizer):
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def test_an_encoder_without_a_head_and_one_with_another_get_a_new_one(tmp_path, tokenizer):
    config = BertConfig(vocab_size=len(tokenizer), **SIZES)
    bare = folder_of(tmp_path / "bare", BertModel(config), tokenizer)
    for path in (bare, folder_of(tmp_path / "mlm", BertForMaskedLM(config), tokenizer)):
        model, _, labels, note = load_tagger(ModelConfig(model_name_or_path=path), LABELS)
        assert note.startswith("New weights, drawn with the seed: classifier.bias, classifier.weight.")
        assert labels == LABELS and model.config.label2id == {"O": 0, "B-LOC": 1, "I-LOC": 2}
    kept = BertModel.from_pretrained(bare).embeddings.word_embeddings.weight
    loaded = load_tagger(ModelConfig(model_name_or_path=bare), LABELS)[0].bert.embeddings.word_embeddings.weight
    assert torch.equal(kept, loaded)


@pytest.mark.parametrize(
    ("labels", "said", "kept"),
    [
        (["I-LOC", "O", "B-LOC"], "Every weight comes from the checkpoint.", True),
        (["O", "B-PER", "I-PER"], "classifier.bias, classifier.weight (they had other labels).", False),
        (["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], "drawn with the seed: classifier.bias, classifier.weight.", False),
    ],
)
def test_a_tagger_keeps_its_head_for_its_own_labels_alone(tmp_path, tokenizer, labels, said, kept):
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    before = BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), **names, **SIZES))
    args = ModelConfig(model_name_or_path=folder_of(tmp_path, before, tokenizer))
    model, _, order, note = load_tagger(args, LABELS)
    assert said in note and order == (labels if kept else LABELS)
    assert [model.config.id2label[i] for i in range(3)] == order
    same = model.classifier.weight.shape == before.classifier.weight.shape
    assert (same and torch.equal(model.classifier.weight, before.classifier.weight)) == kept


def test_roberta_takes_words_with_a_space_before_them_and_has_fewer_positions(tmp_path):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(CORPUS, trainer)
    model = json.loads(backend.to_str())["model"]
    config = RobertaConfig(vocab_size=len(model["vocab"]), max_position_embeddings=34, pad_token_id=1, **SIZES)
    plain = RobertaTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    path = folder_of(tmp_path, RobertaModel(config), plain)
    model, tokenizer, _, note = load_tagger(ModelConfig(model_name_or_path=path), LABELS)
    ids = tokenizer(["Norway", "is"], is_split_into_words=True)["input_ids"]
    assert ids == plain(" Norway is")["input_ids"] != plain("Norwayis")["input_ids"]
    assert "classifier.weight" in note and window_size(model, tokenizer) == (32, 8)
    model(torch.full((1, 32), 5))
    with pytest.raises(InputError, match="--max_length 33 is more than the 32 tokens that this model takes"):
        window_size(model, tokenizer, 33)
    assert window_size(model, tokenizer, 12) == (12, 3) and tokenizer.model_max_length == 12


def test_adapters_are_refused():
    with pytest.raises(InputError, match="--use_peft does not go with tagging"):
        load_tagger(ModelConfig(model_name_or_path="x", use_peft=True), LABELS)


def test_the_loss_of_micro_batches_adds_up_to_that_of_the_whole():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 5, 3), torch.randint(0, 3, (4, 5))
    labels[0, 1:] = labels[3] = IGNORED  # 1, 5, 5 and no labels
    whole = token_loss(TokenClassifierOutput(logits=logits), labels)
    parts = [token_loss(TokenClassifierOutput(logits=logits[i : i + 1]), labels[i : i + 1], 11) for i in range(4)]
    assert whole.item() == pytest.approx(sum(parts).item())
    chosen = -logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][labels != IGNORED]
    assert whole.item() == pytest.approx(chosen.mean().item()) and len(chosen) == 11


def test_a_word_weighs_as_much_beside_short_sentences_as_beside_long_ones(tmp_path, tokenizer):
    """The mean over the steps of an epoch is the mean over words, though each batch has sentences of one length."""
    torch.manual_seed(0)
    lengths = [2, 2, 2, 2, 9, 9, 9, 9]
    rows = [{"input_ids": [7] * n, "labels": [i % 3] * (n - 1) + [IGNORED]} for i, n in enumerate(lengths)]
    model = BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), num_labels=3, **SIZES))
    found = {}
    for strategy in ("group_by_length", "random"):
        steps = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "seed": 1}
        options = {"train_sampling_strategy": strategy, "use_cpu": True, "report_to": "none"}
        trainer = Tagger(
            model=model,
            args=TrainingArguments(output_dir=str(tmp_path), **steps, **options),
            train_dataset=Dataset.from_list(rows),
            data_collator=DataCollatorForTokenClassification(tokenizer),
            processing_class=tokenizer,
            run=SimpleNamespace(folder=tmp_path, given={}),
        )
        model.eval()
        batches = list(trainer.get_train_dataloader())
        halves = [batches[:2], batches[2:]]
        counts = [trainer._get_num_items_in_batch(half, torch.device("cpu")) for half in halves]
        losses = [
            sum(trainer.compute_loss(model, dict(batch), num_items_in_batch=count) for batch in half)
            for half, count in zip(halves, counts, strict=True)
        ]
        found[strategy] = [count.item() for count in counts], torch.stack(losses).mean().item()
    with torch.no_grad():
        logits = [model(torch.tensor([row["input_ids"]])).logits[0, :-1].log_softmax(-1) for row in rows]
    total = -sum(row[:, labels["labels"][0]].sum().item() for row, labels in zip(logits, rows, strict=True))
    assert found["group_by_length"] == ([18, 18], pytest.approx(total / 36))
    assert sum(found["random"][0]) == 36 and found["random"][0] != [18, 18]


def test_the_ablation_can_be_repeated_and_leaves_the_rest_alone(tmp_path, tokenizer):
    config = BertConfig(vocab_size=len(tokenizer), num_labels=3, **SIZES)
    rows = {"input_ids": [[2, 7, 8, 3], [2, 9, 3]], "labels": [[IGNORED, 1, 0, IGNORED], [IGNORED, 1, IGNORED]]}
    rows |= {"sentence": [0, 1], "words": [[0, 1], [0]], "length": [4, 3]}
    sentences = Dataset.from_dict({"tokens": [["a", "b"], ["c"]], "tags": [["B-LOC", "O"], ["B-LOC"]]})
    windows = Dataset.from_dict(rows)
    judge = Judge(sentences, windows, LABELS, sentences.select([0]))
    trainer = SimpleNamespace(
        args=TrainingArguments(output_dir=str(tmp_path), learning_rate=0.1, seed=3, use_cpu=True),
        train_dataset=concatenate_datasets([windows, windows.map(lambda row: {"sentence": row["sentence"] + 2})]),
        eval_dataset=windows,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        state=SimpleNamespace(max_steps=40),
    )

    def make(pretrained):
        return AutoModelForTokenClassification.from_config(config)

    found = ablate(trainer, judge, [1, 2], make, 2)
    names = [f"{n}_{s}_{k}" for n in ("f1", "f1_unseen") for k in (1, 2) for s in ("pretrained", "random")]
    assert list(found) == names and found["f1_random_2"] == 1.0
    assert found == ablate(trainer, judge, [1, 2], make, 2)


def test_sizes_of_the_ablation():
    assert read_sizes("50, 200,1000") == [50, 200, 1000] and read_sizes("") == read_sizes(None) == []
    with pytest.raises(InputError, match="--ablation takes numbers of sentences such as 50,200,1000: found x"):
        read_sizes("50,x")
