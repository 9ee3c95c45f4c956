"""The coder on tokens of real cells: the same codes as the literal rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_phenolens.dictionary import Whitening, coder, fit_dictionary, icfl_encode, icfl_encode_reference
from napari_phenolens.plate import open_plate


@pytest.fixture(scope="module")
def whitened(shared_data: Path) -> np.ndarray:
    """Whitened unit tokens (1,664, p) of a control and a treated well of BBBC013 by camae-micro."""
    pytest.importorskip("torch")
    from napari_phenolens.encoders import load_encoder

    folder = shared_data / "bbbc013"
    plate = open_plate(folder, folder / "platemap_derived.csv")
    encoder = load_encoder("camae-micro", device="cpu")
    tile = encoder.tile or 128
    tokens = []
    for well in ("A03", "E03"):
        pixels = np.log1p(plate.field(well).read().astype(np.float32))
        pixels = (pixels - pixels.mean(axis=(1, 2), keepdims=True)) / pixels.std(axis=(1, 2), keepdims=True)
        tiles = [
            pixels[:, y : y + tile, x : x + tile]
            for y in range(0, pixels.shape[1] - tile + 1, tile)
            for x in range(0, pixels.shape[2] - tile + 1, tile)
        ]
        found = np.asarray(encoder.tokens(np.stack(tiles[::2])))
        tokens.append(found.transpose(0, 2, 3, 1, 4).reshape(-1, found.shape[1] * found.shape[-1]))
    both = np.concatenate(tokens)
    white = Whitening.fit([tokens[0]], floor=1e-2)(both)
    return np.asarray(white / np.linalg.norm(white, axis=1, keepdims=True), np.float32)


Codes = tuple[np.ndarray, np.ndarray]
Encode = Callable[..., Codes]
SPARSITY = (10, 2)


@pytest.fixture(scope="module")
def literal(whitened: np.ndarray) -> tuple[np.ndarray, np.ndarray, Codes]:
    """Some of the tokens, atoms learnt on all, and the codes of the literal rule."""
    atoms = fit_dictionary(whitened, 512, SPARSITY, steps=40, batch=512).atoms
    x = whitened[300:1350]  # of both wells
    return x, atoms, icfl_encode_reference(x, atoms, *SPARSITY)


def over_gram(coarse: int, patch: pytest.MonkeyPatch) -> Encode:
    patch.setattr(coder, "_COARSE", coarse)
    return icfl_encode


def in_torch(with_gram: bool, patch: pytest.MonkeyPatch) -> Encode:
    """Code as on a GPU, on torch's CPU."""
    import torch

    from napari_phenolens.dictionary.torch_coder import TorchIcflCoder

    patch.setattr(TorchIcflCoder, "_pays", lambda self, n: with_gram)
    return lambda x, atoms, *sparsity: TorchIcflCoder(atoms, *sparsity, torch.device("cpu")).encode(x)


WAYS: dict[str, tuple[Callable[..., Encode], Any]] = {
    "16-bit Gram": (over_gram, 0),
    "float32 Gram": (over_gram, 10**9),
    "torch, Gram": (in_torch, True),
    "torch, residual": (in_torch, False),
}


@pytest.mark.torch
@pytest.mark.parametrize("way", WAYS)
def test_codes_of_real_tokens_equal_the_oracle(
    literal: tuple[np.ndarray, np.ndarray, Codes], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, option = WAYS[way]
    x, atoms, want = literal
    assert len(x) > 1000
    got = make(option, monkeypatch)(x, atoms, *SPARSITY)
    a, b = (np.zeros((len(x), 512)) for _ in range(2))
    for dense, (index, value) in ((a, got), (b, want)):
        np.add.at(dense, (np.arange(len(x))[:, None], index), value)
    same = ((a != 0) == (b != 0)).all(axis=1)
    assert same.mean() > 0.999
    np.testing.assert_allclose(a[same], b[same], atol=1e-4)
