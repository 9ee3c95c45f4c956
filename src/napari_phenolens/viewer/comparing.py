"""Ranking features between control and perturbed wells, and the values that colour the plate map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.scoring import Phenotypes
from napari_phenolens.viewer.session import PHENOTYPE, Comparison
from napari_phenolens.viewer.settings import preferences

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

# What colours the plate map; a column of the map is "map:<column>", a covariate "covariate:<name>".
ROLE, FEATURE, FEATURE_Z = "role", "feature", "feature z"
PICKED_AFTER = (
    "Wells were marked by hand after features had been seen: a choice made after looking carries no p and no q, "
    "so they are left out. Confirm the effect on another plate."
)


@dataclass(frozen=True)
class WellValues:
    """What the plate map shows.

    Attributes
    ----------
    title : str
        What is shown, with its unit.
    values : Series or None
        Well name to number; None where wells are coloured by role or by category.
    categories : Series or None
        Well name to text.
    limits : tuple of float or None
        Shared limits of the colours.
    diverging : bool
        Whether the values lie about zero.
    note : str
        What one must know to read the values.
    marks : tuple of (float, str)
        Values that mean something, with their letters.
    """

    title: str
    values: pd.Series | None = None
    categories: pd.Series | None = None
    limits: tuple[float, float] | None = None
    diverging: bool = False
    note: str = ""
    marks: tuple[tuple[float, str], ...] = ()


def robust_z(values: pd.Series, controls: Sequence[str]) -> pd.Series:
    """Give values in robust standard deviations (1.4826 MAD) of the control wells from their median."""
    reference = values.reindex(list(controls)).dropna()
    if len(reference) < 2:
        return values * np.nan
    middle = reference.median()
    spread = 1.4826 * (reference - middle).abs().median()
    if not spread:
        spread = reference.std()
    return (values - middle) / spread if spread else values * np.nan


class Comparing:
    """Runs the comparison and answers what a well's value is."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._profiles: pd.DataFrame | None = None
        self._covariates: pd.DataFrame | None = None
        self.picked_after = False  # wells were marked by hand with a comparison on show

    def forget(self) -> None:
        """Forget the numbers of the former run."""
        self.bench.jobs.cancel("compare")
        self.bench.scoring.forget()
        self._profiles = self._covariates = None
        self.picked_after = False

    def ready(self) -> str:
        """Say what is missing for a comparison; empty where nothing is."""
        s = self.bench.session
        if s.run is None:
            return "Run the model or open finished results (step 4) to get features."
        if not self._side(roles.CONTROL):
            return "Say which wells are controls (step 3)."
        if not self._side(roles.PERTURBED, roles.POSITIVE):
            return "Say which wells are perturbed (step 3)."
        return ""

    def _side(self, *wanted: str) -> list[str]:
        s = self.bench.session
        have = set(s.run.wells) if s.run is not None else set()
        if wanted[0] == roles.PERTURBED and any(s.roles.get(well) == roles.PERTURBED for well in have):
            wanted = (roles.PERTURBED,)  # positive controls stand in only where nothing else is perturbed
        return [well for well in s.wells_of(*wanted) if well in have]

    def start_if_ready(self) -> None:
        """Compare at once where all is known and the preferences want it."""
        if not self.ready() and preferences().compare_on_open:
            self.start()

    def start(self) -> Job:
        """Rank the features in a thread."""
        missing = self.ready()
        if missing:
            raise PhenoLensError(missing)
        s = self.bench.session
        run = s.run
        controls, perturbed = self._side(roles.CONTROL), self._side(roles.PERTURBED, roles.POSITIVE)
        picked_after = bool(s.hand_roles) and self.picked_after

        def work(job: Job) -> tuple[Phenotypes, pd.DataFrame, pd.DataFrame]:
            profiles = run.profiles()
            covariates = run.covariates()
            comparison = compare_wells(run, controls, perturbed, picked_after=picked_after)
            return Phenotypes(run, comparison, profiles), profiles, covariates

        s.status = f"Comparing {len(perturbed)} perturbed with {len(controls)} control wells…"
        return self.bench.jobs.start("compare", work, self._compared, title="Comparing control and perturbed wells")

    def _compared(self, result: tuple[Phenotypes, pd.DataFrame, pd.DataFrame]) -> None:
        phenotypes, profiles, covariates = result
        s = self.bench.session
        if phenotypes.run is not s.run:
            return  # another run was opened meanwhile
        self._profiles, self._covariates = profiles, covariates
        comparison = phenotypes.comparison
        self.bench.scoring.take(phenotypes)
        s.comparison = comparison
        s.status = (
            f"{len(comparison.perturbed)} perturbed against {len(comparison.controls)} control wells. "
            "Choose a feature to see it on the cells."
        )
        if s.slots[0].feature is not None:
            s.feature = s.slots[0].feature
        elif len(comparison.features):
            self.bench.showing.feature(int(comparison.features["feature"].iloc[0]))
        self.bench.showing.compared()

    def save(self, table: pd.DataFrame, path: str) -> None:
        """Save a table as CSV, with a first line that says which wells were compared."""
        comparison = self.bench.session.comparison
        try:
            with open(path, "w", encoding="utf-8", newline="") as file:
                if comparison is not None:
                    wells = f"controls {' '.join(comparison.controls)}; perturbed {' '.join(comparison.perturbed)}"
                    file.write(f"# {wells}\n")
                table.to_csv(file, index=False)
        except OSError as error:
            raise PhenoLensError(f"{path} cannot be written: {error}; choose another folder") from error
        self.bench.session.status = f"Saved {len(table)} rows to {path}."

    def typical(self, wells: Sequence[str]) -> str:
        """Give the well nearest to the median of these for the chosen feature (the middle one without a feature)."""
        s = self.bench.session
        if self._profiles is not None and s.feature is not None:
            values = self._profiles[s.feature].reindex(list(wells)).dropna()
            if len(values):
                return str((values - values.median()).abs().idxmin())
        return wells[len(wells) // 2]

    def feature_values(self, feature: int | None) -> pd.Series | None:
        """Give a feature's mean activation of every well; None where there is none yet."""
        if self._profiles is None or feature is None or feature not in self._profiles.columns:
            return None
        return self._profiles[feature]

    def covariate_values(self, name: str) -> pd.Series | None:
        """Give a covariate of every well; None where there is none."""
        if self._covariates is None or name not in self._covariates.columns:
            return None
        return self._covariates[name]

    def choices(self) -> list[tuple[str, str]]:
        """List what the plate map can be coloured by: ``(key, words)``."""
        s = self.bench.session
        found = [(ROLE, "Role (control, perturbed)")]
        if self._profiles is not None:
            found += [(FEATURE, "Chosen feature: mean activation"), (FEATURE_Z, "Chosen feature: z against controls")]
        if s.comparison is not None:
            found.append((PHENOTYPE, "Chosen feature's phenotype: score"))
        if self._covariates is not None:
            found += [(f"covariate:{name}", str(name).replace("_", " ")) for name in self._covariates.columns]
        metadata = getattr(s.source, "metadata", None)
        if metadata is not None:
            found += [
                (f"map:{c}", f"Plate map: {c}")
                for c in metadata.columns
                if not str(c).lower().startswith(("file", "path"))
            ]
        return found

    def shown(self) -> WellValues:
        """Give what the plate map shows now."""
        s = self.bench.session
        key = s.colour_by
        controls = s.wells_of(roles.CONTROL)
        if key in (FEATURE, FEATURE_Z):
            values = self.feature_values(s.feature)
            if values is None:
                return WellValues("Choose a feature in step 5 to colour the wells by it")
            if key == FEATURE:
                return self._scaled(f"F{s.feature}: mean activation", values)
            return self._scaled(f"F{s.feature}: robust z against controls", robust_z(values, controls), diverging=True)
        if key == PHENOTYPE:
            return self.score()
        if key.startswith("covariate:"):
            values = self.covariate_values(key.removeprefix("covariate:"))
            if values is not None:
                return self._scaled(key.removeprefix("covariate:").replace("_", " "), values)
        if key.startswith("map:") and s.source is not None:
            column = key.removeprefix("map:")
            if column in s.source.metadata.columns:
                data = s.source.metadata[column]
                if pd.api.types.is_numeric_dtype(data) and data.nunique() > 8:
                    return self._scaled(column, data)
                return WellValues(column, categories=data)
        return WellValues("Roles")

    def score(self) -> WellValues:
        """Give every well's score by the chosen feature's phenotype."""
        s = self.bench.session
        if s.comparison is None:
            return WellValues("Press Compare in step 5 to score the wells by a phenotype")
        if s.feature is None:
            return WellValues("Choose a feature in step 5 to score the wells by its phenotype")
        if s.score is None:
            return WellValues(f"Scoring the wells by F{s.feature}'s phenotype…")
        if s.score.phenotype is None:
            return WellValues(f"No score: {s.score.why}")
        n = len(s.score.phenotype.features)
        shown = self._scaled(f"F{s.feature}'s phenotype: {n} feature{'s' * (n > 1)}", s.score.values, diverging=True)
        note = (
            f"0 is the mean of the {len(s.comparison.controls)} control wells, 1 that of the "
            f"{len(s.comparison.perturbed)} perturbed wells. The features were chosen on these wells: their own scores "
            "are in-sample and prove nothing."
        )
        stand_in = all(s.roles.get(well) == roles.POSITIVE for well in s.comparison.perturbed)
        perturbed = roles.LETTERS[roles.POSITIVE if stand_in else roles.PERTURBED]
        return replace(shown, note=note, marks=((0.0, roles.LETTERS[roles.CONTROL]), (1.0, perturbed)))

    @staticmethod
    def _scaled(title: str, values: pd.Series, *, diverging: bool = False) -> WellValues:
        numbers = values.to_numpy(dtype=float)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return WellValues(f"{title}: no numbers", values=values, limits=(0.0, 1.0), diverging=diverging)
        if diverging:
            reach = float(max(np.percentile(np.abs(numbers), 98), 1.0))
            return WellValues(title, values=values, limits=(-reach, reach), diverging=True)
        return WellValues(title, values=values, limits=(float(numbers.min()), float(numbers.max())))


def compare_wells(
    run: Any, controls: Sequence[str], perturbed: Sequence[str], *, picked_after: bool = False
) -> Comparison:
    """Compare with `napari_phenolens.compare`; runs in a thread.

    Parameters
    ----------
    run : Run
    controls, perturbed : sequence of str
        Wells.
    picked_after : bool
        Whether the wells were picked by hand after features were seen: such a contrast carries no p.

    Returns
    -------
    Comparison
        The rows of the public function, features and covariates apart, its warnings beside them.
    """
    from napari_phenolens.analysis import compare

    table = compare(run, controls=list(controls), perturbed=list(perturbed))
    warnings = [str(text) for text in table.attrs.get("warnings", ())]
    rows = table.reset_index()
    rows.attrs = {}
    if picked_after:
        rows.loc[:, [c for c in ("p", "p_parametric", "q") if c in rows.columns]] = np.nan
        warnings.insert(0, PICKED_AFTER)
    is_feature = rows["type"] == "feature" if "type" in rows.columns else pd.Series(True, index=rows.index)
    features = rows[is_feature].reset_index(drop=True)
    features["feature"] = features["feature"].astype(int)
    covariates = rows[~is_feature].rename(columns={"feature": "covariate"}).reset_index(drop=True)
    return Comparison(
        features=features,
        covariates=covariates if len(covariates) else None,
        controls=tuple(controls),
        perturbed=tuple(perturbed),
        warnings=tuple(warnings),
        sides=side_words(table.attrs.get("sides")),
    )


def side_words(sides: Any) -> str:
    """Say wells, cells and foreground of both sides, which stand over every comparison."""
    if not isinstance(sides, dict):
        return ""
    words = []
    for name, numbers in sides.items():
        parts = [f"{numbers.get('wells') or 0:.0f} wells"]
        if numbers.get("cell_count") is not None:
            parts.append(f"{numbers['cell_count']:.0f} nuclei a well")
        if numbers.get("foreground_share") is not None:
            parts.append(f"{numbers['foreground_share']:.0%} foreground")
        words.append(f"{name}: {', '.join(parts)}")
    return "; ".join(words)
