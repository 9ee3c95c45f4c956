"""``phenolens name``: what people call the features of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, RunFolder
from napari_phenolens.cli.outcome import exit_codes


@exit_codes
def name(
    run_folder: RunFolder,
    words: Annotated[str | None, typer.Argument(metavar="[NAME]", help='A few words; "" takes the name away.')] = None,
    feature: Annotated[int | None, typer.Option("--feature", min=0, help="The feature: its 0-based atom.")] = None,
    note: Annotated[str | None, typer.Option("--note", help='Anything worth remembering; "" takes it away.')] = None,
    star: Annotated[bool | None, typer.Option("--star/--no-star", help="Mark it as one to come back to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Name a feature, note something about it, star it; without --feature, list what was named so far."""
    if feature is None and (words, note, star) != (None, None, None):
        raise typer.BadParameter("say which feature it is: --feature 17")
    from napari_phenolens import open_run

    said = open_run(run_folder).annotations
    if feature is not None and (words, note, star) != (None, None, None):
        said.set(feature, name=words, note=note, star=star)
    table = said.table()
    if feature is not None:
        table = table[table.index == feature]
    if as_json:
        output.print_json(output.records(table))
    elif len(table):
        output.print_table(table)
    else:
        output.say(
            "No feature has a name, a note or a star yet." if feature is None else f"Nothing is said of {feature}."
        )
