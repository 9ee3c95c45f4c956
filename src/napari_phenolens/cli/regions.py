"""``phenolens region``: which features the patches inside a drawn region have, and others have not."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.options import AsJson, OneField, OneWell, RunFolder
from napari_phenolens.cli.outcome import exit_codes, warn
from napari_phenolens.errors import PhenoLensError


@exit_codes
def region(
    run_folder: RunFolder,
    well: OneWell,
    corners: Annotated[
        str, typer.Option("--corners", metavar="Y,X;Y,X;...", help="Corners of a polygon in field pixels.")
    ],
    field: OneField = None,
    against: Annotated[
        str, typer.Option("--against", metavar="rest|control", help="The rest of the field, or the control wells.")
    ] = "rest",
    top: Annotated[int, typer.Option("--top", min=1, help="How many features to print.")] = 15,
    as_json: AsJson = False,
) -> None:
    """Say which features the patches inside a polygon have and others have not; for cells see `distinguish`."""
    from napari_phenolens import open_run, region_features
    from napari_phenolens.analysis.regions import count_region

    run = open_run(run_folder)
    table = region_features(run, (well, field, arguments.corners(corners)), against=against)
    try:
        table.attrs["contrasts_tried"] = count_region(run, table, by="command line")
    except PhenoLensError as error:
        warn(error)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    about = table.attrs
    output.say(output.wrapped(f"{about['sides'][1]}, against {about['patches_outside']:,} patches: {against}."))
    for note in about["notes"]:
        output.say(output.wrapped(note))
    if "contrasts_tried" in about:
        output.say(f"Contrasts tried on this run: {about['contrasts_tried']}.")
    output.print_table(table.head(top))
