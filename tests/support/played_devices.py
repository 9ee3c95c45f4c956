"""Devices played by the CPU: an encoder that counts and fails where it is told to, and a lane that is no CPU."""

from __future__ import annotations

import threading

import torch

from napari_phenolens.dictionary import torch_products
from napari_phenolens.encoders import load_encoder
from napari_phenolens.run import fleet, lanes
from napari_phenolens.run.lanes import Lane


class Watched:
    """camae-micro that counts, and fails where it is told to."""

    forward_inner = None  # it has the whole forward alone

    def __init__(self, device="cpu", most=10**9, lost_after=10**9):
        self.inner = load_encoder("camae-micro", device="cpu", block=1)
        self.device, self.most, self.lost_after = device, most, lost_after
        self.batches, self.lock = [], threading.Lock()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def forward_tensor(self, pixels):
        self.watch(pixels)
        return self.inner.forward_tensor(pixels)

    def forward_tensors(self, pixels, blocks):
        self.watch(pixels)
        return self.inner.forward_tensors(pixels, blocks)

    def watch(self, pixels):
        with self.lock:
            if len(self.batches) >= self.lost_after:
                raise RuntimeError(f"CUDA error: an illegal memory access was encountered on {self.device}\nmore words")
            if len(pixels) > self.most:
                raise torch.OutOfMemoryError(f"tried to allocate {len(pixels)} tiles")
            self.batches.append(len(pixels))


class Played(Lane):
    """A device that is no CPU to the engine; its memory is the host's."""

    def __init__(self, encoder, *, compiled=False):
        self.encoder, self.name, self.where = encoder, encoder.device, torch.device("cpu")
        self.dtype, self._call, self._streams = None, lanes._inner_of(encoder), threading.local()

    @property
    def is_cpu(self):
        return False


def play(monkeypatch, module, name):
    """Play devices by name, in place of a module's ``load_encoder``.

    Gives the encoders that were loaded by device, and a dict that tells later ones how to fail.
    """
    loaded, told = {}, {}

    def load(encoder, weights=None, device="cpu", block=None, **_):
        loaded[device] = Watched(device, **told.get(device, {}))
        return loaded[device]

    real = lanes.open_lane
    monkeypatch.setattr(module, name, load)
    monkeypatch.setattr(torch_products, "device_of", lambda name: torch.device("cpu"))
    monkeypatch.setattr(fleet, "resolve_devices", lambda device: tuple(device.split(",")))
    monkeypatch.setattr(fleet, "open_lane", lambda e, **k: real(e, **k) if e.device == "cpu" else Played(e, **k))
    return loaded, told
