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
        typer.Option("--labels", metavar="FOLDER", help="Label images of your own, named as the images are."),
    ] = None,
    reach: Annotated[
        float | None, typer.Option("--reach", metavar="PX", min=0, help="How far from a nucleus a cell may reach.")
    ] = None,
    cytoplasm: Annotated[
        str | None,
        typer.Option("--cytoplasm", metavar="GFP,...", help="Channels that part touching cells; all but the nuclei's."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace cells found otherwise.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CSV", help="Write all cells with their measurements here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the cells of all fields of a run and store them with it; the same command goes on where it was stopped."""
    if labels is not None and (reach, cytoplasm) != (None, None):
        raise typer.BadParameter("--reach and --cytoplasm are of the built-in segmentation; leave them with --labels")
    from napari_phenolens import add_cells, open_run

    run = open_run(run_folder)
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        asked: dict[str, Any] = {"labels": labels}
        if (reach, cytoplasm) != (None, None):
            asked = {"segmentation": _segmentation(run, reach, cytoplasm)}
        add_cells(run, replace=replace, progress=progress, cancel=cancel, **asked)
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


def _segmentation(run: Any, reach: float | None, cytoplasm: str | None) -> Any:
    """Give the run's own settings with what was asked for."""
    from dataclasses import replace

    from napari_phenolens.run import default_segmentation

    changed: dict[str, Any] = {}
    if reach is not None:
        changed["reach"] = reach
    if cytoplasm is not None:
        changed["cytoplasm"] = tuple(name.strip() for name in cytoplasm.split(",") if name.strip())
    return replace(default_segmentation(run), **changed)


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
        output.say(f"Calibration error against the side of held-out wells: {error.error:.3f}")
    counted = found.wells["side"] == "counted"
    output.print_table(found.wells[counted], COUNTED)
    output.print_table(found.wells[~counted], ("well", "cells", "called"), title="control wells")
    if out is not None:
        output.say(f"Every cell: {out}")
