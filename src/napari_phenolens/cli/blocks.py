"""``phenolens blocks``: which block of an encoder says most about a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.encoders import accept
from napari_phenolens.cli.opening import opened_plate
from napari_phenolens.cli.options import (
    AcceptLicence,
    AsJson,
    ChosenChannels,
    EncoderName,
    Pattern,
    PlateControls,
    WeightsFile,
)
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes
from napari_phenolens.cli.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

SHOWN = (
    "block", "balanced_accuracy", "low", "high", "within_one_se", "suggested", "perturbation_r2", "perturbation_p",
    "batch_r2", "batch_p", "robustness",
)  # fmt: skip


@exit_codes
def blocks(
    plate_folders: Annotated[
        list[Path], typer.Argument(metavar="PLATE...", help="The plate's folder, or several with the same channels.")
    ],
    platemap: Annotated[
        list[Path] | None,
        typer.Option("--platemap", metavar="CSV", help="The plate map; with several plates once for each, in order."),
    ] = None,
    controls: PlateControls = None,
    perturbed: Annotated[
        str | None, typer.Option("--perturbed", metavar="QUERY", help="The wells to tell from the controls.")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="Instead: tell the values of this column apart.")
    ] = None,
    wells: Annotated[
        str | None, typer.Option("--wells", metavar="QUERY", help="With --column: only these wells.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Wells of one value are never trained and tested on at once."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option("--batch", metavar="COLUMN", help="Whose share of the variance to tell; the plate by default."),
    ] = None,
    encoder: EncoderName = None,
    weights: WeightsFile = None,
    accept_licence: AcceptLicence = False,
    channels: ChosenChannels = None,
    fields: Annotated[int | None, typer.Option("--fields", min=1, help="At most so many fields of each well.")] = None,
    tokens: Annotated[
        Path | None, typer.Option("--tokens", metavar="DIR", help="Where finished wells are kept.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where the encoder runs.")
    ] = "auto",
    out: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="Write the table here.")] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="SVG|PNG", help="Draw the curve with its band here.")
    ] = None,
    pattern: Pattern = None,
    as_json: AsJson = False,
) -> None:
    """Tell which block of an encoder to use: linear probes over all blocks in one pass over the plate."""
    if (perturbed is None) == (column is None) or (perturbed is not None and controls is None):
        raise typer.BadParameter("give --controls QUERY and --perturbed QUERY, or --column NAME")
    maps: list[Path | None] = [*platemap] if platemap else [None] * len(plate_folders)
    if len(maps) != len(plate_folders):
        raise typer.BadParameter(
            f"{len(plate_folders)} plates and {len(maps)} plate maps: give --platemap once for each"
        )
    if figure is not None and figure.suffix.lower() not in (".svg", ".png"):
        raise typer.BadParameter(f"{figure}: a figure is written as .svg or .png")
    import napari_phenolens

    chosen: dict[str, Any] = {
        "controls": controls, "perturbed": perturbed, "column": column, "wells": wells, "group": group, "batch": batch,
        "encoder": encoder, "weights": weights, "channels": arguments.channels(channels), "fields": fields,
        "tokens": tokens,
    }  # fmt: skip
    plates = [opened_plate(folder, wells_of, pattern) for folder, wells_of in zip(plate_folders, maps, strict=True)]
    settings = {name: value for name, value in chosen.items() if value is not None}
    if accept_licence:
        accept(encoder)
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        table = napari_phenolens.blocks(plates, device=device, progress=progress, cancel=cancel, **settings)
    if out is not None:
        from napari_phenolens.export import export_comparison

        export_comparison(table, out)
    if figure is not None:
        from napari_phenolens.export import export_block_figure

        export_block_figure(table, figure)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    say_blocks(table)
    if out is not None:
        output.say(f"The table: {out} (and what stands over it: {out.with_suffix('.json')})")
    if figure is not None:
        output.say(f"The curve: {figure}")


def say_blocks(table: pd.DataFrame) -> None:
    """Print what stands over the curve, the curve, and the block that it suggests."""
    about = table.attrs
    for warning in about["warnings"]:
        output.say(output.wrapped(warning))
    classes = ", ".join(f"{name} {count}" for name, count in list(about["classes"].items())[:12])
    output.say(f"{about['encoder']}, wells: {classes}; {about['folds']} folds by {about['group']}")
    output.print_table(table, SHOWN)
    output.say(f"chance {about['chance']:.2f}; guessing stays below {about['chance_high']:.2f} in 19 of 20 such plates")
    output.say(output.wrapped(f"Suggested: block {about['suggested']} ({about['reason']})."))
    held = about["held_out"]
    apart = "too few wells to tell it so" if held != held else f"{held:.3f}"
    output.say(
        output.wrapped(
            f"Its figure {about['in_sample']:.3f} is in-sample: the block was chosen on the wells that it is quoted "
            f"on. Chosen on half of the wells and quoted on the others: {apart}."
        )
    )
    output.say(f"Use it: phenolens run PLATE ... --encoder {about['encoder']} --block {about['suggested']}")
