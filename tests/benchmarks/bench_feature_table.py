"""How long the table of features takes to sort, filter and search: the bar is 50 ms for 10,000 rows.

    python tests/benchmarks/bench_feature_table.py [--features 10000] [--wells 384] [--repeats 30]

Prints p50 and p95 in milliseconds. Needs a display or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_phenolens.run.annotations import Annotation
from napari_phenolens.widgets.feature_model import FeatureModel
from napari_phenolens.widgets.feature_table import FeatureTable
from napari_phenolens.widgets.well_bars import WellBars


def made_table(n: int) -> pd.DataFrame:
    """Give a table like that of a comparison."""
    rng = np.random.default_rng(0)
    numbers = {
        key: rng.normal(size=n) for key in ("effect", "effect_low", "effect_high", "hedges_g", "ssmd", "robust_z")
    }
    shares = {key: rng.uniform(size=n) for key in ("auroc", "p", "q", "density", "selectivity")}
    return pd.DataFrame(
        {
            "feature": rng.permutation(n), **numbers, **shares,
            "technical": rng.choice(["yes", "no", "not estimable"], n),
            "selective_for": rng.choice(["a", "b", "c"], n),
            "group": pd.array(rng.integers(0, n // 20 + 1, n), dtype="Int64"),
            "representative": pd.array(rng.random(n) < 0.1, dtype="boolean"),
            "sign_stable": pd.array(rng.random(n) < 0.5, dtype="boolean"),
        }
    )  # fmt: skip


def measure(name: str, action: Callable[[], object], repeats: int) -> None:
    """Print p50 and p95 of an action, with the drawing that follows it."""
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        QApplication.processEvents()
        took.append(1000 * (time.perf_counter() - start))
    print(f"{name:<28} p50 {np.percentile(took, 50):7.1f} ms   p95 {np.percentile(took, 95):7.1f} ms")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=10_000)
    parser.add_argument("--wells", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    rng = np.random.default_rng(1)
    wells = [f"W{i}" for i in range(asked.wells)]
    profiles = pd.DataFrame(rng.gamma(2, 0.1, (asked.wells, asked.features)).astype(np.float32), index=wells)
    roles = {well: "control" if i % 12 == 0 else "perturbed" for i, well in enumerate(wells)}
    table, model = made_table(asked.features), FeatureModel()
    view = FeatureTable(model)
    view.resize(900, 400)
    view.show()
    model.set_said({int(f): Annotation(f"name {f}", "", bool(f % 2)) for f in range(0, asked.features, 7)})
    few = max(2, asked.repeats // 10)
    measure("bars of all features", lambda: WellBars(profiles, roles), few)
    bars = WellBars(profiles, roles)
    measure("show a table", lambda: model.set_table(table, bars), few)
    for i, column in enumerate(model.columns):
        if column.key != "wells":
            model.sort(i)  # the key is made at the first sort
            measure(f"sort by {column.key}", lambda i=i: model.sort(i, Qt.SortOrder.DescendingOrder), asked.repeats)
    for text in ("effect > 1", "q < 0.05, |effect| > 1", "name 12", "starred", "technical", ""):
        measure(f"search {text!r}", lambda t=text: model.set_filter(t), asked.repeats)
    measure("one row per phenotype", lambda: model.set_filter("", grouped=True, hide_technical=True), asked.repeats)
    view.close()
    app.quit()


if __name__ == "__main__":
    main()
