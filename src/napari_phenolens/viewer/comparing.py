"""Ranking features between control and perturbed wells, and the values that colour the plate map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_phenolens.analysis.well_values import (
    COLUMN,
    COVARIATE,
    FEATURE,
    FIELDS,
    ROLE,
    WellValues,
    Z,
    against_controls,
    columns_of,
    feature_title,
    field_counts,
    numbers_or_words,
    scaled,
    words_of,
)
from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import roles
from napari_phenolens.viewer.responding import ESCAPERS
from napari_phenolens.viewer.scoring import Phenotypes
from napari_phenolens.viewer.session import PHENOTYPE, Comparison
from napari_phenolens.viewer.settings import preferences

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

FEATURE_Z = FEATURE + Z  # what colours the plate map is named as in `analysis.well_values`


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

    def _side(self, *wanted: str, run: Any = None) -> list[str]:
        s = self.bench.session
        run = run if run is not None else s.run
        have = set(run.wells) if run is not None else set()
        if wanted[0] == roles.PERTURBED and any(s.roles.get(well) == roles.PERTURBED for well in have):
            wanted = (roles.PERTURBED,)  # positive controls stand in only where nothing else is perturbed
        return [well for well in s.wells_of(*wanted) if well in have]

    def sides_of(self, run: Any) -> tuple[list[str], list[str]]:
        """Give the control and perturbed wells by their roles that a run has results of."""
        return self._side(roles.CONTROL, run=run), self._side(roles.PERTURBED, roles.POSITIVE, run=run)

    def take(self, profiles: pd.DataFrame, covariates: pd.DataFrame) -> None:
        """Take up the numbers of a run that goes on."""
        self._profiles, self._covariates = profiles, covariates

    def start_if_ready(self) -> None:
        """Compare at once where all is known and the preferences want it."""
        if not self.ready() and preferences().compare_on_open:
            self.start()

    def start(self) -> Job:
        """Rank the features between the wells of these roles in a thread."""
        missing = self.ready()
        if missing:
            raise PhenoLensError(missing)
        controls, perturbed = self._side(roles.CONTROL), self._side(roles.PERTURBED, roles.POSITIVE)
        picked_after = self.bench.contrasting.picked_after
        return self.between(controls, perturbed, name="Perturbed vs control", by="roles", picked_after=picked_after)

    def between(
        self, controls: Sequence[str], perturbed: Sequence[str], *, name: str, by: str, picked_after: bool
    ) -> Job:
        """Rank the features between two sets of wells in a thread; the contrast is counted.

        Parameters
        ----------
        controls, perturbed : sequence of str
            Wells with results.
        name : str
            What the contrast is called.
        by : str
            How its wells were chosen: roles, values, selection.
        picked_after : bool
            Whether they were picked after features had been seen: then it carries no p.
        """
        s = self.bench.session
        run = s.run

        def work(job: Job) -> tuple[Phenotypes, pd.DataFrame, pd.DataFrame]:
            profiles = run.profiles()
            covariates = run.covariates()
            comparison = compare_wells(run, controls, perturbed, picked_after=picked_after)
            comparison = counted(run, replace(comparison, name=name, about={**comparison.about, "by": by}))
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
            self.bench.showing.feature(int(comparison.features["feature"].iloc[0]), step=False)
        self.bench.showing.compared()

    def restore(
        self,
        kept: Sequence[Comparison],
        shown: Phenotypes,
        profiles: pd.DataFrame,
        covariates: pd.DataFrame | None,
    ) -> None:
        """Take up comparisons of this run that were made elsewhere (a saved session); one of them is shown."""
        self._profiles, self._covariates = profiles, covariates
        self.bench.scoring.take(shown)
        self.bench.session.contrasts = tuple(kept)
        self.bench.session.comparison = shown.comparison

    def present(self, comparison: Comparison) -> None:
        """Show a comparison of this run that was made before."""
        s = self.bench.session
        if self._profiles is not None and comparison is not s.comparison:
            self.bench.scoring.take(Phenotypes(s.run, comparison, self._profiles))
            s.comparison = comparison

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

    @property
    def profiles(self) -> pd.DataFrame | None:
        """The mean activations of all wells, wells x features; None before a comparison."""
        return self._profiles

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
        """List what the plate map can be coloured by: ``(key, words)``; numbers also as z, see `z_of`."""
        s = self.bench.session
        found = [(ROLE, "Role")]
        if s.source is not None:
            found.append((FIELDS, "Number of fields"))
        if self._profiles is not None:
            found.append((FEATURE, "Chosen feature: mean activation"))
        if s.comparison is not None:
            found.append((PHENOTYPE, "Chosen feature's phenotype: score"))
        if s.responders is not None:
            found.append((ESCAPERS, "Cells that still look like control (escapers)"))
        if self._covariates is not None:
            found += [(f"{COVARIATE}{name}", words_of(str(name))) for name in self._covariates.columns]
        metadata = getattr(s.source, "metadata", None)
        if metadata is not None:
            found += [(f"{COLUMN}{name}", f"Plate map: {name}") for name in columns_of(metadata)]
        return found

    def z_of(self, key: str) -> str:
        """Give the key of these numbers as z against the controls; empty where they are no numbers or have a scale."""
        base = self.base_of(key)
        named = self._named(base)
        return base + Z if named is not None and pd.api.types.is_numeric_dtype(named[1]) else ""

    def base_of(self, key: str) -> str:
        """Give a key without its z; a column whose own name ends so is left alone."""
        return key if self._named(key) is not None else key.removesuffix(Z)

    def _named(self, key: str) -> tuple[str, pd.Series] | None:
        """Give title and numbers (or words) of a key, z aside; None where they are not there."""
        s = self.bench.session
        values = None
        if key == FEATURE:
            values = self.feature_values(s.feature)
            return None if values is None or s.feature is None else (feature_title(s.feature), values)
        if key == FIELDS and s.source is not None:
            return "fields", field_counts(s.source)
        if key.startswith(COVARIATE):
            name = key.removeprefix(COVARIATE)
            values = self.covariate_values(name)
            return None if values is None else (words_of(name), values)
        if key.startswith(COLUMN) and s.source is not None:
            name = key.removeprefix(COLUMN)
            return (name, s.source.metadata[name]) if name in s.source.metadata.columns else None
        return None

    def shown(self) -> WellValues:
        """Give what the plate map shows now; `napari_phenolens.analysis.well_values` gives the same numbers."""
        s = self.bench.session
        key = s.colour_by
        if key == PHENOTYPE:
            return self.score()
        if key == ESCAPERS:
            none = WellValues("Count responders in the dock PhenoLens cell to colour the wells by escapers")
            return none if s.responders is None else s.responders.values
        base = self.base_of(key)
        named = self._named(base)
        if named is None:
            waits = base == FEATURE
            return WellValues("Choose a feature in step 5 to colour the wells by it" if waits else "Roles")
        title, data = named
        if key != base and self.z_of(key):
            return against_controls(title, data, s.wells_of(roles.CONTROL))
        return numbers_or_words(title, data) if key.startswith(COLUMN) else scaled(title, data)

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
        shown = scaled(f"F{s.feature}'s phenotype: {n} feature{'s' * (n > 1)}", s.score.values, diverging=True)
        note = (
            f"0 is the mean of the {len(s.comparison.controls)} control wells, 1 that of the "
            f"{len(s.comparison.perturbed)} perturbed wells. The features were chosen on these wells: their own scores "
            "are in-sample and prove nothing."
        )
        stand_in = all(s.roles.get(well) == roles.POSITIVE for well in s.comparison.perturbed)
        perturbed = roles.LETTERS[roles.POSITIVE if stand_in else roles.PERTURBED]
        return replace(shown, note=note, marks=((0.0, roles.LETTERS[roles.CONTROL]), (1.0, perturbed)))


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
        The rows of the public function, features and covariates apart, its warnings beside them; with each feature's
        selectivity (`napari_phenolens.analysis.treatment_selectivity`) where the plate map names treatments.
    """
    from napari_phenolens.analysis import compare, treatment_selectivity

    table = compare(run, controls=list(controls), perturbed=list(perturbed), picked_after=picked_after)
    about = {str(name): value for name, value in table.attrs.items()}
    warnings = [str(text) for text in about.pop("warnings", ())]
    rows = table.reset_index()
    rows.attrs = {}
    is_feature = rows["type"] == "feature" if "type" in rows.columns else pd.Series(True, index=rows.index)
    features = rows[is_feature].reset_index(drop=True)
    features["feature"] = features["feature"].astype(int)
    selective = treatment_selectivity(run)
    if len(selective):
        features = features.join(selective, on="feature")
    covariates = rows[~is_feature].rename(columns={"feature": "covariate"}).reset_index(drop=True)
    return Comparison(
        features=features,
        covariates=covariates if len(covariates) else None,
        controls=tuple(controls),
        perturbed=tuple(perturbed),
        warnings=tuple(warnings),
        sides=side_words(about.get("sides")),
        about=about,
    )


def counted(run: Any, comparison: Comparison) -> Comparison:
    """Write a comparison into the run's log of contrasts, and how many were tried into its warnings; in a thread."""
    from napari_phenolens.run.contrasts import note_contrast, tried_note

    picked_after = bool(comparison.about.get("picked_after"))
    try:
        tried = note_contrast(
            run,
            comparison.controls,
            comparison.perturbed,
            name=comparison.name,
            by="napari",
            picked_after=picked_after,
        )
    except PhenoLensError as error:
        return replace(comparison, warnings=(*comparison.warnings, f"This contrast is not counted: {error}."))
    note = tried_note(tried)
    warnings = (*comparison.warnings, note) if note else comparison.warnings
    return replace(comparison, warnings=warnings, about={**comparison.about, "contrasts_tried": tried})


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
