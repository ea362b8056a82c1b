"""What a kNN-LM can be told. Each choice that moves a published figure is an argument here: docs/concepts/knnlm.md."""

from dataclasses import dataclass, field

from hfcourse.errors import InputError
from hfcourse.knn.capture import KEYS
from hfcourse.knn.mixture import DISTANCES, Grid


DTYPES = ("float16", "float32")
SEARCHES = ("exact", "ivfpq")


@dataclass
class KNNSettings:
    """Raises InputError for values that go with no text, no model and no store."""

    key: str = field(default="ffn_input", metadata={"help": "What is stored of a context.", "choices": KEYS})
    key_dtype: str = field(default="float16", metadata={"help": "Of the keys on disk.", "choices": DTYPES})
    block_size: int = field(default=128, metadata={"help": "Tokens that the model reads together."})
    stride: int | None = field(
        default=None, metadata={"help": "Tokens between the beginnings of two blocks; without it, block_size."}
    )
    shard_entries: int = field(default=2**20, metadata={"help": "Entries in a shard, which is written as a whole."})
    search: list[str] = field(
        default_factory=lambda: ["exact"], metadata={"help": "Ways to find neighbours.", "choices": SEARCHES}
    )
    shares: list[float] = field(
        default_factory=lambda: [1.0], metadata={"help": "Shares of the store to search exactly, for a curve."}
    )
    k: list[int] = field(default_factory=lambda: [16, 64, 256], metadata={"help": "Neighbours: validation chooses."})
    temperatures: list[float] = field(
        default_factory=lambda: [1.0, 3.0, 10.0, 30.0, 100.0, 300.0], metadata={"help": "Of them validation chooses."}
    )
    lambdas: list[float] = field(
        default_factory=lambda: [0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98],
        metadata={"help": "Shares of the memory in the mixture, of which validation chooses."},
    )
    distance: str = field(default="squared", metadata={"help": "L2, squared or not.", "choices": DISTANCES})
    lists: int = field(default=1024, metadata={"help": "Lists of the ivfpq index."})
    code_bytes: int = field(default=64, metadata={"help": "Bytes of a key in the ivfpq index."})
    probe: int = field(default=32, metadata={"help": "Lists of the ivfpq index that a query looks into."})
    batch_size: int = field(default=16, metadata={"help": "Blocks, or texts to write, at a time."})

    def __post_init__(self) -> None:
        if self.stride is None:
            self.stride = self.block_size
        # argparse checks the choices of what stands on the command line alone.
        choices = {"key": KEYS, "key_dtype": DTYPES, "distance": DISTANCES, "search": SEARCHES}
        for name, among in choices.items():
            given = getattr(self, name)
            if wrong := [value for value in (given if name == "search" else [given]) if value not in among]:
                raise InputError(f"--{name} {wrong[0]}: expected {' or '.join(among)}")
        for name in ("shard_entries", "batch_size"):
            if (number := getattr(self, name)) < 1:
                raise InputError(f"--{name} {number}: expected 1 or more")
        if not self.search:
            raise InputError(f"--search: expected one or more of {', '.join(SEARCHES)}")
        if bad := [share for share in self.shares if not 0 < share <= 1]:
            raise InputError(f"--shares {bad[0]}: expected shares of the store, above 0 and up to 1")
        self.grid = Grid(self.k, self.temperatures, self.lambdas, self.distance)
