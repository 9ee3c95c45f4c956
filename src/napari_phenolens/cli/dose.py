"""``phenolens dose``: dose-response curves; ``phenolens positions``: whether a value follows the well's place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, RunControls, RunFolder
from napari_phenolens.cli.outcome import exit_codes

if TYPE_CHECKING:
    from napari_phenolens.run import Run

Value = Annotated[
    str, typer.Option("--feature", metavar="17|NAME", help="A feature (its 0-based atom) or a covariate's name.")
]
Scored = Annotated[
    str | None,
    typer.Option(
        "--phenotype-of",
        metavar="QUERY",
        help="Instead of the feature itself, the score of its phenotype between the controls and these wells.",
    ),
]
Per = Annotated[
    str, typer.Option("--per", metavar="patch|cell|field", help="What a well's mean of a feature is taken over.")
]
Figure = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="The figure (.svg, .png) or the table (.csv).")
]


def valued(run: Run, text: str, perturbed: str | None, controls: str | None, per: str) -> Any:
    """Read what `--feature` names: a feature, a covariate, or a feature's phenotype."""
    feature = int(text) if text.strip().isdigit() else None
    if perturbed is None:
        return text if feature is None else feature
    if feature is None:
        raise typer.BadParameter(f"--phenotype-of needs a feature, and {text!r} is none; give its number")
    from napari_phenolens import phenotype

    return phenotype(run, controls, perturbed, feature=feature, per=per)


@exit_codes
def dose(
    run_folder: RunFolder,
    value: Value,
    dose_column: Annotated[
        str | None,
        typer.Option("--dose", metavar="COLUMN", help="The map's column of doses; found if not given."),
    ] = None,
    compound: Annotated[
        str | None, typer.Option("--compound", metavar="COLUMN", help="... of compounds; found if not given.")
    ] = None,
    controls: RunControls = None,
    wells: Annotated[str | None, typer.Option("--wells", metavar="QUERY", help="Use only these treated wells.")] = None,
    phenotype_of: Scored = None,
    per: Per = "patch",
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=100, help="Resamples of wells within dose.")] = 1000,
    out: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Fit a dose-response curve to every compound; an EC50 only where the series can say it."""
    from napari_phenolens import dose_curves, open_run
    from napari_phenolens.analysis import say_dose
    from napari_phenolens.export import export_dose_curves

    run = open_run(run_folder)
    table = dose_curves(
        run, valued(run, value, phenotype_of, controls, per), dose=dose_column, compound=compound, controls=controls,
        wells=wells, per=per, bootstrap=bootstrap,
    )  # fmt: skip
    if out is not None:
        export_dose_curves(table, out)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    about = table.attrs
    output.say(f"{about['value']} over {about['dose']}, dose 0: {len(about['untreated'])} wells")
    for note in about["warnings"]:
        output.say(output.wrapped(note))
    output.print_table(table.drop(columns=["reason", "n_untreated"]))
    for name, row in table.iterrows():
        output.say(output.wrapped(f"{name}: {say_dose(row)}"))
    if out is not None:
        output.say(str(out))


@exit_codes
def positions(
    run_folder: RunFolder,
    value: Value,
    wells: Annotated[
        str | None, typer.Option("--wells", metavar="QUERY", help="Wells treated alike; the run's controls by default.")
    ] = None,
    per: Per = "patch",
    out: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a value follows the row, the column or the edge among wells that were treated alike."""
    from napari_phenolens import open_run, position_effects
    from napari_phenolens.export import export_position_effects

    run = open_run(run_folder)
    table = position_effects(run, valued(run, value, None, None, per), wells, per=per)
    if out is not None:
        export_position_effects(table, out)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    output.say(f"{table.attrs['value']} in {len(table.attrs['wells'])} wells treated alike")
    for note in table.attrs["warnings"]:
        output.say(output.wrapped(note))
    output.print_table(table)
    if out is not None:
        output.say(str(out))
