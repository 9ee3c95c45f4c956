"""The preferences (napari > Preferences > PhenoLens), read through npe2's configurations, with defaults."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import Any

from napari_phenolens.viewer.compat import DIST

log = logging.getLogger(__name__)

_for_now: dict[str, Any] = {}  # over what is stored, until napari ends

# preference -> (section, key) in napari.yaml
_WHERE = {
    "device": ("compute", "device"),
    "output_folder": ("compute", "output_folder"),
    "token_folder": ("compute", "token_folder"),
    "interpolation": ("display", "interpolation"),
    "fineness": ("display", "fineness"),
    "opacity": ("display", "opacity"),
    "scale_bar": ("display", "scale_bar"),
    "compare_on_open": ("display", "compare_on_open"),
}


@dataclass(frozen=True)
class Preferences:
    """What the user has set for good.

    Attributes
    ----------
    device : str
        auto, cpu, cuda or mps.
    output_folder : str
        Where new runs are put; empty: beside the user's documents.
    token_folder : str
        Where tokens are kept; empty: the user's cache folder.
    interpolation : str
        How heatmaps are drawn: nearest shows the patches as they are.
    fineness : int
        Squares of a heatmap along a patch: 2 and 4 encode the field again with shifted tiles.
    opacity : float
        Of heatmaps, 0 to 1.
    scale_bar : bool
        Show a scale bar once the pixel size is known.
    compare_on_open : bool
        Rank the features as soon as a run with controls is open.
    """

    device: str = "auto"
    output_folder: str = ""
    token_folder: str = ""
    interpolation: str = "nearest"
    fineness: int = 1
    opacity: float = 0.8
    scale_bar: bool = True
    compare_on_open: bool = True


def choose_for_now(**values: Any) -> None:
    """Set preferences until napari ends, whatever is stored; None goes back to what is stored."""
    for name, value in values.items():
        if name not in _WHERE:
            raise KeyError(name)
        _for_now[name] = value
        if value is None:
            del _for_now[name]


def preferences() -> Preferences:
    """Read the preferences; what was chosen for now comes first.

    Returns
    -------
    Preferences
        See `choose_for_now`.
    """
    return replace(_stored(), **_for_now)


def _stored() -> Preferences:
    """Read what napari has stored.

    Returns
    -------
    Preferences
        The defaults where napari has none stored or does not know the plugin (a plain script, a test).
    """
    try:
        from npe2 import PluginManager

        if DIST not in {manifest.name for manifest in PluginManager.instance().iter_manifests()}:
            return Preferences()  # no napari application runs here: looking for plugins would only cost time
        from napari.settings import get_plugin_settings

        stored: Any = get_plugin_settings(DIST)
    except (ImportError, KeyError, AttributeError, ValueError) as error:
        log.debug("no stored preferences: %s", error)
        return Preferences()
    values = {}
    for item in fields(Preferences):
        section, key = _WHERE[item.name]
        value = getattr(getattr(stored, section, None), key, None)
        if value is not None:
            values[item.name] = value
    return Preferences(**values)
