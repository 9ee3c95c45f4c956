"""``phenolens cells`` and ``phenolens subpopulations``: the cells of a run, and how many of them respond."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, Perturbed, RunControls, RunFolder
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes, warn
from napari_phenolens.cli.progress import show_progress

COUNTED = ("well", "cells", "called", "responders", "escapers", "escapers_low", "escapers_high")


@exit_codes
def cells(
    run_folder: RunFolder,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FOLDER", help="Label images of your own, named as the images are; with --well: a file."
        ),
    ] = None,
    well: Annotated[
        str | None,
        typer.Option("--well", metavar="B07", help="With --labels FILE: replace the cells of this well's field alone."),
    ] = None,
    field: Annotated[
        str | None, typer.Option("--field", metavar="1", help="With --well: the field; the well's first.")
    ] = None,
    nuclear: Annotated[
        str | None, typer.Option("--nuclear", metavar="DNA", help="The channel of the nuclei; the lens's own.")
    ] = None,
    reach: Annotated[
        float | None, typer.Option("--reach", metavar="PX", min=0, help="How far from a nucleus a cell may reach.")
    ] = None,
    cytoplasm: Annotated[
        str | None,
        typer.Option("--cytoplasm", metavar="GFP,...", help="Channels that part touching cells; all but the nuclei's."),
    ] = None,
    stiffness: Annotated[
        float | None, typer.Option("--stiffness", min=0, help="What nearness counts against edges; 4.")
    ] = None,
    smooth: Annotated[
        float | None, typer.Option("--smooth", metavar="PX", min=0, help="Sigma of the smoothing before edges; 1.")
    ] = None,
    by_stain: Annotated[
        bool, typer.Option("--by-stain", help="End cells where the --cytoplasm channels end too, by control wells.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace cells found otherwise.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CSV", help="Write all cells with their measurements here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the cells of all fields of a run and store them with it; the same command goes on where it was stopped."""
    channels = None if cytoplasm is None else tuple(c.strip() for c in cytoplasm.split(",") if c.strip())
    asked: dict[str, Any] = {
        "nuclear": nuclear, "reach": reach, "cytoplasm": channels, "stiffness": stiffness, "smooth": smooth,
    }  # fmt: skip
    asked = {name: value for name, value in asked.items() if value is not None} | (
        {"by_stain": True} if by_stain else {}
    )
    if labels is not None and asked:
        said = ", ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise typer.BadParameter(f"{said}: of the built-in segmentation; leave out with --labels")
    if (well is None and field is not None) or (well is not None and labels is None):
        raise typer.BadParameter("--well needs --labels FILE, and --field needs --well")
    from napari_phenolens import add_cells, open_run

    run = open_run(run_folder)
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        if well is not None and labels is not None:
            _put(run, well, field, labels)
        else:
            from napari_phenolens.run import default_segmentation

            settings = default_segmentation(run, cancel=cancel, **asked) if asked else None
            add_cells(
                run, labels=labels, segmentation=settings, replace=replace, progress=progress, cancel=cancel
            )  # fmt: skip
    table, skipped = run.cells(), run.cells_skipped()
    if out is not None:
        from napari_phenolens.export import export_comparison

        whole = table.join(run.cell_measurements())
        whole.attrs = {"source": run.cell_source}
        export_comparison(whole, out)
    wells = table.groupby("well", sort=False).agg(cells=("label", "size"), area=("area", "median"))
    if as_json:
        output.print_json(
            {
                "cells": len(table), "source": run.cell_source, "skipped": output.records(skipped),
                "rows": output.records(wells),
            }
        )  # fmt: skip
        return
    if len(skipped):
        first = skipped.iloc[0]
        warn(f"{len(skipped)} fields were skipped, for example {first['well']} {first['field']}: {first['reason']}")
    output.say(f"{len(table)} cells in {len(wells)} wells are stored with {run_folder}.")
    output.print_table(wells)
    if out is not None:
        output.say(f"All of them: {out}")


def _put(run: Any, well: str, field: str | None, file: Path) -> None:
    """Store the label image of one field."""
    from napari_phenolens import put_cells
    from napari_phenolens.plate.images import read_image

    put_cells(run, well, field, read_image(str(file), None), given=f"file {file.name}")


@exit_codes
def subpopulations(
    run_folder: RunFolder,
    perturbed: Perturbed,
    controls: RunControls = None,
    wells: Annotated[
        str | None, typer.Option("--wells", metavar="QUERY", help="The wells to count in; the perturbed ones.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CSV", help="Write every cell with its probability here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count responders and escapers (cells that still look like control) in perturbed wells, of a run with cells."""
    from napari_phenolens import open_run
    from napari_phenolens import subpopulations as count

    run = open_run(run_folder)
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        found = count(run, controls, perturbed, wells=wells, progress=progress, cancel=cancel)
    summary = found.summary()
    if out is not None:
        from napari_phenolens.export import export_comparison

        each = found.cells.join(found.looks.cells[["side", "score", "rank", "probability"]])
        each.attrs.update(summary)
        export_comparison(each, out)
    if as_json:
        output.print_json({**summary, "rows": output.records(found.wells)})
        return
    for note in found.looks.notes:
        output.say(output.wrapped(note))
    output.say(output.wrapped(f"Called perturbed: {found.rule}, by models that never saw the cell's well."))
    output.say(f"Of control cells so called (taken off): {found.false_positives:.1%}")
    output.say(f"Escapers in all wells counted: {found.escapers:.0%}")
    error = found.looks.calibration
    if error is not None:
        output.say(
            output.wrapped(
                f"Calibration error against the side of held-out wells: {error.error:.3f}, of which so few wells make "
                f"{error.chance:.3f} by chance; that taken off: {error.debiased:.3f}"
            )
        )
    counted = found.wells["side"] == "counted"
    output.print_table(found.wells[counted], COUNTED)
    output.print_table(found.wells[~counted], ("well", "cells", "called"), title="control wells")
    if out is not None:
        output.say(f"Every cell: {out}")
