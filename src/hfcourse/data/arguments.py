"""The data arguments that every recipe shares. Importing this is cheap: nothing heavier than dataclasses."""

from dataclasses import dataclass, field


@dataclass
class DataArguments:
    """Where the rows come from and which of them are used; read by `hfcourse.data.load.load_data`."""

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "A file (.json, .jsonl, .csv, .tsv, .parquet or .txt, each also .gz), a folder of such files "
            "named train*, test*, dev*, valid* or eval*, or the id of a data set on the Hub. A path that exists is "
            "local."
        },
    )
    dataset_config: str | None = field(
        default=None, metadata={"help": "Configuration of a Hub data set that has several."}
    )
    dataset_revision: str | None = field(
        default=None, metadata={"help": "Commit, tag or branch of a Hub data set; without it, main."}
    )
    dataset_train_split: str = field(default="train", metadata={"help": "Split to train on."})
    dataset_test_split: str = field(
        default="test",
        metadata={"help": "Split to evaluate on. Where there is no 'test', dev, valid, validation or eval stands in."},
    )
    eval_dataset_name: str | None = field(
        default=None,
        metadata={"help": "A second file, folder or Hub id to evaluate on: its test split, or its only split."},
    )
    eval_share: float = field(
        default=0.05,
        metadata={
            "help": "Share of the training rows held out, by a seeded hash of each row's content, where the data has "
            "no split to evaluate on. 0 means no evaluation in that case."
        },
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on the first N usable rows, in file order."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Evaluate on the first N usable rows, in file order."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read rows while training instead of preparing all of them first."}
    )
    skip_bad_rows: bool = field(
        default=False,
        metadata={"help": "Drop and count the rows that can't be used instead of stopping at the first one."},
    )
