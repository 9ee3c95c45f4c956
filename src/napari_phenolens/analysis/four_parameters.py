"""The four-parameter log-logistic curve, fitted to well means of one dose series and to many resamples of it at once.

y(x) = start + (end - start) x^h / (ec50^h + x^h): `start` is the value at dose 0, `end` that at any high dose, `h` > 0
how steep it is. For a given ec50 and h the best start and end are those of a straight line, so that only two numbers
are searched for (separable least squares: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_phenolens.analysis.protocol import Floats, Ints

REACH = 10.0  # ec50 is searched from a tenth of the lowest dose above 0 to ten times the highest
HILL = (0.3, 8.0)  # flatter is a straight line over any usual series, steeper a step between two doses
STARTS = 3
GRID = (61, 15)
_ROUNDS = 9


@dataclass(frozen=True)
class Series:
    """One dose series by its doses.

    Attributes
    ----------
    dose : ndarray (d,)
        The distinct doses, rising; 0 for untreated wells.
    count : ndarray (d,)
        Wells of each.
    mean : ndarray (d,)
        Their mean value.
    level : ndarray (n,) int
        Which dose each well has.
    value : ndarray (n,)
        The wells' values.
    """

    dose: Floats
    count: Floats
    mean: Floats
    level: Ints
    value: Floats

    @classmethod
    def of(cls, dose: Floats, value: Floats) -> Series:
        """Sort wells by dose."""
        levels, level = np.unique(dose, return_inverse=True)
        count = np.bincount(level).astype(np.float64)
        return cls(levels, count, np.bincount(level, value) / count, level.astype(np.intp), value)

    @property
    def treated(self) -> Floats:
        """The doses above 0."""
        return self.dose[self.dose > 0]


@dataclass(frozen=True)
class Curves:
    """Fitted curves, one an entry.

    Attributes
    ----------
    ec50, hill, start, end : ndarray (b,)
        See the module.
    """

    ec50: Floats
    hill: Floats
    start: Floats
    end: Floats

    def at(self, dose: Floats) -> Floats:
        """Give the curves' values, (b, len(dose))."""
        return self.start[:, None] + (self.end - self.start)[:, None] * fraction(dose, self.ec50, self.hill)


def fraction(dose: Floats, ec50: Floats, hill: Floats) -> Floats:
    """Give how far the curves have come from start (0) to end (1) at each dose, (..., len(dose))."""
    with np.errstate(divide="ignore"):
        steps = np.log(np.asarray(dose, dtype=np.float64)) - np.log(ec50)[..., None]
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(hill[..., None] * steps, -700, 700)))
    return np.where(np.asarray(dose) > 0, found, 0.0)


def bounds(series: Series) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give the ends of log10 ec50 and of log10 hill within which a curve is searched."""
    low, high = series.treated[0] / REACH, series.treated[-1] * REACH
    return (float(np.log10(low)), float(np.log10(high))), (float(np.log10(HILL[0])), float(np.log10(HILL[1])))


def _explained(series: Series, means: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Give what each curve shape explains of the spread over doses, and its height (end - start).

    Parameters
    ----------
    means : ndarray (b, d)
        Dose means of each resample.
    places : ndarray (g, 2) or (b, g, 2)
        log10 ec50 and log10 hill, the same for all resamples or each its own.

    Returns
    -------
    explained, height : ndarray (b, g)
    """
    weight = series.count / series.count.sum()
    shape = fraction(series.dose, 10 ** places[..., 0], 10 ** places[..., 1])
    shape = shape - (shape @ weight)[..., None]
    centred = (means - (means @ weight)[:, None]) * weight
    spread = (shape**2) @ weight
    shared = centred @ shape.T if shape.ndim == 2 else np.einsum("bd,bgd->bg", centred, shape)
    flat = spread < 1e-10  # all doses on one plateau: the shape says nothing
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.where(flat, 0.0, shared / np.where(flat, 1.0, spread))
    return height * shared, height


def _plateaus(series: Series, means: Floats, places: Floats) -> Curves:
    """Give the curves with the start and end that fit best, for one shape a resample, (b, 2)."""
    weight = series.count / series.count.sum()
    _, height = _explained(series, means, places[:, None, :])
    ec50, hill = 10 ** places[:, 0], 10 ** places[:, 1]
    start = means @ weight - height[:, 0] * (fraction(series.dose, ec50, hill) @ weight)
    return Curves(ec50, hill, start, start + height[:, 0])


def search(series: Series, means: Floats) -> Curves:
    """Fit many resamples of one series: a grid over ec50 and hill, then ever finer ones about each one's best.

    Parameters
    ----------
    series : Series
        Doses and their wells.
    means : ndarray (b, d)
        Dose means of each resample.

    Returns
    -------
    Curves
        Least squares over the wells, (b,) each.
    """
    ends = np.array(bounds(series))
    grid = _grid(series)
    best = grid[_explained(series, means, grid)[0].argmax(axis=1)]
    step = (ends[:, 1] - ends[:, 0]) / (np.array(GRID) - 1)
    around = np.stack(np.meshgrid((-1, -0.5, 0, 0.5, 1), (-1, -0.5, 0, 0.5, 1), indexing="ij"), axis=-1).reshape(-1, 2)
    for _ in range(_ROUNDS):
        places = np.clip(best[:, None, :] + around * step, ends[:, 0], ends[:, 1])
        best = places[np.arange(len(best)), _explained(series, means, places)[0].argmax(axis=1)]
        step = step * 0.6
    return _plateaus(series, means, best)


def _grid(series: Series) -> Floats:
    """Give the coarse grid, (g, 2)."""
    axes = [np.linspace(*ends, n) for ends, n in zip(bounds(series), GRID, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def fit(series: Series) -> Curves:
    """Fit the series itself: scipy's bounded least squares from several starts, the best of them.

    Parameters
    ----------
    series : Series
        At least four doses.

    Returns
    -------
    Curves
        One curve, (1,) each.
    """
    from scipy.optimize import least_squares

    means = series.mean[None]
    grid = _grid(series)
    explained = _explained(series, means, grid)[0].reshape(GRID)
    # One start from each of several stretches of ec50: a long valley would take all of the best places.
    starts = []
    for part in np.array_split(np.arange(GRID[0]), STARTS):
        i, j = np.unravel_index(explained[part].argmax(), (len(part), GRID[1]))
        starts.append(grid.reshape(*GRID, 2)[part[i], j])
    ends = np.array(bounds(series)).T
    root = np.sqrt(series.count)

    def residuals(place: Floats) -> Floats:
        out: Floats = root * (series.mean - _plateaus(series, means, place[None]).at(series.dose)[0])
        return out

    inner = np.clip(starts, ends[0] + 1e-6, ends[1] - 1e-6)
    fitted = [least_squares(residuals, start, bounds=ends, max_nfev=50) for start in inner]
    best = min(fitted, key=lambda found: float(found.cost))
    return _plateaus(series, means, np.asarray(best.x)[None])


def resampled_means(series: Series, curve: Curves, draws: int, seed: int) -> Floats:
    """Draw wells with replacement within each dose; give the dose means of each draw.

    The deviations from the dose's mean are widened by sqrt(n / (n - 1)): n wells drawn from n scatter too little by
    just that. A dose with one well has no scatter of its own: it takes deviations from the curve of all such
    wells, widened by sqrt(k / (k - 4)) for the curve's four numbers (k: doses).

    Parameters
    ----------
    series : Series
        The wells.
    curve : Curves
        The fit.
    draws, seed : int
        Number of resamples and their seed.

    Returns
    -------
    ndarray (draws, d)
    """
    rng = np.random.default_rng(seed)
    means = np.repeat(series.mean[None], draws, axis=0)
    single = series.count == 1
    if single.any():
        doses = len(series.dose)
        away = (series.mean - curve.at(series.dose)[0])[single] * np.sqrt(doses / max(doses - 4, 1))
        means[:, single] = curve.at(series.dose)[0][single] + rng.choice(away, (draws, int(single.sum())))
    for d in np.flatnonzero(~single):
        n = int(series.count[d])
        away = (series.value[series.level == d] - series.mean[d]) * np.sqrt(n / (n - 1))
        means[:, d] += rng.choice(away, (draws, n)).mean(axis=1)
    return means
