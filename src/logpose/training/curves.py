"""The CSV log of a run, which survives that the process is killed while it is written."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from logpose.core.compat import patch_torchvision
from logpose.core.files import whole_file

patch_torchvision()
from lightning.fabric.loggers.logger import rank_zero_experiment  # noqa: E402  (imports torchvision if it is there)
from lightning.pytorch.loggers import CSVLogger  # noqa: E402
from lightning.pytorch.loggers.csv_logs import ExperimentWriter  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402

__all__ = ["curves_logger"]


class _Writer(ExperimentWriter):
    """Lightning's, which appends rows, and writes the file again where a row has a new column."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=fieldnames)
        writer.writeheader()
        with path.open(newline="") as file:
            writer.writerows(csv.DictReader(file))
        with whole_file(path) as rewritten:
            rewritten.write(text.getvalue().encode())


class _Curves(CSVLogger):
    """Lightning's, with this writer."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, as Lightning calls it."""
        if self._experiment is None:
            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = _Writer(self.log_dir)
        return self._experiment


def curves_logger(folder: str | Path) -> CSVLogger:
    """The CSV log of a run, in a folder of its own; a resumed run gets another.

    They are csv-1, csv-2, …; `report.read_curves` joins them. A row that an earlier process was killed in is removed.
    """
    before = list(Path(folder).glob("csv-*"))
    for path in (each / "metrics.csv" for each in before):
        if path.is_file() and rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # Lightning sets it
            content = path.read_bytes()
            if not content.endswith(b"\n"):
                with whole_file(path) as file:
                    file.write(content[: content.rfind(b"\n") + 1])
    return _Curves(folder, name="", version=f"csv-{len(before) + 1}")
