"""The table of a comparison of ways to generate: names within names, and what a terminal leaves out."""

from hfcourse.run.show import by_way, ways_table


METRICS = {
    "document_perplexity": 2.0,
    "document_judge_perplexity": 3.0,
    "repetition_penalty_1_3_repetition": 0.25,
    "repetition_penalty_1_3_judge_perplexity": 4.0,
    "repetition_penalty_1_3_self_bleu": 0.5,
    "repetition_penalty_1_3_truth_en": 1.0,
    "passes_16_truth_pt_br": 0.125,
}


def test_a_metric_s_name_is_a_way_and_a_measure() -> None:
    measures, found = by_way(METRICS)
    assert measures == ["judge_perplexity", "perplexity", "repetition", "self_bleu", "truth_en", "truth_pt_br"]
    assert found["document"] == {"perplexity": 2.0, "judge_perplexity": 3.0}
    assert found["repetition_penalty_1_3"]["repetition"] == 0.25 and found["passes_16"] == {"truth_pt_br": 0.125}


def test_the_writer_s_own_perplexity_is_shown_where_there_is_no_judge() -> None:
    head, rows = ways_table(METRICS)
    assert head == ["", "judged", "repeats", "true en", "true pt_br"]
    assert rows[1] == ["repetition_penalty_1_3", "4", "0.25", "1", ""]
    alone = {name: value for name, value in METRICS.items() if "judge" not in name}
    assert ways_table(alone)[0] == ["", "perplexity", "repeats", "true en", "true pt_br"]
