"""``phenolens dictionary report``, ``phenolens compare-lenses``: what dictionaries are worth, alone or side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, RunFolders
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes
from napari_phenolens.cli.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

dictionary = typer.Typer(name="dictionary", help="What a run's dictionary is worth.", no_args_is_help=True)

Column = Annotated[
    str | None,
    typer.Option("--column", metavar="COLUMN", help="The plate map's column whose values features shall tell apart."),
]
PlateColumn = Annotated[
    str | None,
    typer.Option("--plate", metavar="COLUMN", help="A column that tells plates or batches apart; a run is one."),
]
Wells = Annotated[str | None, typer.Option("--wells", metavar="QUERY", help="Use only these wells.")]
Fields = Annotated[int, typer.Option("--fields", min=0, help="Fields whose tokens are read; 0: none.")]
Permutations = Annotated[int, typer.Option("--permutations", min=20, help="Shuffles of every null.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="HTML|MD|CSV", help="Write the whole report here.")]


@dictionary.callback()
def about() -> None:
    """What a run's dictionary is worth."""


@dictionary.command()
@exit_codes
def report(
    runs: RunFolders,
    column: Column = None,
    plate: PlateColumn = None,
    wells: Wells = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--seed-run", metavar="RUN|LENS", help="A run or lens of another seed, for the stability; repeat."
        ),
    ] = None,
    refits: Annotated[
        int,
        typer.Option(
            "--refits", min=0, help="Fit so many dictionaries of other seeds for the stability; minutes each."
        ),
    ] = 0,
    fields: Fields = 24,
    permutations: Permutations = 200,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure a run's dictionary, every figure with what chance gives, or the reason why it cannot be had."""
    from napari_phenolens import dictionary_report, open_run

    opened = [open_run(path) for path in runs]
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        found = dictionary_report(
            opened, column=column, plate=plate, wells=wells, others=others or (), refits=refits, fields=fields,
            permutations=permutations, progress=progress, cancel=cancel,
        )  # fmt: skip
    files: list[Path] = []
    if out is not None:
        from napari_phenolens.export import export_dictionary_report

        files = export_dictionary_report(found, out)
    if as_json:
        tables = {name: getattr(found, name) for name in ("features", "usage", "spectrum", "probes", "tree")}
        told = {name: None if table is None else output.records(table) for name, table in tables.items()}
        output.print_json({**found.facts, "rows": output.records(found.table), **told})
        return
    from napari_phenolens.export import lens_line

    output.say(output.wrapped(lens_line(found.facts)))
    for note in found.facts["notes"]:
        output.say(output.wrapped(note))
    say_metrics(found.table, ("value", "low", "high", "null", "p", "note"))
    say_files(files)


@exit_codes
def compare_lenses(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The folder of a run.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The folder of another, best of the same plate.")],
    column: Column = None,
    plate: PlateColumn = None,
    wells: Wells = None,
    fields: Fields = 24,
    permutations: Permutations = 200,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Put two dictionaries or encoders side by side, match their features, and say which gives more to read."""
    from napari_phenolens import compare_lenses as compared
    from napari_phenolens import open_run

    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        found = compared(
            open_run(run_a), open_run(run_b), column=column, plate=plate, wells=wells, fields=fields,
            permutations=permutations, progress=progress, cancel=cancel,
        )  # fmt: skip
    files: list[Path] = []
    if out is not None:
        from napari_phenolens.export import export_lens_comparison

        files = export_lens_comparison(found, out)
    if as_json:
        told: dict[str, Any] = {"verdict": found.verdict, "matching": found.matching, "notes": list(found.notes)}
        told |= {"a": found.a.facts, "b": found.b.facts}
        output.print_json({**told, "rows": output.records(found.table), "pairs": output.records(found.pairs)})
        return
    from napari_phenolens.export import lens_line, matching_line

    for side, each in (("A", found.a), ("B", found.b)):
        output.say(output.wrapped(f"{side}: {lens_line(each.facts)}"))
    for note in found.notes:
        output.say(output.wrapped(note))
    say_metrics(found.table, ("a", "b", "difference", "low", "high", "better", "note"))
    output.say(output.wrapped(matching_line(found.matching)))
    output.print_table(found.pairs.head(10))
    output.say(output.wrapped(found.verdict))
    say_files(files)


def say_metrics(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Print the metrics, a table a group."""
    import pandas as pd

    from napari_phenolens.analysis import METRICS

    for group, part in table.groupby("group", sort=False):
        told = pd.DataFrame({c: pd.Series([_said(v) for v in part[c]], dtype=object) for c in columns})
        told.insert(0, "metric", [METRICS[str(name)].title for name in part.index])
        output.print_table(told, ("metric", *columns), title=str(group))


def _said(value: Any) -> Any:
    """Counts in full, which a printed table would round."""
    whole = isinstance(value, float) and value == value and abs(value) < 1e15 and value == round(value)
    return int(value) if whole else value


def say_files(files: list[Path]) -> None:
    """Say what was written."""
    if files:
        output.say(f"Written: {', '.join(map(str, files))}")
