"""What the coders on a GPU share: devices, full single precision, exact selection, and when a Gram matrix pays.

Everything here runs on any device of torch, its CPU among them, which is where it is tested.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_phenolens.dictionary.coder import EPS
from napari_phenolens.dictionary.errors import DeviceError
from napari_phenolens.dictionary.reference import finite_rows

BLOCK = 64  # columns a maximum stands for
CHUNK_BYTES = 2**29  # what the rows of a chunk take on the device
GRAM_BYTES = 2**30  # a larger Gram matrix is not built
MOST_ROWS = 2**16

# Achieved single-precision operations for each byte a second of memory. Of accelerators with stacked memory (V100
# 13.5 TFLOP/s over 0.8 TB/s, A100 17 over 1.8, H100 50 over 3.0): 10 to 17. Of other cards (T4 6 over 0.28, RTX 3090
# 28 over 0.85, RTX 4090 60 over 0.9): 20 to 67. Of CPUs about 5. Taken as 75 to 90 % of data sheets.
STACKED = frozenset({(6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (10, 3)})  # CUDA capabilities
OPERATIONS_A_BYTE = {"stacked": 17.0, "other": 60.0, "cpu": 5.0}


def device_of(name: str) -> torch.device:
    """Give a device by its name, such as ``cuda:1``.

    Raises
    ------
    DeviceError
        Where it is none, or not on this machine.
    """
    try:
        where = torch.device(name)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeviceError(f"nothing can be coded on device {name!r} ({reason}); use cpu, cuda, cuda:1 ...") from None
    return where


def operations_a_byte(where: torch.device) -> float:
    """Give a device's `OPERATIONS_A_BYTE`."""
    if where.type == "cuda":
        stacked = torch.cuda.get_device_capability(where) in STACKED
        return OPERATIONS_A_BYTE["stacked" if stacked else "other"]
    return OPERATIONS_A_BYTE["cpu" if where.type == "cpu" else "other"]


def gram_pays(n: int, m: int, p: int, rounds: int, per_round: int, ratio: float) -> bool:
    """Tell whether updates from a Gram matrix take less time than a product with the residual in each round.

    Of one row and round, with P operations and B bytes a second: the product takes 2 p m / P and writes its 4 m bytes;
    an update reads L rows of the matrix, writes their sum, reads both and writes again, 4 m (L + 4) bytes. So the
    update wins where 2 (L + 3) P / B < p; in a fused kernel L would stand for L + 3. The matrix itself has to be made
    up for by the n rows of the call, and to fit. A matter of shapes and of the device alone, so that the same call
    always gives the same bits.
    """
    return 2 * (per_round + 3) * ratio < p and m <= (rounds - 1) * n and 4 * m * m <= GRAM_BYTES


def exact_dtype(where: torch.device) -> torch.dtype:
    """Give the precision of least squares and residuals: double, but on MPS, which has none."""
    return torch.float32 if where.type == "mps" else torch.float64


def double_product(matrix: NDArray[np.float64], device: str) -> Callable[[NDArray[np.float64]], NDArray[np.generic]]:
    """Give the product of rows with a matrix, in float64 on a device; on the CPU where that has none (MPS).

    Raises
    ------
    DeviceError
        Where the device is not on this machine.
    """
    where = device_of(device)
    if exact_dtype(where) != torch.float64:
        return lambda rows: rows @ matrix
    there = torch.tensor(matrix).to(where)

    def product(rows: NDArray[np.float64]) -> NDArray[np.generic]:
        with torch.inference_mode():
            found: NDArray[np.float32] = (torch.from_numpy(rows).to(where) @ there).float().cpu().numpy()
        return found

    return product


_lock = threading.Lock()
_inside = 0
_restore: Callable[[], None] | None = None


def _switch_on() -> Callable[[], None] | None:
    """Set this process's products to full single precision; give what brings back what was, None where nothing was."""
    matmul, mkldnn = torch.backends.cuda.matmul, cast(Any, torch.backends.mkldnn)
    now = getattr(matmul, "fp32_precision", None)  # torch before 2.9 has the one setting alone
    try:
        had = torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer names, which this one refuses to be mixed with
        had = "highest"
    if had != "highest":
        beside = None if now is None else mkldnn.matmul.fp32_precision

        def restore() -> None:
            torch.set_float32_matmul_precision(had)
            if beside is not None:
                mkldnn.matmul.fp32_precision = beside

        torch.set_float32_matmul_precision("highest")
        return restore
    if now not in (None, "none", "ieee"):
        matmul.fp32_precision = "ieee"
        return lambda: setattr(matmul, "fp32_precision", now)
    return None


@contextmanager
def full_float32(where: torch.device) -> Iterator[None]:
    """Compute products in full single precision: no autocast, and TF32 off where this process has turned it on.

    The switch is the process's: a forward that another thread begins meanwhile is in full precision too. Then a product
    that TF32, bfloat16 or float16 would round is made on the device and looked at, so that nothing rests on the switch.

    Raises
    ------
    DeviceError
        Where products are rounded all the same.
    """
    global _inside, _restore
    with _lock:
        if _inside == 0:
            _restore = _switch_on()
        _inside += 1
    try:
        with torch.inference_mode(), torch.autocast(where.type, enabled=False):
            check_products(where)
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _restore is not None:
                _restore()
                _restore = None


def check_products(where: torch.device) -> None:
    """Refuse a device whose single-precision products lose digits.

    Raises
    ------
    DeviceError
        Where 1 + 2^-20 does not survive a product with one.
    """
    one = torch.eye(BLOCK, device=where)
    fine = one * (1 + 2.0**-20)
    if not torch.equal(fine @ one, fine):
        raise DeviceError(
            f"matrix products on {where} are rounded below single precision (TF32 or half precision is forced on), "
            "which would change codes; turn that off, or code on the CPU"
        )


def upload(x: Any, lo: int, hi: int, where: torch.device, *, unit: bool) -> Tensor:
    """Send rows to the device as float32, normed to one there where `unit`; a row without direction becomes zero.

    Raises
    ------
    DictionaryError
        Where a number is not finite; the message names its row.
    """
    part = np.asarray(x[lo:hi])
    if part.dtype not in (np.float16, np.float32):
        part = finite_rows(part, lo)
    rows = torch.tensor(part).to(where).float()  # a copy: the array may be read-only
    if not bool(torch.isfinite(rows).all()):
        finite_rows(part, lo)  # raises
    if unit:
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=exact_dtype(where))
        rows *= torch.where(norms > EPS, 1 / norms, 0).float()
    return rows


def largest(c: Tensor, count: int, *, absolute: bool = False) -> Tensor:
    """Give the columns of the `count` largest entries of each row, largest first, ties to the lowest index.

    Parameters
    ----------
    c : Tensor
        ``(n, m)``; count is at most m.
    count : int
        How many.
    absolute : bool
        Rank by size.

    Returns
    -------
    Tensor
        ``(n, count)`` int64.

    Notes
    -----
    One pass gives the maxima of blocks of 64 columns; a pick then looks at these and at one block. Of equal entries
    `argmax` and `max` give the first, on every device.
    """
    n, m = c.shape
    whole = m // BLOCK
    tops = c.new_empty(n, -(-m // BLOCK))
    if whole:
        tops[:, :whole] = _high(c[:, : whole * BLOCK].unflatten(1, (whole, BLOCK)), absolute)
    if whole * BLOCK < m:
        tops[:, whole] = _high(c[:, whole * BLOCK :], absolute)
    inside = torch.arange(BLOCK, device=c.device)
    picks = torch.empty(n, count, dtype=torch.int64, device=c.device)
    for turn in range(count):
        block = tops.argmax(1, keepdim=True)
        columns = block * BLOCK + inside
        entries = c.gather(1, columns.clamp(max=m - 1))
        gone = (columns >= m) | (columns[:, :, None] == picks[:, None, :turn]).any(2)
        scores = (entries.abs() if absolute else entries).masked_fill(gone, -torch.inf)
        at = scores.argmax(1, keepdim=True)
        picks[:, turn] = columns.gather(1, at)[:, 0]
        tops.scatter_(1, block, scores.scatter(1, at, -torch.inf).amax(1, keepdim=True))
    return picks


def _high(x: Tensor, absolute: bool) -> Tensor:
    return torch.maximum(x.amax(-1), -x.amin(-1)) if absolute else x.amax(-1)


def squeeze(index: Tensor, value: Tensor) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Bring codes to the host: entries that are not zero first, in their order; unused slots hold 0 and 0."""
    value = value.float()
    order = torch.argsort((value == 0).to(torch.uint8), dim=1, stable=True)
    value = value.gather(1, order)
    index = torch.where(value != 0, index.gather(1, order), 0).to(torch.int32)
    return index.cpu().numpy(), value.cpu().numpy()
