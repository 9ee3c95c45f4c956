"""OpenPhenom and its larger relatives: the properties of the published model, with weights of our own making."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from published_mae import published_weights
from safetensors.torch import save_file
from timm.models.vision_transformer import ParallelScalingBlock, vit_small_patch16_224
from torch import nn

from napari_phenolens.encoders import Encoder, EncoderError, find_spec, load_encoder
from napari_phenolens.encoders.mae import CONFIGS, MAEEncoder, load_mae
from napari_phenolens.encoders.mae_vit import MAE_G8, MAE_L8, OPENPHENOM, MAEViT


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("openphenom") / "model.safetensors"
    save_file(published_weights(), path)
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    return load_encoder("openphenom", weights=weights, device="cpu")


@pytest.fixture(scope="module")
def tiles():
    return np.random.default_rng(0).integers(0, 200, (1, 2, 256, 256)).astype(np.uint8)


@pytest.fixture(scope="module")
def tokens(encoder, tiles):
    return encoder.tokens_of_blocks(tiles, [6, 12])


def test_the_layout_has_every_key():
    keys = published_weights()
    assert len(keys) == 765
    assert sum(k.startswith("encoder.") for k in keys) == 162


def test_the_encoder_has_its_parameters(encoder):
    assert isinstance(encoder, Encoder)
    count = sum(p.numel() for p in encoder.network.parameters())
    assert count == 22_459_776 == find_spec("openphenom").parameters
    assert (encoder.patch, encoder.dim, encoder.blocks, encoder.block, encoder.tile) == (16, 384, 12, 12, 256)
    assert encoder.max_channels == 11 and encoder.channels is None and encoder.input_range == (0.0, 255.0)
    assert not encoder.network.training and len(encoder.sha256) == 64


def test_timms_block_has_the_published_layout():
    block = ParallelScalingBlock(384, 6, qk_norm=True, init_values=1e-4)
    published = {k[len("encoder.vit_backbone.blocks.0.") :]: v for k, v in published_weights().items() if ".0.in" in k}
    found = {k: tuple(v.shape) for k, v in block.state_dict().items()}
    assert {k: found[k] for k in published} == {k: tuple(v.shape) for k, v in published.items()}
    assert len(found) == 13


def norm(x, weight, bias):
    """LayerNorm in numpy."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * weight + bias


def literal_block(x, w):
    """A parallel block, (tokens, 384), written from its description alone, in float64."""
    from scipy.special import erf, softmax

    y = norm(x, w["in_norm.weight"], w["in_norm.bias"]) @ w["in_proj.weight"].T
    mlp, q, k, v = np.split(y, [1536, 1920, 2304], axis=1)
    mlp = mlp + w["mlp_bias"]
    mlp = mlp * 0.5 * (1 + erf(mlp / np.sqrt(2)))
    heads = [part.reshape(len(x), 6, 64).transpose(1, 0, 2) for part in (q, k, v)]
    q = norm(heads[0], w["q_norm.weight"], w["q_norm.bias"])
    k = norm(heads[1], w["k_norm.weight"], w["k_norm.bias"])
    attended = softmax(q @ k.transpose(0, 2, 1) / 8, axis=-1) @ heads[2]
    attended = attended.transpose(1, 0, 2).reshape(len(x), 384)
    out = attended @ w["attn_out_proj.weight"].T + w["attn_out_proj.bias"]
    return x + w["ls.gamma"] * (out + mlp @ w["mlp_out_proj.weight"].T + w["mlp_out_proj.bias"])


def literal_input(tiles, w):
    """Tokens before the first block of one tile of ``(c, 256, 256)``, written from the description, in float64."""
    kernel, bias = w["patch_embed.proj.weight"].reshape(384, 256), w["patch_embed.proj.bias"]
    rows = [w["cls_token"][0]]
    for channel in tiles.astype(np.float64) / 255:
        plane = (channel - channel.mean()) / np.sqrt(channel.var() + 1e-5)
        patches = plane.reshape(16, 16, 16, 16).transpose(0, 2, 1, 3).reshape(256, 256)
        rows.append(patches @ kernel.T + bias)
    found = np.concatenate(rows)
    return found + w["pos_embed"][0, : len(found)]


def test_tokens_are_those_of_the_description(weights, tiles, tokens):
    prefix = "encoder.vit_backbone."
    all_of = {k[len(prefix) :]: v.double().numpy() for k, v in published_weights().items() if k.startswith(prefix)}
    x = literal_input(tiles[0], all_of)
    for block in range(12):
        start = f"blocks.{block}."
        x = literal_block(x, {k[len(start) :]: v for k, v in all_of.items() if k.startswith(start)})
        if block + 1 in tokens:
            # channel-major: token 1 + c * 256 + row * 16 + column
            wanted = x[1:].reshape(2, 16, 16, 384)
            assert np.abs(wanted - tokens[block + 1][0]).max() < 1e-4
            assert np.abs(wanted).max() > 1


def test_tokens_are_those_of_timms_transformer(weights, tiles, tokens):
    reference = vit_small_patch16_224(
        img_size=256, in_chans=1, num_classes=0, global_pool="avg", init_values=1e-4, qkv_bias=False, qk_norm=True,
        block_fn=ParallelScalingBlock, drop_path_rate=0.1, norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).eval()  # fmt: skip
    prefix = "encoder.vit_backbone."
    state = {k[len(prefix) :]: v for k, v in published_weights().items() if k.startswith(prefix)}
    reference.pos_embed = nn.Parameter(torch.zeros_like(state["pos_embed"]))
    reference.load_state_dict(state)
    pixels = torch.nn.InstanceNorm2d(2)(torch.from_numpy(tiles).float() / 255)
    with torch.inference_mode():
        x = torch.cat([reference.patch_embed(pixels[:, c : c + 1]) for c in range(2)], 1)
        x = torch.cat([reference.cls_token, x], 1) + reference.pos_embed[:, :513]
        x = reference.norm(reference.blocks(x))
        pooled, with_norm = x[:, 1:].mean(1), reference.forward_head(x)
    assert (x[:, 1:].reshape(1, 2, 16, 16, 384) - torch.from_numpy(tokens[12])).abs().max() < 1e-4
    mean = torch.from_numpy(tokens[12].mean(axis=(1, 2, 3)))
    assert (mean - pooled).abs().max() < 1e-4
    assert (mean - with_norm).abs().max() > 0.1  # predict() pools without fc_norm, forward() with it


def test_embeddings(encoder, tiles, tokens):
    mean, each = encoder.embeddings(tiles), encoder.embeddings(tiles, channelwise=True)
    assert mean.shape == (1, 384) and each.shape == (1, 2 * 384)
    np.testing.assert_allclose(mean, tokens[12].reshape(1, -1, 384).mean(1), atol=1e-5)
    np.testing.assert_allclose(each[:, 384:], tokens[12][:, 1].reshape(1, -1, 384).mean(1), atol=1e-5)


def test_permuting_channels_permutes_tokens_and_leaves_the_mean(encoder, tiles, tokens):
    turned = encoder.tokens(tiles[:, ::-1])
    np.testing.assert_allclose(turned, tokens[12][:, ::-1], atol=1e-4)
    np.testing.assert_allclose(turned.mean(axis=(1, 2, 3)), tokens[12].mean(axis=(1, 2, 3)), atol=1e-5)


def test_a_token_is_where_the_index_says(encoder):
    blank = torch.zeros(1, 3, 256, 256)
    marked = blank.clone()
    marked[0, 1, 16 * 3 : 16 * 4, 16 * 5 : 16 * 6] = 1
    with torch.inference_mode():
        change = (encoder.network.embed(marked) - encoder.network.embed(blank)).norm(dim=-1)[0]
    assert np.flatnonzero(change.numpy() > 1e-4).tolist() == [1 + 1 * 256 + 3 * 16 + 5]


def test_positions_of_a_fresh_network_are_fixed_codes():
    codes = MAEViT(OPENPHENOM.tiny()).pos_embed[0]
    assert codes.shape == (1 + 11 * 256, 32) and not codes.requires_grad
    assert torch.equal(codes[0], torch.zeros(32)) and torch.equal(codes[1:257], codes[257:513])
    row, column = 3, 5
    frequencies = 10000.0 ** (-np.arange(8) / 8)
    wanted = [f(p * frequencies) for p in (row, column) for f in (np.sin, np.cos)]
    np.testing.assert_allclose(codes[1 + 16 * row + column], np.concatenate(wanted), atol=1e-6)


def test_scale_does_not_matter_and_dark_tiles_pass(encoder, tiles, tokens):
    counts = tiles.astype(np.uint16) * 250
    np.testing.assert_allclose(encoder.tokens(counts), tokens[12], atol=0.05)
    dark = np.random.default_rng(1).integers(0, 2, (1, 1, 256, 256)).astype(np.uint8)
    assert np.isfinite(encoder.tokens(dark)).all()
    assert np.isfinite(encoder.tokens(np.zeros((1, 1, 256, 256), np.uint8))).all()
    both = np.concatenate([dark, tiles[:, :1]]).astype(np.float32)  # one dark tile among others: the call is not 0-1
    assert np.isfinite(encoder.tokens(both)).all()


@pytest.mark.parametrize(
    ("tile", "text"),
    [
        (np.zeros((1, 1, 320, 320), np.uint8), "256 x 256"),
        (np.zeros((1, 1, 240, 256), np.uint8), "256 x 256"),
        (np.zeros((1, 12, 256, 256), np.uint8), "1 to 11 channels"),
        (np.random.default_rng(0).random((1, 1, 256, 256)), "scaled to 0-1"),
        (np.full((1, 1, 256, 256), np.nan), "not finite"),
    ],
)
def test_what_would_come_out_wrong_is_refused(encoder, tile, text):
    with pytest.raises(EncoderError, match=text):
        encoder.tokens(tile)


def test_tensors_are_not_looked_at(encoder, tiles, tokens):
    out = encoder.forward_tensor(torch.from_numpy(tiles))
    np.testing.assert_array_equal(out.numpy(), tokens[12])
    dark = torch.zeros(1, 1, 256, 256)  # a field's empty corner, already brought to 0-255
    assert torch.isfinite(encoder.forward_tensor(dark)).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder.network.standardise(torch.from_numpy(tiles)).dtype == torch.float32


def test_both_kinds_of_files_are_known_by_their_header(tmp_path):
    made = small_weights()
    save_file(made, tmp_path / "plain.safetensors")
    torch.save({"state_dict": made}, tmp_path / "model.safetensors")  # what the original's save_pretrained writes
    save_file({f"model.{k}": v for k, v in made.items()} | {"decoder.mask_token": torch.ones(1)}, tmp_path / "a.bin")
    torch.save({k: v.half() for k, v in made.items()}, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    wanted = load_mae("openphenom", OPENPHENOM.tiny(), tmp_path / "plain.safetensors").state_dict()
    for name, close in {"model.safetensors": 0, "a.bin": 0, "b.pt": 1e-3}.items():
        found = load_mae("openphenom", OPENPHENOM.tiny(), tmp_path / name).state_dict()
        assert set(found) == set(wanted)
        for key, value in found.items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, wanted[key], atol=close, rtol=close)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def small_weights():
    """Weights of the tiny variant under the published names."""
    state = MAEViT(OPENPHENOM.tiny()).state_dict()
    return {f"encoder.vit_backbone.{k}": v.clone() for k, v in state.items()}


def test_pickles_that_run_code_are_refused(tmp_path, capsys):
    torch.save({"state_dict": small_weights(), "config": Evil()}, tmp_path / "evil.safetensors")
    with pytest.raises(EncoderError, match="more in it than tensors"):
        load_mae("openphenom", OPENPHENOM.tiny(), tmp_path / "evil.safetensors")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(EncoderError, match=r"bare\.pt"):
        load_encoder("openphenom", weights=tmp_path / "bare.pt", device="cpu")
    assert "run" not in capsys.readouterr().out


def test_files_that_do_not_fit_are_refused(tmp_path):
    prefix = "encoder.vit_backbone."
    for name, change, text in [
        ("missing", lambda w: w.pop(prefix + "blocks.1.ls.gamma"), "blocks.1.ls.gamma"),
        ("more", lambda w: w.update({prefix + "blocks.2.ls.gamma": torch.ones(32)}), "blocks.2"),
        ("shape", lambda w: w.update({prefix + "pos_embed": torch.ones(1, 257, 32)}), "pos_embed"),
        ("other", lambda w: w.pop(prefix + "cls_token"), "no single"),
    ]:
        made = small_weights()
        change(made)
        path = tmp_path / f"{name}.safetensors"
        save_file(made, path)
        with pytest.raises(EncoderError, match=text):
            load_mae("openphenom", OPENPHENOM.tiny(), path)
    with pytest.raises(EncoderError, match="not the weights of openphenom"):
        load_mae("openphenom", OPENPHENOM, path.with_name("more.safetensors"))
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(EncoderError, match="damaged"):
        load_encoder("openphenom", weights=tmp_path / "cut.pt", device="cpu")


@pytest.mark.parametrize(
    ("name", "config", "dim", "depth"), [("mae-l8", MAE_L8, 1024, 24), ("mae-g8", MAE_G8, 1664, 48)]
)
def test_the_larger_ones_build_and_run_without_memory(name, config, dim, depth):
    with torch.device("meta"):
        network = MAEViT(config).eval()
        out = network(torch.empty(2, 6, 256, 256), [depth // 2, depth])
    assert {b: tuple(t.shape) for b, t in out.items()} == {b: (2, 1025, dim) for b in (depth // 2, depth)}
    assert sum(p.numel() for p in network.parameters()) == find_spec(name).parameters
    assert (find_spec(name).dim, find_spec(name).blocks, find_spec(name).patch) == (dim, depth, 8)
    assert CONFIGS[name] is config


@pytest.mark.parametrize("name", ["openphenom", "mae-l8", "mae-g8"])
def test_tiny_variants_run(name, tmp_path):
    config = CONFIGS[name].tiny()
    torch.manual_seed(0)
    network = MAEViT(config).eval()
    state = {f"encoder.vit_backbone.{k}": v for k, v in network.state_dict().items()}
    if name != "openphenom":  # a backbone that pools the class token names its last norm otherwise
        state = {k.replace("fc_norm", "norm"): v for k, v in state.items()}
    save_file({k: v.contiguous().clone() for k, v in state.items()}, tmp_path / "tiny.safetensors")
    encoder = MAEEncoder(name, config, tmp_path / "tiny.safetensors", "none", block=1)
    c = 3 if config.channel_agnostic else 6
    tiles = np.random.default_rng(0).integers(0, 255, (2, c, 256, 256)).astype(np.uint8)
    out = encoder.tokens(tiles)
    assert out.shape == (2, c if config.channel_agnostic else 1, config.side, config.side, 32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(tiles), [1])[1][:, 1:]
    np.testing.assert_array_equal(out.reshape(2, -1, 32), wanted.numpy())
    if not config.channel_agnostic:
        with pytest.raises(EncoderError, match="takes 6 channels"):
            encoder.tokens(tiles[:, :5])


def test_weights_that_are_nowhere_are_asked_for():
    with pytest.raises(EncoderError, match=r"not public.*--weights FILE"):
        load_encoder("mae-g8", device="cpu")
