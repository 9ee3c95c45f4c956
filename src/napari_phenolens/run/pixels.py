"""From a field's pixels to what the encoder wants: resampling, limits and scale (design section 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_phenolens.lens import Normalisation

Floats = npt.NDArray[np.float32]

SAMPLE_FIELDS = 24
SAMPLE_STEP = 3  # every third pixel along each axis: limits need no more
LIMITS = (0.1, 99.9)
SCALE = 255.0  # limits become 0 and 255, so that the logarithm sees 8-bit and 16-bit plates alike


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Take `count` items evenly spread over the sequence, a fixed choice."""
    if len(items) <= count:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)]


def resample(image: npt.NDArray[Any], factor: float) -> npt.NDArray[Any]:
    """Resize ``(c, y, x)`` by `factor`; values stay in their range, 1 gives the image back untouched."""
    if factor == 1.0:
        return image
    from skimage.transform import resize

    shape = tuple(max(1, round(n * factor)) for n in image.shape[1:])
    planes = [resize(p.astype(np.float32), shape, order=1, anti_aliasing=factor < 1) for p in image]
    return np.stack(planes).astype(np.float32)


def resample_factor(lens_size: float | None, field_size: float | None) -> float:
    """Give the factor that brings a field to the lens's pixel size; 1 where either is unknown or they nearly agree."""
    if not lens_size or not field_size:
        return 1.0
    factor = field_size / lens_size
    return 1.0 if abs(factor - 1) < 0.01 else float(factor)


def fit_normalisation(
    images: Iterable[npt.NDArray[Any]], rule: str, output: tuple[float, float] | None
) -> Normalisation:
    """Take limits and scale of each channel from sample fields.

    Parameters
    ----------
    images : iterable of ndarray
        Fields ``(c, y, x)``, of control wells.
    rule : str
        Recorded with the numbers, see `Normalisation`.
    output : tuple of float or None
        The encoder's input range.

    Returns
    -------
    Normalisation
        With low and high the 0.1 and 99.9 percentiles of the sample.
    """
    sample = [image[:, ::SAMPLE_STEP, ::SAMPLE_STEP].reshape(image.shape[0], -1) for image in images]
    pixels = np.concatenate(sample, axis=1).astype(np.float32)
    low, high = np.percentile(pixels, LIMITS, axis=1)
    high = np.where(high > low, high, low + 1.0)
    scaled = np.log1p(np.clip((pixels - low[:, None]) / (high - low)[:, None], 0, None) * SCALE)
    mean, sd = scaled.mean(1), scaled.std(1)
    numbers = [tuple(round(float(v), 6) for v in values) for values in (low, high, mean, np.maximum(sd, 0.05))]
    return Normalisation(rule, output, *numbers)


def settle(image: npt.NDArray[Any], numbers: Normalisation) -> Normalisation:
    """Give the numbers for one field: rule ``field`` takes them from the image, the others have them."""
    return fit_normalisation([image], "field", numbers.output) if numbers.rule == "field" else numbers


@overload
def normalise(image: Tensor, numbers: Normalisation) -> Tensor: ...
@overload
def normalise(image: npt.NDArray[Any], numbers: Normalisation) -> Floats: ...
def normalise(image: Any, numbers: Normalisation) -> Any:
    """Bring a field's pixels to what the encoder wants, where they are: arrays give arrays, tensors tensors.

    Parameters
    ----------
    image : ndarray or Tensor
        ``(c, y, x)``, channels in the lens's order, any number type.
    numbers : Normalisation
        Rule ``field`` takes the numbers from an array; for a tensor settle them first (`settle`).

    Returns
    -------
    ndarray or Tensor
        ``(c, y, x)`` float32.
    """
    if not isinstance(image, Tensor):
        return normalise(as_tensor(image), settle(image, numbers)).numpy()
    low, high, mean, sd = (
        torch.tensor(v, dtype=torch.float32, device=image.device)[:, None, None]
        for v in (numbers.low, numbers.high, numbers.mean, numbers.sd)
    )
    scaled = (image.to(torch.float32) - low) / (high - low)
    if numbers.output is None:
        return (torch.log1p(scaled.clamp_(min=0).mul_(SCALE)) - mean) / sd
    start, stop = numbers.output
    return scaled.clamp_(0, 1).mul_(stop - start).add_(start)


def as_tensor(image: npt.NDArray[Any]) -> Tensor:
    """Give an image as a tensor without changing its type, where torch has that type; else as float32."""
    if image.dtype not in (np.uint8, np.uint16, np.int16, np.float32):
        image = image.astype(np.float32)
    image = np.ascontiguousarray(image, image.dtype.newbyteorder("="))
    return torch.from_numpy(image if image.flags.writeable else image.copy())
