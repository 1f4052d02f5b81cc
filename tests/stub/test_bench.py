"""The figures of `bulkwriter_bench`, as workers of pytest-xdist keep them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bulkwriter.stub.bench import Figures, read_figures


def test_figures_that_several_workers_keep_at_once_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    figures = Figures(path=path, base=None)
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda i: figures.keep(f"test_{i}", i), range(200)))
    assert read_figures(path) == {f"test_{i}": i for i in range(200)}
