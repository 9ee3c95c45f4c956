"""What the engine costs beside the encoder, on BBBC013: time, share of the machine's peak, memory.

Run: python tests/benchmarks/bench_engine.py [--wells N] [--encoders camae-micro,vit] [--no-memory | --memory-only]
[--side PX]. Not a test: it asserts nothing and prints, all in one run,

- the time of the bare encoder forward on ready batches, and of the whole `apply_lens` (nothing stored before) on the
  same wells, and their ratio (aim: at most 1.15 on the CPU). The bare forward is timed before and after, and taken in
  the faster of two ways: one batch after the other over all of torch's threads, or a batch a thread as the engine does;
  it gives whole tiles, while the engine may leave out what only their rim needs;
- the share of the machine's product of matrices that the bare forward reaches, beside a plain timm transformer of the
  same size that is given the same batches (aim: not slower);
- the peak memory of a run over 96 wells and of one over the same wells four times (aim: less than 10 % apart).

`--side PX` cuts the middle out of every field, for a trial on a slow or a busy machine; what is printed says so.

Encoders: `camae-micro`, and `vit`: timm's ViT-S/16 with random weights, as `timm:vit_small_patch16_224`. Compare
ratios, not absolute figures, and on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bbbc013"
VIT = "vit_small_patch16_224"
CONTROLS = "control_type == 'negcon'"
BBBC013_CHANNELS = {"GFP": "Channel1", "DNA": "Channel2"}
READY = 4  # fields whose batches are ready; they are gone through again until as many tiles as the plate has are done


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def subset(data: Path, folder: Path, wells: int | None, times: int = 1, side: int | None = None) -> Path:
    """Lay out wells of BBBC013, several times if asked, as a plate of links, or of the middles of fields."""
    from napari_phenolens import open_plate

    plate = open_plate(data, data / "platemap_derived.csv")
    names = list(plate.wells)
    if wells is not None:  # of every row and both ends: controls are among them
        names = [names[round(i)] for i in np.linspace(0, len(names) - 1, wells)]
    folder.mkdir(parents=True)
    rows = ["well,control_type"]
    for i, name in enumerate(names * times):
        well = f"{chr(ord('A') + i // 24)}{i % 24 + 1:02d}"
        for channel, source in BBBC013_CHANNELS.items():
            file = next(f for f in plate.wells[name].fields[0].files if f.name.startswith(source))
            path = folder / f"{well}_f1_{channel}.tif"
            if side is None:
                path.symlink_to(file.resolve())
            else:
                _cut(plate.wells[name].fields[0], source, side, path)
        rows.append(f"{well},{'negcon' if i % 3 == 0 else 'other'}")
    (folder / "map.csv").write_text("\n".join(rows) + "\n")
    return folder


def _cut(field: Any, channel: str, side: int, path: Path) -> None:
    import tifffile

    top, left = ((n - side) // 2 for n in field.shape)
    region = (slice(top, top + side), slice(left, left + side))
    tifffile.imwrite(path, field.read([channel], region)[0])


def opened(folder: Path) -> Any:
    from napari_phenolens import open_plate

    return open_plate(folder, folder / "map.csv")


def random_vit(folder: Path) -> Path:
    """Write a ViT-S/16 with random weights, as timm names them."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / f"{VIT}.safetensors"
    save_file(timm.create_model(VIT, pretrained=False).state_dict(), path)
    return path


def peak_gflops() -> float:
    """Measure the product of two square matrices over all threads, the best of three sizes."""
    import torch

    best = 0.0
    for n in (768, 1024, 2048):
        a, b = torch.randn(n, n), torch.randn(n, n)
        best = max(best, *(2 * n**3 / seconds(lambda a=a, b=b: a @ b) / 1e9 for _ in range(5)))
    return best


def gflop(forward: Callable[[Any], object], batch: Any) -> float:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # the fused attention of the CPU is not counted, its products are
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        forward(batch)
    return counter.get_total_flops() / 1e9


def plain_timm(encoder: Any, tiles: Any) -> tuple[Callable[[Any], object], Callable[[Any], Any]]:
    """Give a plain timm transformer of the encoder's size up to its block, and what brings tiles to its input."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    _, c, y, x = tiles.shape
    if encoder.name.startswith("timm:"):
        network = timm.create_model(VIT, pretrained=False, img_size=(y, x)).eval()
        network.blocks = network.blocks[: encoder.block]
        return network.forward_features, lambda t: t.reshape(-1, 1, y, x).expand(-1, 3, y, x).contiguous()
    # the channels of a tile are one long image of one channel: as many tokens, all of which see each other
    network = VisionTransformer(
        img_size=(c * y, x), patch_size=encoder.patch, in_chans=1, num_classes=0, embed_dim=encoder.dim,
        depth=encoder.block, num_heads=3, class_token=False, global_pool="",
    ).eval()  # fmt: skip
    return network.forward_features, lambda t: t.reshape(-1, 1, c * y, x)


def fitted(name: str, plate: Any, work: Path, weights: Path | None) -> Any:
    from napari_phenolens import fit_lens

    lens = fit_lens(plate, CONTROLS, encoder=name, weights=weights, tokens=work / "fit", device="cpu", steps=200)
    lens.save(work / "lens")
    return lens


def compare(name: str, plate: Any, work: Path, weights: Path | None) -> dict[str, float]:
    import torch

    from napari_phenolens import apply_lens
    from napari_phenolens.encoders import load_encoder
    from napari_phenolens.run.field_tokens import TokenSettings
    from napari_phenolens.run.fleet import cpu_batch
    from napari_phenolens.run.geometry import cut_tiles
    from napari_phenolens.run.lanes import CpuLane
    from napari_phenolens.run.pixels import normalise
    from napari_phenolens.threads import budget

    encoder = load_encoder(name, weights=weights, device="cpu")
    lens = fitted(name, plate, work, weights)
    settings = TokenSettings(
        lens.channels, lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin, None, lens.normalisation
    )
    fields = [w.fields[0] for w in plate.wells.values()]
    total = sum(len(settings.plan(f).origins) for f in fields)
    size = cpu_batch(len(lens.channels), lens.tile // lens.patch)
    images = [normalise(settings.read(f), settings.normalisation) for f in fields[:READY]]
    tiles = torch.from_numpy(np.concatenate([cut_tiles(i, settings.plan_of(i)) for i in images]))
    ready = [tiles[i : i + size].clone() for i in range(0, len(tiles), size)]

    def batches(given: list[Any] = ready) -> Iterator[Any]:
        left = total
        while left > 0:
            for batch in given:
                if left > 0:
                    yield batch[:left]
                    left -= min(left, len(batch))

    def one_by_one(forward: Callable[[Any], object], given: list[Any] = ready) -> None:
        with torch.inference_mode():
            for batch in batches(given):
                forward(batch)

    timm_forward, bring = plain_timm(encoder, tiles)
    brought = [bring(batch) for batch in ready]
    per_tile = gflop(encoder.forward_tensor, ready[0]) / len(ready[0])
    timm_per_tile = gflop(timm_forward, brought[0]) / len(ready[0])
    times = len(brought[0]) // len(ready[0])
    lane = CpuLane(encoder)

    def timm_batches() -> None:
        with torch.inference_mode():
            done = 0
            while done < total:
                for batch in brought:
                    if done < total:
                        timm_forward(batch[: (total - done) * times])
                        done += len(batch) // times

    ways: dict[str, Callable[[], object]] = {
        "all threads, batch by batch": lambda: one_by_one(encoder.forward_tensor),
        "a batch a thread": lambda: lane.map(lane.forward, list(batches())),
        "plain timm": timm_batches,
    }
    torch.set_num_threads(budget())
    for warm in (lambda: encoder.forward_tensor(ready[0]), lambda: timm_forward(brought[0])):
        with torch.inference_mode():
            warm()
    lane.map(lane.forward, ready[: 2 * budget()])
    before = {k: seconds(way) for k, way in ways.items()}
    whole = seconds(
        lambda: apply_lens(lens, plate, work / "run", tokens=work / "tokens", weights=weights, device="cpu")
    )
    after = {k: seconds(way) for k, way in ways.items()}
    mean = {k: (before[k] + after[k]) / 2 for k in ways}
    bare = min(mean["all threads, batch by batch"], mean["a batch a thread"])
    peak = peak_gflops()
    print(
        f"\n{encoder.name}, block {encoder.block} of {encoder.blocks}: "
        f"{len(fields)} fields, {total} tiles, {size} a batch"
    )
    print(f"  product of matrices {peak:8.1f} GFLOP/s on {budget()} threads; a tile takes {per_tile:.2f} GFLOP")
    for k, took in mean.items():
        work_done = (timm_per_tile if k == "plain timm" else per_tile) * total
        print(
            f"  {k:28s} {took:8.2f} s   {work_done / took / peak:6.1%} of the peak   "
            f"(before {before[k]:.2f}, after {after[k]:.2f})"
        )
    print(f"  {'apply_lens':28s} {whole:8.2f} s   {whole / bare:.3f} of the faster bare forward (aim: 1.15)")
    return {"bare": bare, "timm": mean["plain timm"], "apply": whole, "ratio": whole / bare}


def child(plate: Path, lens: Path, out: Path, weights: str) -> None:
    """Apply a lens in a process of its own and print the most memory that it held, in MiB."""
    from napari_phenolens import apply_lens, load_lens

    apply_lens(
        load_lens(lens), opened(plate), out / "run", tokens=out / "tokens", weights=weights or None, device="cpu"
    )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit))


def peak_memory(plate: Path, lens: Path, out: Path, weights: Path | None) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(plate), str(lens), str(out), str(weights or "")],
        check=True, stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
    )  # fmt: skip
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--wells", type=int, help="only so many of the 96 wells")
    parser.add_argument("--encoders", default="camae-micro,vit")
    parser.add_argument("--side", type=int, help="only the middle of each field, so many px wide and high")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory-only", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        plate, lens, out, weights = asked.child
        child(Path(plate), Path(lens), Path(out), weights)
        return
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as scratch:
        base = Path(scratch)
        once = subset(asked.data, base / "once", asked.wells, side=asked.side)
        names = asked.encoders.split(",")
        if asked.side is not None:
            print(f"fields cut to {asked.side} x {asked.side} px")
        for name in names[:1] if asked.memory_only else names:
            (base / name).mkdir()
            weights = random_vit(base) if name == "vit" else None
            work = fitted if asked.memory_only else compare
            work(f"timm:{VIT}" if name == "vit" else name, opened(once), base / name, weights)
        if not asked.no_memory or asked.memory_only:
            weights = base / f"{VIT}.safetensors" if names[0] == "vit" else None
            four = subset(asked.data, base / "four", asked.wells, 4, asked.side)
            lens, few, many = base / names[0] / "lens.safetensors", base / "m1", base / "m4"
            a, b = peak_memory(once, lens, few, weights), peak_memory(four, lens, many, weights)
            count = len(opened(once).wells)
            print(
                f"\npeak memory, {names[0]}: {count} wells {a:.0f} MiB, "
                f"{4 * count} wells {b:.0f} MiB ({b / a - 1:+.1%})"
            )


if __name__ == "__main__":
    main()
