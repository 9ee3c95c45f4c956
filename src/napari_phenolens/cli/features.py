"""``phenolens gallery`` and ``phenolens similar``: one feature's best examples, and the features like it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.options import AsJson, RunFolder
from napari_phenolens.cli.outcome import exit_codes

OneFeature = Annotated[int, typer.Option("--feature", min=0, help="The feature: its 0-based atom.")]


@exit_codes
def gallery(
    run_folder: RunFolder,
    feature: OneFeature,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="The picture to write.")],
    count: Annotated[int, typer.Option("--count", min=1, help="So many examples, the strongest first.")] = 12,
    per_well: Annotated[int, typer.Option("--per-well", min=1, help="At most so many of a well.")] = 2,
    wells: Annotated[str | None, typer.Option("--wells", metavar="QUERY", help="Examples of these wells only.")] = None,
    channels: Annotated[str | None, typer.Option("--channels", metavar="DNA,GFP", help="Draw these only.")] = None,
    size: Annotated[int | None, typer.Option("--size", metavar="PX", min=1, help="Edge of a crop in pixels.")] = None,
    without: Annotated[bool, typer.Option("--without/--alone", help="With places without it beside them.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write a feature's best examples over the plate as one picture, outlined, places without it beside them."""
    from napari_phenolens import gallery as gallery_of
    from napari_phenolens import open_run
    from napari_phenolens.export import export_gallery, plate_looks

    drawn = arguments.channels(channels)
    if isinstance(drawn, dict):
        raise typer.BadParameter("give a list of channels: DNA,GFP")
    run = open_run(run_folder)
    plate = run.plate()
    crops = gallery_of(run, feature, count, per_well=per_well, without=without, size=size, wells=wells, plate=plate)
    name = run.annotations[feature].name
    roles = dict.fromkeys(run.controls, "control")
    title = f"F{feature}{f' {name}' if name else ''}, {run.plate_name}"
    export_gallery(crops, out, plate_looks(plate, run.controls, drawn), title=title, roles=roles)
    rows = [
        {
            "example": c.example, "side": c.side, "well": c.well, "field": c.field, "y": c.at[0], "x": c.at[1],
            "value": c.value, "role": roles.get(c.well, ""),
        }
        for c in crops
    ]  # fmt: skip
    if as_json:
        output.print_json(rows)
        return
    examples = [row for row in rows if row["side"] == "with"]
    output.print_rows(examples, ["well", "role", "field", "y", "x", "value"])
    output.say(f"The picture: {out}")


@exit_codes
def similar(
    run_folder: RunFolder,
    feature: OneFeature,
    count: Annotated[int, typer.Option("--count", min=1, help="So many of each kind.")] = 10,
    by: Annotated[
        str, typer.Option("--by", metavar="either|cosine|coactivation", help="What makes them alike.")
    ] = "either",
    as_json: AsJson = False,
) -> None:
    """List the features like one: whose atoms point its way, and which are active where it is."""
    from napari_phenolens import open_run, similar_features

    table = similar_features(open_run(run_folder), feature, count, by)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    output.print_table(table)
    output.say(f"Activity in {table.attrs['patches']:,} patches of {table.attrs['fields']} fields.")
