"""Dose-response curves against curves whose truth is known, and honest absence where a series cannot say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, dose_curves, say_dose
from napari_phenolens.analysis.dose_series import compound_columns, dose_columns, one_unit
from napari_phenolens.analysis.four_parameters import Series, fit, resampled_means, search
from napari_phenolens.plate import well_name_of

LOW, HIGH, DOSES = 1.0, 256.0, 9


def response(dose: np.ndarray, ec50: float, hill: float = 1.5) -> np.ndarray:
    return np.where(dose > 0, dose**hill / (ec50**hill + dose**hill), 0.0)


class Run:
    """What `dose_curves` reads of a run."""

    plate_name, n_features = "plate", 3

    def __init__(
        self, ec50s: dict[str, float], *, each: int = 4, noise: float = 0.08, seed: int = 0, untreated: int = 12
    ) -> None:
        rng = np.random.default_rng(seed)
        dose = np.repeat(np.geomspace(LOW, HIGH, DOSES), each)
        rows = [{"compound": "DMSO", "concentration": 0.0, "concentration_unit": "nM", "true": 0.0}] * untreated
        for name, ec50 in ec50s.items():
            rows += [
                {"compound": name, "concentration": d, "concentration_unit": "nM", "true": r}
                for d, r in zip(dose, response(dose, ec50) if ec50 > 0 else np.zeros(len(dose)), strict=True)
            ]
        self.metadata = pd.DataFrame(rows)
        self.metadata.index = pd.Index([well_name_of(i // 24, i % 24) for i in range(len(rows))], name="well")
        true = self.metadata.pop("true").to_numpy()
        values = np.stack([true, 5 - 2 * true, 0 * true], axis=1) + noise * rng.normal(size=(len(rows), 3))
        self.values = pd.DataFrame(values, index=self.metadata.index)
        self.wells = list(self.metadata.index)
        self.controls = [w for w in self.wells if self.metadata.loc[w, "compound"] == "DMSO"]

    def select(self, query: Any) -> list[str]:
        return list(self.metadata.query(query).index) if isinstance(query, str) else list(query)

    def profiles(self, per: str = "patch", kind: str = "activation") -> pd.DataFrame:
        return self.values

    def covariates(self) -> pd.DataFrame:
        return self.values.rename(columns={0: "cell_count"})[["cell_count"]]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run({"steady": 16.0, "late": 400.0, "early": 0.05, "nothing": 0.0})


@pytest.fixture(scope="module")
def table(run: Run) -> pd.DataFrame:
    return dose_curves(run, 0, bootstrap=300)


def test_a_known_curve_is_found(table: pd.DataFrame) -> None:
    row = table.loc["steady"]
    assert row["ec50"] == pytest.approx(16, rel=0.15)
    assert row["ec50_low"] < 16 < row["ec50_high"] < 10 * row["ec50_low"]
    assert row["hill"] == pytest.approx(1.5, rel=0.25)
    assert row["start"] == pytest.approx(0, abs=0.05)
    assert row["end"] == pytest.approx(1, abs=0.08)
    assert row["reason"] == ""
    assert (row["unit"], row["n_wells"], row["n_doses"], row["n_untreated"]) == ("nM", 36, 9, 12)
    assert "EC50" in say_dose(row) and "nM" in say_dose(row)


@pytest.mark.parametrize(
    ("compound", "why"),
    [("late", "plateau of high doses"), ("early", "plateau of low doses"), ("nothing", "no response")],
)
def test_what_a_series_cannot_say_is_left_out(table: pd.DataFrame, compound: str, why: str) -> None:
    row = table.loc[compound]
    assert np.isnan([row["ec50"], row["ec50_low"], row["ec50_high"]]).all()
    assert why in row["reason"]
    assert say_dose(row) == f"No EC50: {row['reason']}."


def test_a_missing_plateau_has_no_height(table: pd.DataFrame) -> None:
    assert np.isnan(table.loc["late", "end"])


def test_curve_and_wells_can_be_drawn(table: pd.DataFrame, run: Run) -> None:
    points, curve = table.attrs["points"]["steady"], table.attrs["curves"]["steady"]
    assert len(points["well"]) == 48 and points["dose"].count(0.0) == 12
    assert points["value"] == run.values.loc[points["well"], 0].tolist()
    low, value, high = (np.array(curve[key]) for key in ("low", "value", "high"))
    assert (low <= value + 1e-9).mean() > 0.95 and (value <= high + 1e-9).mean() > 0.95
    assert curve["dose"][0] == pytest.approx(LOW) and curve["dose"][-1] == pytest.approx(HIGH)
    inside = np.interp(np.log(16), np.log(curve["dose"]), value)
    assert inside == pytest.approx(0.5, abs=0.06)


def test_a_falling_curve_has_the_same_ec50(run: Run) -> None:
    row = dose_curves(run, 1, bootstrap=100, wells="compound == 'steady'").loc["steady"]
    assert row["ec50"] == pytest.approx(16, rel=0.15)
    assert row["start"] > row["end"]


def test_covariates_and_own_values(run: Run, table: pd.DataFrame) -> None:
    chosen = {"bootstrap": 300, "wells": "compound == 'steady'"}
    for value in ("cell_count", run.values[0].rename("mine")):
        found = dose_curves(run, value, **chosen)
        assert found.loc["steady", "ec50"] == table.loc["steady", "ec50"]
    assert found.attrs["value"] == "mine"


def test_the_interval_covers() -> None:
    """95 % asked, 60 series: fewer than 50 covered has a chance of 1 in 3,000."""
    covered = 0
    for seed in range(60):
        dose = np.concatenate([np.zeros(12), np.repeat(np.geomspace(LOW, HIGH, DOSES), 4)])
        value = response(dose, 16.0) + 0.12 * np.random.default_rng(seed).normal(size=len(dose))
        series = Series.of(dose, value)
        curve = search(series, series.mean[None])
        low, high = np.quantile(search(series, resampled_means(series, curve, 200, seed)).ec50, (0.025, 0.975))
        covered += bool(low <= 16 <= high)
    assert covered >= 50


def test_no_ec50_out_of_noise() -> None:
    flat = Run({f"c{i}": 0.0 for i in range(6)}, each=3, noise=1.0, seed=3)
    assert dose_curves(flat, 2, bootstrap=100)["ec50"].notna().sum() == 0


def test_search_and_scipy_agree() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        dose = np.concatenate([np.zeros(6), np.repeat(np.geomspace(0.3, 80, 9), 3)])
        series = Series.of(dose, response(dose, 5.0, 2.0) + 0.1 * rng.normal(size=len(dose)))
        a, b = fit(series), search(series, series.mean[None])
        assert a.ec50[0] == pytest.approx(b.ec50[0], rel=0.01)
        assert a.end[0] == pytest.approx(b.end[0], rel=0.01)
        away = [float(((series.value - c.at(series.dose)[0][series.level]) ** 2).sum()) for c in (a, b)]
        assert away[0] <= away[1] * (1 + 1e-6)


def test_one_well_a_dose_says_so() -> None:
    row_and_notes = dose_curves(Run({"single": 16.0}, each=1, noise=0.03), 0, bootstrap=200)
    assert "One well a dose" in " ".join(row_and_notes.attrs["warnings"])
    assert row_and_notes.loc["single", "ec50"] == pytest.approx(16, rel=0.3)


def test_too_few_doses() -> None:
    few = Run({"steady": 16.0})
    keep = few.metadata["concentration"].isin([0, *np.geomspace(LOW, HIGH, DOSES)[:3]])
    table = dose_curves(few, 0, wells=list(few.metadata.index[keep]))
    assert table.loc["steady", "reason"] == "3 doses: a curve needs at least 4"


def test_columns_are_found_by_their_names() -> None:
    names = ["row", "Metadata_Compound", "conc_uM", "concentration_unit", "concentration", "Dose [nM]", "drug_id"]
    metadata = pd.DataFrame({name: [1.0] for name in names})
    assert dose_columns(metadata) == ["conc_uM", "concentration", "Dose [nM]"]
    assert compound_columns(metadata)[0] == "Metadata_Compound"


def test_units_are_joined_or_refused() -> None:
    doses, units = pd.Series([1.0, 2.0, 500.0]), pd.Series(["uM", "µM", "nM"])
    joined, unit, problem = one_unit(doses, units)
    assert (unit, problem) == ("uM", "") and joined.tolist() == pytest.approx([1.0, 2.0, 0.5])
    assert "cannot be joined" in one_unit(doses, pd.Series(["uM", "%", "nM"]))[2]


def test_what_is_missing_is_named(run: Run) -> None:
    with pytest.raises(AnalysisError, match="no column 'dosis'; it has compound, concentration"):
        dose_curves(run, 0, dose="dosis")
    bare = Run({"steady": 16.0})
    bare.metadata = bare.metadata.rename(columns={"compound": "what"})
    with pytest.raises(AnalysisError, match="pass compound=COLUMN"):
        dose_curves(bare, 0)
    with pytest.raises(AnalysisError, match="no feature 7"):
        dose_curves(run, 7)
