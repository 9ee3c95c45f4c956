"""The licence of an encoder's weights, as it is shown before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from napari_phenolens.encoders import memory
from napari_phenolens.encoders.catalogue import EncoderSpec
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.encoders.registry import all_specs, find_spec


@dataclass(frozen=True)
class Licence:
    """What stands between a user and an encoder's weights.

    Attributes
    ----------
    encoder, name, url : str
        The encoder, the name of the licence of its weights and where to read it (empty where they are no download).
    source : str
        Where the weights come from.
    here : bool
        Whether they are on this machine.
    download : bool
        Whether they can be downloaded.
    asks : bool
        Whether the user has to accept the licence before, and has not yet.
    """

    encoder: str
    name: str
    url: str
    source: str
    here: bool
    download: bool
    asks: bool


def licence_of(name: str) -> Licence:
    """Say which licence the weights of an encoder stand under, and whether it has to be accepted.

    Parameters
    ----------
    name : str
        The encoder. Facts of those that are listed by name bring in no torch.

    Returns
    -------
    Licence

    Raises
    ------
    EncoderError
        Where there is no such encoder.
    """
    spec = _spec(name)
    hub = spec.hub
    return Licence(
        encoder=spec.name,
        name=spec.licence if hub is None else hub.licence,
        url="" if hub is None else hub.licence_url,
        source=spec.weights,
        here=spec.available(),
        download=hub is not None,
        asks=hub is not None and not hub.is_open and not memory.is_accepted(hub.repo, hub.licence),
    )


def licence_text(name: str) -> str:
    """Read the licence of an encoder's weights from the hub.

    Parameters
    ----------
    name : str
        The encoder.

    Returns
    -------
    str
        The repository's licence file, or its model card, which names the licence, where it has none.

    Raises
    ------
    EncoderError
        Where it cannot be read from here; the message says where to read it.
    """
    hub = _spec(name).hub
    if hub is None:
        raise EncoderError(f"the weights of {name} are not downloaded, so there is no licence to read")
    return hub.licence_text()


def _spec(name: str) -> EncoderSpec:
    listed = next((spec for spec in all_specs()[0] if spec.name == name), None)
    return find_spec(name) if listed is None else listed
