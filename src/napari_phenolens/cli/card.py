"""``phenolens card``: one cell explained."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.options import AsJson, OneField, RunControls, RunFolder
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes


@exit_codes
def card(
    run_folder: RunFolder,
    well: Annotated[str | None, typer.Option("--well", metavar="B07", help="With --at: the cell's well.")] = None,
    field: OneField = None,
    at: Annotated[str | None, typer.Option("--at", metavar="Y,X", help="A place in the cell, field pixels.")] = None,
    cell: Annotated[int | None, typer.Option("--cell", min=0, help="Or the cell's number in the run's table.")] = None,
    perturbed: Annotated[
        str | None, typer.Option("--perturbed", metavar="QUERY", help="Wells that control cells are told apart from.")
    ] = None,
    controls: RunControls = None,
    as_json: AsJson = False,
) -> None:
    """Explain a cell: its features against the control cells, its likes, what it looks like, what it lacks."""
    if (cell is None) == (at is None) or (at is None) != (well is None):
        raise typer.BadParameter("give --well B07 --at Y,X, or --cell NUMBER")
    from napari_phenolens.analysis import AnalysisError, cell_card, cell_reference
    from napari_phenolens.analysis.looks import looks
    from napari_phenolens.run import open_run

    with cancel_on_interrupt() as cancel:
        run = open_run(run_folder)
        if at is not None and well is not None:
            cell = run.cell_at(well, field, arguments.position(at))
            if cell is None:
                raise AnalysisError(f"no cell at {at} in well {well}; `phenolens explain` says what is at a place")
        told = None if perturbed is None else looks(run, controls, perturbed, cancel=cancel)
        reference = cell_reference(run, controls, perturbed, looks=told, cancel=cancel)
        found = cell_card(reference, int(cell or 0))
    if as_json:
        output.print_json(found.to_dict())
    else:
        output.say(found.text())
