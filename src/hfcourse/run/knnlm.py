"""The work of a kNN-LM in four rounds, each of which needs the one before: stores, indexes, predictions, texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from hfcourse.run import decode_report
from hfcourse.run.decode import Piece, Writer, make_pieces
from hfcourse.run.evaluation import Journal, do_pieces, write_records
from hfcourse.run.files import write_json
from hfcourse.run.knn_store import StoreFiles
from hfcourse.run.run import Run


class Experiment(Protocol):
    """See `hfcourse.knn.experiment.Experiment`."""

    evaluator: Any

    def build_index(self, label: str, keys: Sequence) -> Any: ...
    def hold(self, stores: dict[str, Any], indexes: dict[str, Any]) -> None: ...
    def choose(self, lines: Sequence[dict[str, Any]]) -> None: ...


@dataclass
class Work:
    """What was done: lines of the shards, of the predictions, and of the pieces that `writer` wrote."""

    journal: Journal
    writer: Writer
    built: list[dict[str, Any]]
    predicted: list[dict[str, Any]]
    pieces: list[Piece]
    written: list[dict[str, Any]]

    @property
    def truth(self) -> dict[str, float]:
        """Metrics <way>_truth_<lang>, with an exam."""
        metrics = decode_report.measure(self.writer, self.pieces, self.written)
        return {name: value for name, value in metrics.items() if "_truth_" in name}

    @property
    def milliseconds(self) -> dict[str, float]:
        """{way: milliseconds a token}, of as many texts at once as the writer takes."""
        rates = decode_report.tokens_per_second(self.writer, self.pieces, self.written)
        return {way: 1000 / rate for way, rate in rates.items()}

    @property
    def samples(self) -> list[dict[str, str]]:
        return decode_report.samples(self.writer, self.pieces, self.written)

    def write(self, run: Run, rows: Sequence[dict[str, Any]], plots: dict[str, Callable]) -> None:
        """samples.jsonl, metrics.jsonl, the pictures, speed.json; then the journals are no longer needed."""
        write_records(run.folder, decode_report.text_rows(self.writer, self.pieces, self.written), rows, plots)
        made, seconds = (sum(line[name] for line in self.built if line["made"]) for name in ("made", "seconds"))
        rate = {"entries_made": made, "entries_per_second": round(made / seconds, 1)} if made else {}
        shown = {way: round(value, 4) for way, value in self.milliseconds.items()}
        write_json(
            run.folder / "speed.json",
            rate | {"texts_at_once": self.writer.batch_size, "milliseconds_per_token": shown},
        )
        self.journal.remove()


def do_work(run: Run, stores: Mapping[str, StoreFiles], experiment: Experiment, writer: Writer) -> Work:
    """Do what the journal does not hold yet."""
    journal, pieces = Journal(run), make_pieces(writer)
    shards: dict[str, Callable[[], dict[str, Any]]] = {}
    indexes: dict[str, Callable[[], dict[str, Any]]] = {}
    for label, store in stores.items():
        run.on_main(store.begin)
        shards |= store.shard_pieces()
        indexes |= store.index_pieces(partial(experiment.build_index, label))
    predictions = experiment.evaluator.pieces()
    texts = {writer.key(piece): partial(writer, piece) for piece in pieces}

    def do(round_: Mapping[str, Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
        return list(do_pieces(run, round_, journal, {**shards, **indexes, **predictions, **texts}).values())

    built = do(shards)
    opened = {label: store.open() for label, store in stores.items()}
    do(indexes)
    experiment.hold(opened, {label: store.open_index() for label, store in stores.items()})
    predicted = do(predictions)
    experiment.choose(predicted)
    return Work(journal, writer, built, predicted, pieces, do(texts))
