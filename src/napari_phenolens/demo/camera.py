"""From light to camera counts: optics, uneven illumination, background, noise, and the plate's nuisances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_phenolens.demo.drawing import CHANNELS
from napari_phenolens.demo.layout import COLUMNS, is_edge
from napari_phenolens.demo.scene import MARGIN, SIZE, Floats
from napari_phenolens.plate import parse_well

PIXEL_SIZE = 0.65  # um
_SIGNAL = (850.0, 760.0, 700.0)  # counts of light 1
_BACKGROUND = (40.0, 62.0, 52.0)
_PSF = (1.05, 1.10, 0.95)  # px
_HAZE, _HAZE_SIGMA = 0.14, 7.0  # share of light from out of focus, and its spread (px)
_OFFSET, _GAIN, _READ = 100.0, 1.0, 2.5  # counts, counts per electron, electrons
_VIGNETTE = ((0.16, 0.52, 0.45), (0.20, 0.44, 0.54), (0.14, 0.57, 0.56))  # depth, and centre (y, x) as shares
_EDGE_DEFOCUS = 1.0  # px of blur more, of actin in wells at the plate's edge
_DNA_GRADIENT = 0.30  # DNA is that much dimmer in the first column, brighter in the last


@dataclass(frozen=True)
class Nuisance:
    """What no perturbation causes in a well.

    Attributes
    ----------
    edge_defocus : float
        Blur (px) of actin, more than elsewhere, in wells at the plate's edge; 0 inside.
    dna_stain : float
        Factor on the DNA stain that runs over the plate's columns.
    stain : tuple of float
        Factor on each channel that varies from well to well without order.
    background : tuple of float
        Factor on each channel's background, likewise.
    """

    edge_defocus: float
    dna_stain: float
    stain: tuple[float, ...]
    background: tuple[float, ...]


def nuisance(well: str, rng: np.random.Generator) -> Nuisance:
    """Give a well's nuisances: those that follow its place, and chance ones."""
    column = parse_well(well)[1]
    middle = (COLUMNS - 1) / 2
    chance = np.exp(0.03 * np.clip(rng.standard_normal((2, len(CHANNELS))), -2, 2))
    return Nuisance(
        _EDGE_DEFOCUS if is_edge(well) else 0.0,
        1.0 + _DNA_GRADIENT * (column - middle) / middle,
        tuple(float(v) for v in chance[0]),
        tuple(float(v) for v in chance[1] ** 1.5),
    )


def expose(light: Floats, place: Nuisance, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Take the picture.

    Parameters
    ----------
    light : ndarray (3, EXTENT, EXTENT)
        From `draw`.
    place : Nuisance
        Of the well.
    rng : numpy.random.Generator
        Source of noise. Shot noise is drawn as a normal of the Poisson's variance: it takes the same number of draws on
        every platform, whatever the last bit of the mean.

    Returns
    -------
    ndarray (3, SIZE, SIZE) uint16
        Camera counts of the field, without the margin.
    """
    from scipy.ndimage import gaussian_filter

    field = slice(MARGIN, MARGIN + SIZE)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    counts = np.empty((len(CHANNELS), SIZE, SIZE), np.uint16)
    for c in range(len(CHANNELS)):
        defocus = place.edge_defocus if CHANNELS[c] == "Actin" else 0.0
        blurred = gaussian_filter(light[c], float(np.hypot(_PSF[c], defocus)), mode="reflect", truncate=4.0)
        haze = gaussian_filter(blurred, _HAZE_SIGMA, mode="reflect", truncate=3.0)
        seen = ((1.0 - _HAZE) * blurred + _HAZE * haze)[field, field]
        stain = place.stain[c] * (place.dna_stain if CHANNELS[c] == "DNA" else 1.0)
        depth, cy, cx = _VIGNETTE[c]
        lamp = 1.0 - depth * ((y - cy) ** 2 + (x - cx) ** 2) / 0.5
        electrons = lamp * (_SIGNAL[c] * stain * seen + _BACKGROUND[c] * place.background[c]) / _GAIN
        shot, read = rng.standard_normal((2, SIZE, SIZE))
        electrons = electrons + np.sqrt(electrons) * shot + _READ * read
        counts[c] = np.clip(np.rint(_OFFSET + _GAIN * electrons), 0, 65535).astype(np.uint16)
    return counts
