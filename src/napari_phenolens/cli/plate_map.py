"""``phenolens platemap``: what napari's plate map shows, as a figure or a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, RunControls, RunFolder
from napari_phenolens.cli.outcome import exit_codes

Query = Annotated[str | None, typer.Option(metavar="QUERY", help="Wells of this role: a query over the map, or A12.")]


@exit_codes
def platemap(
    run_folder: RunFolder,
    feature: Annotated[
        int | None, typer.Option("--feature", min=0, help="Colour the wells by this feature's mean activation.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="... or by a covariate, a plate-map column, or `fields`."),
    ] = None,
    z: Annotated[bool, typer.Option("--z", help="As robust z against the control wells.")] = False,
    controls: RunControls = None,
    perturbed: Query = None,
    positive: Query = None,
    excluded: Query = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The figure (.svg, .png) or the table (.csv).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the plate map, coloured by a feature, a covariate, a column of the map, or by role."""
    if feature is not None and by is not None:
        raise typer.BadParameter("--feature and --by both colour the wells; give one")
    from napari_phenolens import open_run
    from napari_phenolens.export import export_plate_map, plate_map

    shown = feature if feature is not None else by if by is not None else "role"
    made = plate_map(
        open_run(run_folder), shown, z=z, controls=controls, perturbed=perturbed, positive=positive, excluded=excluded
    )
    if out is not None:
        export_plate_map(made, out)
    if as_json:
        limits = list(made.shown.limits) if made.shown.limits is not None else None
        rows = output.records(made.table())
        output.print_json({"title": made.shown.title, "limits": limits, "format": list(made.format), "rows": rows})
    elif out is None:
        output.print_table(made.table(), title=f"{made.name}: {made.shown.title}")
    else:
        output.say(f"{out}: {len(made.wells)} wells, {made.shown.title}")
