"""Control wells beside perturbed ones: which, and reading them; `side_by_side` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer import compat, roles
from napari_phenolens.viewer.describing import describe
from napari_phenolens.viewer.session import PHENOTYPE
from napari_phenolens.viewer.side_by_side import Side
from napari_phenolens.viewer.well_mosaic import has_results, read_column, read_column_overlay

if TYPE_CHECKING:
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.workbench import Workbench

MOST = 4  # pairs below each other


class Pairing:
    """Shows pairs of wells with the same limits: controls on the left, perturbed on the right, a pair a row."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def pair(self) -> tuple[str, str] | None:
        """Choose a control and a perturbed well to compare: of each side the well nearest to its median.

        The shown or selected well is taken as it is. None where a side is empty.
        """
        found = self.sides(1)
        return None if found is None else (found[0][0], found[1][0])

    def sides(
        self, count: int, control: str | None = None, perturbed: str | None = None
    ) -> tuple[list[str], list[str]] | None:
        """Choose as many wells of each side, nearest to their side's median first; fewer where a side has fewer.

        Parameters
        ----------
        count : int
            Pairs.
        control, perturbed : str, optional
            Wells that come first; by default the shown or selected one, else the typical one.

        Returns
        -------
        (controls, perturbed) or None
            None where a side is empty.
        """
        s = self.bench.session
        wells = [w for w in s.wells if s.plate is None or w in s.plate.wells]
        chosen = []
        for first, wanted in ((control, (roles.CONTROL,)), (perturbed, (roles.PERTURBED, roles.POSITIVE))):
            names = [well for well in wells if s.roles.get(well) in wanted]
            if first is None and not names:
                return None
            at_hand = [well for well in (*s.selected, s.well) if well in names]
            first = first or (at_hand[0] if at_hand else self.bench.comparing.typical(names))
            chosen.append([first, *[well for well in self._ranked(names) if well != first]])
        fewest = min(count, *map(len, chosen))
        return chosen[0][:fewest], chosen[1][:fewest]

    def _ranked(self, wells: Sequence[str]) -> list[str]:
        """Order wells by how near they are to their median for the chosen feature."""
        values = self.bench.comparing.feature_values(self.bench.session.feature)
        if values is None:
            return list(wells)
        here = values.reindex(list(wells))
        return list((here - here.median()).abs().sort_values(kind="stable").index)

    def show(self, control: str | None = None, perturbed: str | None = None, pairs: int | None = None) -> None:
        """Show control wells beside perturbed ones with the same contrast and heatmap limits.

        Parameters
        ----------
        control, perturbed : str, optional
            The first pair; by default typical wells.
        pairs : int, optional
            How many, 1 to `MOST`; as many as before by default.
        """
        s, showing = self.bench.session, self.bench.showing
        if s.plate is None:
            raise PhenoLensError("the pictures of this plate are not at hand; open the plate's folder first (step 1)")
        s.pairs = min(max(1, pairs if pairs is not None else s.pairs), MOST)
        found = self.sides(s.pairs, control, perturbed)
        if found is None:
            raise PhenoLensError("say which wells are controls and which are perturbed first (step 3)")
        self.bench.overview.end()
        plate, run, controls, phenotypes = s.plate, s.run, s.wells_of(roles.CONTROL), self.bench.scoring.present
        slot = next((i for i, state in enumerate(s.slots) if state.feature is not None), 0)
        state = s.slots[slot]
        missing: list[str] = []

        def read(wells: list[str], side: str, job: Job) -> Side:
            limits = showing.find_limits(plate, controls, job.cancelled)
            picture = read_column(plate, wells, limits, job.cancelled)
            overlay = None
            if state.feature is not None and all(has_results(run, w, plate.wells[w].fields[0].name) for w in wells):
                asked = (state.feature, state.kind, picture.pixel_size, phenotypes, job.cancelled)
                try:
                    overlay = read_column_overlay(run, plate, wells, *asked)
                except PhenoLensError as error:
                    if state.kind != PHENOTYPE:
                        raise
                    missing.append(str(error))
            told = describe(plate, wells[0], 1) if len(wells) == 1 else ""  # half a canvas has room for no more
            words = (f"{side} {', '.join(wells)}", overlay.name if overlay is not None else "", told)
            return Side(picture, overlay, " · ".join(word for word in words if word))

        def done(sides: tuple[Side, Side]) -> None:
            if (sides[0].overlay is None) != (sides[1].overlay is None):
                bare = [Side(side.picture, None, side.caption) for side in sides]
                sides = (bare[0], bare[1])
            self.bench.side.show(*sides, slot=slot, dim=showing.dim)
            compat.text_overlay(self.bench.viewer).visible = False
            self.bench.jobs.soon(lambda: compat.fit(self.bench.viewer, self.bench.side.layers))  # no size as yet
            s.view, s.side_by_side = "field", True
            several = "" if len(found[0]) == 1 else f" {len(found[0])} pairs, the most typical wells first."
            same = f"Control {found[0][0]} beside perturbed {found[1][0]}: same contrast, same heatmap limits."
            s.status = missing[0] if missing else same + several

        self.bench.jobs.start(
            "picture",
            lambda job: (read(found[0], "control", job), read(found[1], "perturbed", job)),
            done,
            title="Comparing wells",
        )

    def end(self) -> None:
        """Go back to one well, with the viewer as it was: grid, layers, camera."""
        look = self.bench.side.end()
        compat.text_overlay(self.bench.viewer).visible = self.bench.session.well is not None
        self.bench.session.side_by_side = False
        self.bench.session.status = "Back to one well."
        if look is not None:  # once the grid's cells have gone from the canvas
            self.bench.jobs.soon(lambda: compat.look_again(self.bench.viewer, look))
