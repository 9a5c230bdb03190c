"""The CSV log of a run that is killed."""

from __future__ import annotations

import csv
from pathlib import Path

from logpose.report.page import read_curves
from logpose.training.curves import curves_logger


def test_a_new_column_keeps_earlier_rows_and_a_torn_row_is_removed(tmp_path: Path) -> None:
    logger = curves_logger(tmp_path)
    logger.log_metrics({"lr": 0.5, "epoch": 0}, step=1)
    logger.save()
    logger.log_metrics({"val/nll": 2.5, "epoch": 0}, step=2)
    logger.save()
    file = tmp_path / "csv-1" / "metrics.csv"
    with file.open("a") as opened:
        opened.write("12,0.0")  # of a row that the process was killed in
    resumed = curves_logger(tmp_path)
    assert resumed.version == "csv-2"
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["step"], row["lr"], row["val/nll"]) for row in rows] == [("1", "0.5", ""), ("2", "", "2.5")]
    resumed.log_metrics({"val/nll": 1.5, "epoch": 1}, step=3)
    resumed.save()
    assert read_curves(tmp_path)["val/nll"] == [(1, 2.5), (2, 1.5)]
