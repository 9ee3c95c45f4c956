"""``phenolens encoders``: which encoders there are, and their weights."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AcceptLicence, AsJson
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes, warn
from napari_phenolens.cli.progress import show_progress

LISTED = ("name", "licence", "channels", "patch", "dim", "parameters", "weights", "available")


@exit_codes
def encoders(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one; any timm:<model>, options included.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download its weights where they are not here.")] = False,
    accept_licence: AcceptLicence = False,
    licence: Annotated[
        bool, typer.Option("--licence", help="Print the licence of its weights; accepts nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the encoders: names, licences, sizes, where their weights come from and whether they are here."""
    import napari_phenolens
    from napari_phenolens.encoders import fetch_weights

    if (fetch or accept_licence or licence) and name is None:
        raise typer.BadParameter("--fetch, --licence and --accept-licence are about one encoder; give its NAME")
    if licence and name is not None:
        show_licence(name)
        return
    if accept_licence:
        accept(name)
    if fetch and name is not None:
        with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
            fetch_weights(name, progress=progress, cancel=cancel)
    table = napari_phenolens.encoders(name)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    for warning in table.attrs["warnings"]:
        warn(warning)
    output.print_table(table, LISTED)
    if name is None:
        output.say("Any other vision transformer of timm: timm:<model>, for example timm:vit_tiny_patch16_224")


def show_licence(encoder: str) -> None:
    """Print the licence of an encoder's weights, where to read it, and whether it waits to be accepted."""
    from napari_phenolens.encoders import licence_of, licence_text

    about = licence_of(encoder)
    waits = "has to be accepted before a download: --accept-licence" if about.asks else "nothing has to be accepted"
    where = f" ({about.url})" if about.url else ""
    output.say(f"{about.encoder}: {about.name}{where}; {waits}")
    if about.download:
        typer.echo(licence_text(encoder))


def accept(encoder: str | None) -> None:
    """Remember that the licence of an encoder's weights is accepted, and say which it is."""
    from napari_phenolens.encoders import accept_licence

    if encoder is None:
        raise typer.BadParameter("--accept-licence is about the weights of an --encoder; name one")
    typer.echo(f"phenolens: accepted, the licence of {encoder}: {accept_licence(encoder)}", err=True)
