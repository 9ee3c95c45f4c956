"""``phenolens contrasts``: which contrasts were tried on a run; and what the command line writes into that log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, RunFolder
from napari_phenolens.cli.outcome import exit_codes, warn
from napari_phenolens.errors import PhenoLensError

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.run import Run


@exit_codes
def contrasts(run_folder: RunFolder, as_json: AsJson = False) -> None:
    """List the contrasts that were tried on a run, in napari and here."""
    from napari_phenolens import contrasts_tried, open_run

    table = contrasts_tried(open_run(run_folder))
    if as_json:
        output.print_json(output.records(table))
        return
    if not len(table):
        output.say("No contrast was tried on this run yet.")
        return
    shown = table.assign(controls=table["controls"].str.len(), perturbed=table["perturbed"].str.len())
    output.print_table(shown)


def count_contrast(runs: Sequence[Run], table: pd.DataFrame, name: str) -> None:
    """Write a comparison into the log of each of its runs, and the number tried into the table's warnings."""
    from napari_phenolens.run.contrasts import note_contrast, tried_note

    tried = 0
    for run in runs:
        sides = [[w for w in table.attrs[side] if _of(run, runs, w)] for side in ("controls", "perturbed")]
        try:
            tried = max(
                tried,
                note_contrast(
                    run, *sides, name=name, by="command line", picked_after=bool(table.attrs.get("picked_after"))
                ),
            )
        except PhenoLensError as error:
            warn(error)
    if tried:
        table.attrs["contrasts_tried"] = tried
        table.attrs["warnings"] = [*table.attrs["warnings"], *filter(None, [tried_note(tried)])]


def _of(run: Run, runs: Sequence[Run], well: str) -> bool:
    """Whether a well of a comparison is of this run: with several plates its name carries the plate's."""
    return len(runs) == 1 or well.rpartition("/")[0].startswith(run.plate_name)
