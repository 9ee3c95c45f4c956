"""Train camae-micro, the default encoder, self-supervised on real microscopy images.

The images are not part of the project: give their folder. Checkpoints and the log go to a folder outside the
repository; a run that is started again goes on from its last checkpoint. The learning rate warms up, stays, and
falls linearly over the last steps (or from the moment a file named DECAY appears beside the checkpoints), so that
training can be prolonged from any checkpoint.

    python tools/train_camae.py --data ../shared/data --out ~/camae --steps 6000
    python tools/train_camae.py --out ~/camae --export src/napari_phenolens/encoders/data
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from timm.layers import set_fused_attn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from napari_phenolens.encoders.camae import CAMAEConfig, CAMAEDecoder, CAMAEEncoder

TILE = 128
MASKED = 0.75
ASKED = 1 / 3  # share of the masked patches that the decoder predicts, a random part to save time


@dataclass
class Source:
    """One image with its sampling weight: ``(c, y, x)`` float16 scaled pixels, before the logarithm."""

    name: str
    pixels: np.ndarray
    weight: float
    level: np.ndarray | None = None  # per channel (mean, sd) after the logarithm, where a plate gives them


def scale(image: np.ndarray) -> np.ndarray:
    """Bring each channel's 0.1 to 99.9 percentiles to 0 to 255, whatever the bit depth; brighter pixels stay."""
    out = np.empty(image.shape, np.float16)
    for i, plane in enumerate(image):
        low, high = np.percentile(plane, [0.1, 99.9])
        out[i] = np.clip((plane.astype(np.float32) - low) / max(high - low, 1e-6) * 255.0, 0, 2000)
    return out


def load_images(data: Path, without: frozenset[str]) -> list[Source]:
    """Read every image of the shared data as scaled multi-channel arrays."""
    import tifffile
    from skimage import io

    def read(path: Path) -> np.ndarray:
        if path.suffix.lower() in {".tif", ".tiff"}:
            return np.squeeze(tifffile.imread(path))
        return np.squeeze(io.imread(path))

    sources: list[Source] = []

    def add(name: str, planes: list[np.ndarray], weight: float) -> None:
        image = np.stack(planes)
        if min(image.shape[1:]) >= 96 and all(np.ptp(plane) > 0 for plane in image):
            sources.append(Source(name, scale(image), weight))

    if "bbbc013" not in without:
        folder = data / "bbbc013"
        plate = []
        for path in sorted(folder.glob("Channel1-*.tif")):
            other = folder / path.name.replace("Channel1", "Channel2")
            plate.append(np.stack([read(path), read(other)]))
        limits = np.percentile(np.stack(plate[::4]), [0.1, 99.9], axis=(0, 2, 3))
        for i, image in enumerate(plate):  # limits of the whole plate: brightness may be the phenotype
            low, high = (v[:, None, None] for v in limits)
            pixels = np.clip((image - low) / (high - low) * 255.0, 0, 2000).astype(np.float16)
            sources.append(Source(f"bbbc013/{i}", pixels, 0.30 / len(plate)))
        logs = np.log1p(np.stack([s.pixels for s in sources[::4]]).astype(np.float32))
        level = np.stack([logs.mean((0, 2, 3)), logs.std((0, 2, 3))], axis=1)
        for source in sources:
            source.level = level
    painting = data / "cell_painting"
    groups: dict[str, list[Path]] = {}
    for path in sorted(painting.rglob("*")):
        if path.suffix.lower() not in {".tif", ".tiff"} or any(k in str(path).lower() for k in ("mask", "outline")):
            continue
        if "NF1" in str(path):
            well = path.name.split("_")[0]
            groups.setdefault(f"nf1/{well}", []).append(path)
        elif "w1_hoechst" in str(path) or "3ch" in str(path):
            groups.setdefault(path.name, []).append(path)
        else:
            groups.setdefault(str(path.parent.relative_to(painting)), []).append(path)
    for path in sorted((data / "vendor" / "phenix_pe2loaddata").rglob("*.tif*")):
        groups.setdefault(f"phenix/{path.parent.name}", []).append(path)
    multi = []
    for name, paths in groups.items():
        planes: list[np.ndarray] = []
        for path in paths:
            image = read(path)
            if image.ndim == 3:
                axis = int(np.argmin(image.shape))
                planes += list(np.moveaxis(image, axis, 0))
            elif not planes or planes[0].shape == image.shape:
                planes.append(image)
        multi.append((name, planes))
    total = sum(len(p) * p[0].size for _, p in multi)
    for name, planes in multi:
        add(f"painting/{name}", planes, 0.35 * len(planes) * planes[0].size / total)
    singles: list[tuple[str, list[np.ndarray]]] = []
    train = data / "train"
    for path in sorted((train / "dsb2018_fluo").glob("*.png")):
        image = read(path)
        singles.append((f"dsb/{path.name}", [image[..., :3].max(axis=2) if image.ndim == 3 else image]))
    for folder in (
        "bbbc007",
        "cp_ExampleFly",
        "cp_ExampleHuman",
        "cp_ExampleVitra_bbbc014",
        "ebimage_hela",
        "stardist_img",
    ):
        for path in sorted((train / folder).rglob("*")):
            if path.suffix.lower() not in {".tif", ".tiff", ".png"} or any(
                k in str(path).lower() for k in ("mask", "label", "outline")
            ):
                continue
            image = read(path)
            if image.ndim == 3 and image.shape[-1] in (3, 4):
                image = image[..., :3].max(axis=2)
            for plane in image.reshape(-1, *image.shape[-2:]):
                singles.append((f"{folder}/{path.name}", [plane]))
    # An image counts with the root of its area, so that the largest do not drown the many small ones.
    area = sum(math.sqrt(p[0].size) for _, p in singles)
    for name, planes in singles:
        add(name, planes, 0.35 * math.sqrt(planes[0].size) / area)
    return sources


class Sampler:
    """Draws augmented crops: flips, quarter turns, rescaling, random channels, intensity jitter."""

    def __init__(self, sources: list[Source], rng: np.random.Generator, planes: int) -> None:
        self.rng, self.planes = rng, planes
        self.by_channels = {c: [s for s in sources if s.pixels.shape[0] >= c] for c in range(1, 7)}

    def batch(self) -> torch.Tensor:
        """Give ``(n, c, 128, 128)`` standardised crops, all with the same number of channels."""
        c = int(self.rng.choice(6, p=[0.25, 0.35, 0.2, 0.08, 0.07, 0.05])) + 1
        pool = self.by_channels[c]
        p = np.array([s.weight for s in pool])
        n = max(4, self.planes // c)
        chosen = self.rng.choice(len(pool), size=n, p=p / p.sum())
        return torch.stack([self.crop(pool[i], c) for i in chosen])

    def crop(self, source: Source, c: int) -> torch.Tensor:
        """Give one ``(c, 128, 128)`` crop."""
        rng = self.rng
        channels = rng.permutation(source.pixels.shape[0])[:c]
        most = min(source.pixels.shape[1:])
        side = min(
            int(TILE * math.exp(rng.uniform(math.log(0.75), math.log(1.4)))) if rng.random() < 0.7 else TILE, most
        )
        # Empty crops teach nothing: of two places the one with more signal is taken, most of the time.
        best, window = -1.0, (0, 0)
        for _ in range(2 if rng.random() < 0.8 else 1):
            y, x = (int(rng.integers(0, s - side + 1)) for s in source.pixels.shape[1:])
            signal = float(source.pixels[channels[0], y : y + side : 4, x : x + side : 4].astype(np.float32).std())
            if signal > best:
                best, window = signal, (y, x)
        y, x = window
        pixels = torch.from_numpy(source.pixels[channels, y : y + side, x : x + side].astype(np.float32))
        if side != TILE:
            pixels = F.interpolate(pixels[None], size=(TILE, TILE), mode="bilinear", antialias=side > TILE)[0]
        if rng.random() < 0.5:
            pixels = pixels.flip(2)
        pixels = torch.rot90(pixels, int(rng.integers(4)), (1, 2))
        gain = np.exp(rng.normal(0, 0.25, size=(c, 1, 1))).astype(np.float32)
        offset = np.abs(rng.normal(0, 2.0, size=(c, 1, 1))).astype(np.float32)
        out = torch.log1p(pixels * torch.from_numpy(gain) + torch.from_numpy(offset))
        if source.level is not None and rng.random() < 0.7:
            level = torch.from_numpy(source.level[channels].astype(np.float32))
            mean, sd = level[:, 0, None, None], level[:, 1, None, None]
        else:
            whole = np.log1p(source.pixels[channels][:, ::8, ::8].astype(np.float32))
            mean = torch.from_numpy(whole.mean((1, 2)))[:, None, None]
            sd = torch.from_numpy(whole.std((1, 2)))[:, None, None].clamp_min(0.25)
        jitter = torch.from_numpy(rng.normal(0, 0.15, size=(2, c, 1, 1)).astype(np.float32))
        return (out - mean) / sd * torch.exp(jitter[0]) + jitter[1]


def patches_of(pixels: torch.Tensor, patch: int) -> torch.Tensor:
    """Cut ``(n, c, y, x)`` into ``(n, c, places, patch * patch)``, row-major."""
    n, c, y, x = pixels.shape
    cut = pixels.reshape(n, c, y // patch, patch, x // patch, patch).permute(0, 1, 2, 4, 3, 5)
    return cut.reshape(n, c, (y // patch) * (x // patch), patch * patch)


def masked_error(
    encoder: CAMAEEncoder, decoder: CAMAEDecoder, pixels: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the mean squared error over the asked patches, and the same as a share of their variance."""
    n, c = pixels.shape[:2]
    tokens, rows, columns = encoder.embed(pixels)
    count = rows * columns
    order = torch.rand(n, c, count, generator=generator).argsort(dim=2)
    keep = round(count * (1 - MASKED))
    seen, asked = order[:, :, :keep], order[:, :, keep : keep + round((count - keep) * ASKED)]
    visible = torch.gather(tokens, 2, seen[..., None].expand(-1, -1, -1, tokens.shape[3]))
    encoded = encoder.transform(visible.reshape(n, c * keep, -1)).reshape(n, c, keep, -1)
    predicted = decoder(encoded, seen, asked, rows, columns).float()
    target = patches_of(pixels, encoder.config.patch)
    target = torch.gather(target, 2, asked[..., None].expand(-1, -1, -1, target.shape[3]))
    error = F.mse_loss(predicted, target)
    return error, error.detach() / target.var()


def learning_rate(step: int, peak: float, warm: int, decay_start: int, decay: int) -> float:
    """Warm up linearly, stay, fall linearly to zero."""
    rate = peak * min(1.0, (step + 1) / warm)
    if step >= decay_start:
        rate *= max(0.0, 1.0 - (step - decay_start) / decay)
    return rate


def export(out: Path, folder: Path, which: str) -> None:
    """Write the averaged weights of a checkpoint as half-precision safetensors, encoder and decoder apart."""
    state = torch.load(out / which, weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"config": json.dumps(state["config"]), "steps": str(state["step"]), "format": "pt"}
    for part, name in (("encoder", "camae-micro"), ("decoder", "camae-micro-decoder")):
        tensors = {k[len(part) + 1 :]: v.half().contiguous() for k, v in state["average"].items() if k.startswith(part)}
        save_file(tensors, folder / f"{name}.safetensors", metadata=facts)


def train(args: argparse.Namespace) -> None:
    """Train until the steps are done, writing a log line every 20 steps and a checkpoint every 100."""
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    # On CPU the backward pass of torch's fused attention costs a third of a step (0.49 s, plain products 0.28 s).
    set_fused_attn(False)
    config = CAMAEConfig(dim=args.dim, depth=args.depth)
    model = torch.nn.ModuleDict({"encoder": CAMAEEncoder(config), "decoder": CAMAEDecoder(config)})
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95))
    average = {k: v.clone() for k, v in model.state_dict().items()}
    start, decay_start = 0, args.steps - args.decay
    last = out / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, start = state["average"], state["step"]
    rng = np.random.default_rng([args.seed, start])
    generator = torch.Generator().manual_seed(args.seed + start)
    sources = load_images(args.data, frozenset(args.without))
    mpx = sum(s.pixels.size for s in sources) / 1e6
    parameters = sum(p.numel() for p in model["encoder"].parameters())
    print(f"{len(sources)} images, {mpx:.0f} Mpx, encoder {parameters:,} parameters, from step {start}", flush=True)
    sampler = Sampler(sources, rng, args.planes)
    bf16 = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
    began, shares = time.time(), []
    log = (out / "log.csv").open("a")
    step = start
    while step < decay_start + args.decay:
        if (out / "DECAY").exists() and step < decay_start:
            decay_start = step
            print(f"decay begins at step {step}", flush=True)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, args.lr, 200, decay_start, args.decay)
        pixels = sampler.batch()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, share = masked_error(model["encoder"], model["decoder"], pixels, generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        keep = min(0.998, step / (step + 20))
        with torch.no_grad():
            for k, v in model.state_dict().items():
                average[k].lerp_(v, 1 - keep)
        shares.append(float(share))
        if step % 20 == 0:
            line = f"{step},{np.mean(shares):.4f},{time.time() - began:.0f},{optimiser.param_groups[0]['lr']:.2e}"
            print(line, file=log, flush=True)
            shares = []
        if step % 100 == 0 or step == decay_start + args.decay:
            state = {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
                "step": step,
                "config": config.to_dict(),
            }
            torch.save(state, out / "last.tmp")
            os.replace(out / "last.tmp", last)
            if step % 500 == 0:
                torch.save({k: state[k] for k in ("average", "step", "config")}, out / f"step-{step:06d}.pt")
    torch.save({k: state[k] for k in ("average", "step", "config")}, out / "final.pt")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log, outside the repository")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--decay", type=int, default=600, help="steps over which the learning rate falls at the end")
    parser.add_argument("--planes", type=int, default=48, help="channel planes a step, spread over crops")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", nargs="*", default=[], help="data sets to leave out, e.g. bbbc013")
    parser.add_argument("--export", type=Path, help="write weights of --which to this folder and stop")
    parser.add_argument("--which", default="last.pt")
    args = parser.parse_args()
    if args.export is not None:
        export(args.out, args.export, args.which)
    else:
        train(args)


if __name__ == "__main__":
    main()
