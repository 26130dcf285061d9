"""Tiny configurations of real architectures, as transformers builds them, in several dialects, with caches and symbolic sizes.

Of each, besides what trial.py says: every pair of latent norms that is there is fused, and `graft verify` agrees. Where a
pair was fused numbers may differ by trial.NEAR, because the fused op is one formula and models round in their own ways.
A row each: ops before and after, pairs fused of those there, and what is wrong: refused (graft opt gives a reason),
broken (what it writes does not load, run or compute the same), worse (more ops than before), lost (a pair not fused).

    python zoo.py [--all] [--half 1|2] [MODEL | MODEL/VARIANT ...]      without --all: a variant or two of each model
"""
import argparse
import copy
import importlib

from trial import Part, Wanted, said

import torch
import transformers
import transformers.integrations.moe    # registers the op of grouped matrix products
from torch import nn
from torch.export import Dim
from transformers import DynamicCache, StaticCache
from transformers.exporters.exporter_dynamo import get_auto_dynamic_shapes, register_cache_pytrees_for_model

BASE = dict(vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=256, initializer_range=0.1)
LM = dict(BASE, num_key_value_heads=2)
MLA = dict(BASE, num_key_value_heads=4, moe_intermediate_size=32, q_lora_rank=48, kv_lora_rank=32, qk_rope_head_dim=8,
           qk_nope_head_dim=16, v_head_dim=16, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=2, n_group=2, topk_group=1)
DSA = dict(MLA, index_topk=8, index_head_dim=16, index_n_heads=8, head_dim=8)
MOE = dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32)
ENDS = dict(bos_token_id=0, eos_token_id=1)
TEXT = dict(vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
IMAGE = dict(TEXT, image_size=32, patch_size=8)
del IMAGE["vocab_size"]


def without(given, *names):
    return {k: v for k, v in given.items() if k not in names}


# name: (class of the configuration, of the model, kind, configuration)
MODELS = {
    "deepseek_v2": ("DeepseekV2Config", "DeepseekV2ForCausalLM", "mla", dict(MLA, first_k_dense_replace=1, topk_method="group_limited_greedy")),
    "deepseek_v3": ("DeepseekV3Config", "DeepseekV3ForCausalLM", "mla", dict(MLA, first_k_dense_replace=1)),
    "deepseek_v32": ("DeepseekV32Config", "DeepseekV32ForCausalLM", "mla", dict(DSA, first_k_dense_replace=1)),
    "deepseek_v4": ("DeepseekV4Config", "DeepseekV4ForCausalLM", "mla", dict(
        without(BASE, "intermediate_size"), moe_intermediate_size=32, num_hidden_layers=4, head_dim=16, q_lora_rank=48,
        num_experts_per_tok=2, n_routed_experts=8, o_groups=2, o_lora_rank=16, index_n_heads=8, index_head_dim=16, index_topk=4,
        sliding_window=8, hc_mult=2, hc_sinkhorn_iters=3, partial_rotary_factor=0.5, num_nextn_predict_layers=0,
        layer_types=["sliding_attention", "sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
        compress_rates={"compressed_sparse_attention": 2, "heavily_compressed_attention": 4}, mlp_layer_types=["hash_moe", "moe", "moe", "moe"])),
    "glm4_moe_lite": ("Glm4MoeLiteConfig", "Glm4MoeLiteForCausalLM", "mla", MLA),
    "glm_moe_dsa": ("GlmMoeDsaConfig", "GlmMoeDsaForCausalLM", "mla", dict(DSA, first_k_dense_replace=1, n_group=1)),
    "glm5_next": ("Glm5NextTextConfig", "Glm5NextTextModel", "mla", dict(
        DSA, n_group=1, qk_rope_head_dim=0, head_dim=0, layer_types=["linear_attention", "deepseek_sparse_attention"],
        mlp_layer_types=["dense", "sparse"], linear_head_dim=16, linear_num_heads=4, hc_mult=2, hc_sinkhorn_iters=3, index_kpool=4, pad_token_id=None)),
    "hy_v4": ("HYV4Config", "HYV4ForCausalLM", "mla", dict(DSA, n_group=1, hc_mult=2, pad_token_id=None, **ENDS)),
    "kimi_linear": ("KimiLinearConfig", "KimiLinearForCausalLM", "mla", dict(
        MLA, n_group=1, num_local_experts=8, linear_head_dim=16, linear_num_heads=4, layer_types=["linear_attention", "full_attention"],
        mlp_layer_types=["dense", "sparse"], pad_token_id=None, **ENDS)),
    "longcat_flash": ("LongcatFlashConfig", "LongcatFlashForCausalLM", "mla", dict(
        without(MLA, "intermediate_size", "moe_intermediate_size", "n_shared_experts", "num_experts_per_tok", "n_group", "topk_group"),
        num_layers=2, num_hidden_layers=4, ffn_hidden_size=96, expert_ffn_hidden_size=32, moe_topk=2, zero_expert_num=4, head_dim=8)),
    "minicpm3": ("MiniCPM3Config", "MiniCPM3ForCausalLM", "mla", dict(MLA, dim_model_base=32)),
    "mistral4": ("Mistral4Config", "Mistral4ForCausalLM", "mla", dict(MLA, pad_token_id=None)),
    "youtu": ("YoutuConfig", "YoutuForCausalLM", "mla", dict(MLA, embedding_initializer_range=0.1, **ENDS)),
    "axk1": ("AXK1Config", "AXK1ForCausalLM", "mla", dict(MLA, **ENDS)),
    "axk2": ("AXK2Config", "AXK2ForCausalLM", "mla", dict(DSA, **ENDS)),
    "llama": ("LlamaConfig", "LlamaForCausalLM", "lm", LM),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", "lm", LM),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", "lm", dict(LM, head_dim=16)),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", "lm", dict(LM, head_dim=16, **MOE)),
    "qwen3_next": ("Qwen3NextConfig", "Qwen3NextForCausalLM", "lm", dict(
        LM, head_dim=16, **MOE, shared_expert_intermediate_size=32, linear_key_head_dim=16, linear_value_head_dim=16, linear_num_key_heads=2,
        linear_num_value_heads=4, layer_types=["linear_attention", "full_attention"])),
    "mistral": ("MistralConfig", "MistralForCausalLM", "lm", dict(LM, sliding_window=8)),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", "lm", dict(LM, num_local_experts=4)),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", "lm", dict(LM, head_dim=16, sliding_window=8, query_pre_attn_scalar=16)),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", "lm", dict(
        LM, head_dim=16, sliding_window=8, query_pre_attn_scalar=16, layer_types=["sliding_attention", "full_attention"])),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", "lm", dict(LM, pad_token_id=0, **ENDS)),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", "lm", dict(vocab_size=256, n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.1, **ENDS)),
    "gpt_oss": ("GptOssConfig", "GptOssForCausalLM", "lm", dict(
        LM, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, pad_token_id=None, eos_token_id=1)),
    "opt": ("OPTConfig", "OPTForCausalLM", "lm", dict(
        without(BASE, "intermediate_size", "initializer_range"), ffn_dim=96, word_embed_proj_dim=64, init_std=0.1)),
    "mamba2": ("Mamba2Config", "Mamba2ForCausalLM", "lm", dict(
        vocab_size=256, hidden_size=64, state_size=16, num_hidden_layers=2, num_heads=8, head_dim=16, n_groups=2, chunk_size=8, expand=2,
        initializer_range=0.1, pad_token_id=0, **ENDS)),
    "falcon_h1": ("FalconH1Config", "FalconH1ForCausalLM", "lm", dict(
        LM, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16, mamba_d_state=16, mamba_n_groups=1, mamba_chunk_size=8, head_dim=16, pad_token_id=0, **ENDS)),
    "t5": ("T5Config", "T5ForConditionalGeneration", "t5", dict(
        vocab_size=256, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4, decoder_start_token_id=0)),
    "bert": ("BertConfig", "BertForMaskedLM", "bert", BASE),
    "modernbert": ("ModernBertConfig", "ModernBertForMaskedLM", "bert", dict(
        without(BASE, "initializer_range"), num_hidden_layers=3, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, local_attention=8)),
    "vit": ("ViTConfig", "ViTForImageClassification", "vision", dict(IMAGE, num_labels=10)),
    "clip": ("CLIPConfig", "CLIPModel", "clip", dict(
        text_config=dict(TEXT, max_position_embeddings=32, eos_token_id=255, bos_token_id=0, pad_token_id=1, projection_dim=32),
        vision_config=dict(IMAGE, projection_dim=32), projection_dim=32)),
    "whisper_enc": ("WhisperConfig", "WhisperModel", "whisper", dict(
        vocab_size=256, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96,
        decoder_ffn_dim=96, num_mel_bins=16, max_source_positions=32, max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1)),
    "resnet": ("ResNetConfig", "ResNetForImageClassification", "vision", dict(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=10)),
    "convnext": ("ConvNextConfig", "ConvNextForImageClassification", "vision", dict(hidden_sizes=[16, 32], depths=[1, 1], num_stages=2, num_labels=10)),
}


def variant(dtype="f32", attention="eager", strict=False, dialect=None, dynamic=False, cache=None):
    return dict(locals())


OTHER = {"f32": variant(), "bf16_sdpa": variant("bf16", "sdpa"), "f32_core": variant(dialect="core"), "f32_dyn": variant(dynamic=True)}
DECODER = {**OTHER, "f16": variant("f16"), "f32_step": variant(cache="dynamic"), "f32_static": variant(cache="static")}
LATENT = {
    **DECODER, "f32_sdpa": variant(attention="sdpa"), "bf16": variant("bf16"), "f16_sdpa": variant("f16", "sdpa"),
    "f32_strict": variant(strict=True), "bf16_strict": variant("bf16", strict=True), "f32_train": variant(dialect="train"),
    "bf16_train": variant("bf16", dialect="train"), "bf16_core": variant("bf16", dialect="core"),
    "bf16_sdpa_core": variant("bf16", "sdpa", dialect="core"), "bf16_sdpa_dyn": variant("bf16", "sdpa", dynamic=True),
    "f32_dyn_core": variant(dynamic=True, dialect="core"), "bf16_sdpa_step": variant("bf16", "sdpa", cache="dynamic"),
    "f32_step_dyn": variant(cache="dynamic", dynamic=True), "bf16_static_core": variant("bf16", cache="static", dialect="core"),
}
VARIANTS = {"mla": LATENT, "lm": DECODER}
# Without --all: the models take these in turn, those with latents two each.
IN_TURN = {"mla": ["f32", "bf16_core", "f32_dyn", "f32_step", "bf16", "f32_static", "f32_core", "bf16_sdpa_dyn"],
           "lm": ["f32", "f32_core", "bf16_sdpa", "f32_step", "f32_dyn", "f32_static"]}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
AUTO = Dim.AUTO


def named(name, found):
    """A class of transformers, from the model's own module where it is not public."""
    return getattr(transformers, found, None) or getattr(importlib.import_module(f"transformers.models.{name}.modeling_{name}"), found)


def build(name, v):
    of_config, of_model, _, given = MODELS[name]
    torch.manual_seed(0)
    config = named(name, of_config)(**copy.deepcopy(given))
    config._attn_implementation = v["attention"]
    config.use_cache = False
    model = named(name, of_model)(config).eval()
    if getattr(model.config, "_attn_implementation", None) != v["attention"]:
        model.set_attn_implementation(v["attention"])
    with torch.no_grad():
        for p in model.parameters():
            if not torch.isfinite(p).all():
                p.normal_(0, 0.1)
            if p.dim() == 1:
                p.add_(torch.randn_like(p) / 8)    # weights of norms are all ones otherwise
        for n, b in model.named_buffers():
            if n.endswith("e_score_correction_bias"):
                b.add_(torch.randn_like(b) / 8)
    if name == "longcat_flash":                    # its experts are chosen by data, which does not export
        for layer in model.model.layers:
            layer.mlp = Half()
    return in_dtype(model, DTYPES[v["dtype"]])


class Half(nn.Module):
    def forward(self, x):
        return x * 0.5


def in_dtype(model, dtype):
    """As from_pretrained does: rotary frequencies stay in float32."""
    kept = {n: b.clone() for n, b in model.named_buffers() if "inv_freq" in n}
    model = model.to(dtype)
    for n, b in kept.items():
        owner, _, last = n.rpartition(".")
        setattr(model.get_submodule(owner), last, b)
    return model


class Call(nn.Module):
    """The model with its inputs by position and its tensors as results."""

    def __init__(self, model, names, results):
        super().__init__()
        self.model, self.names, self.results = model, names, results

    def forward(self, *given):
        out = self.model(**dict(zip(self.names, given)), **({"use_cache": True} if "past_key_values" in self.names else {}))
        return [getattr(out, r) for r in self.results if getattr(out, r, None) is not None][:3]


def decoder(model, v, make):
    if not v["cache"]:
        return Call(model, ["input_ids"], ["logits", "last_hidden_state"]), (make(2, 24),), (make(3, 17),), ({0: AUTO, 1: AUTO},)
    register_cache_pytrees_for_model(model)
    model.config.use_cache = True
    given = {"past_key_values": StaticCache(config=model.config, max_cache_len=24)} if v["cache"] == "static" else {}
    with torch.no_grad():
        cache = model(input_ids=make(2, 12), use_cache=True, **given).past_key_values
    args = make(2, 1), cache
    return (Call(model, ["input_ids", "past_key_values"], ["logits", "last_hidden_state", "past_key_values"]), args, args,
            ({0: AUTO}, get_auto_dynamic_shapes({"c": cache})["c"]))


def call(name, model, v):
    """(module, arguments to export with, to run with where sizes are symbols, which sizes are symbols)."""
    g = torch.Generator().manual_seed(1)
    kind, dtype = MODELS[name][2], DTYPES[v["dtype"]]

    def ids(*shape):
        return torch.randint(3, 250, shape, generator=g)

    def ended(*shape):
        x = ids(*shape)
        x[:, -1] = 255
        return x

    def noise(*shape):
        return torch.randn(*shape, generator=g).to(dtype)

    def mask(rows, columns):
        return (torch.arange(columns) < columns - torch.arange(rows)[:, None] * 3).long()

    both, rows = {0: AUTO, 1: AUTO}, {0: AUTO}
    if kind in ("mla", "lm"):
        return decoder(model, v, ids)
    if kind == "bert":
        return Call(model, ["input_ids", "attention_mask"], ["logits"]), (ids(2, 24), mask(2, 24)), (ids(3, 17), mask(3, 17)), (both, both)
    if kind == "t5":
        return Call(model, ["input_ids", "decoder_input_ids"], ["logits"]), (ids(2, 24), ids(2, 10)), (ids(3, 17), ids(3, 7)), (both, both)
    if kind == "vision":
        return Call(model, ["pixel_values"], ["logits"]), (noise(2, 3, 32, 32),), (noise(3, 3, 32, 32),), (rows,)
    if kind == "clip":
        return (Call(model, ["input_ids", "pixel_values"], ["logits_per_image", "image_embeds", "text_embeds"]),
                (ended(2, 16), noise(2, 3, 32, 32)), (ended(3, 11), noise(3, 3, 32, 32)), (both, rows))
    return Call(model.encoder, ["input_features"], ["last_hidden_state"]), (noise(2, 16, 64),), (noise(3, 16, 64),), (rows,)


def pairs(model):
    """How many attentions norm the latents of queries and of keys and values."""
    return sum(any(getattr(m, q, None) is not None and hasattr(m, kv) for q, kv in (("q_a_layernorm", "kv_a_layernorm"), ("q_a_norm", "kv_norm")))
               for m in model.modules())


def chosen(args):
    """(model, variant) of this run."""
    for i, name in enumerate(MODELS):
        kind = MODELS[name][2]
        every = VARIANTS.get(kind, OTHER)
        asked = [a for a in args.names if a.split("/")[0] == name]
        if asked:
            yield from ((name, v) for a in asked for v in ([a.split("/")[1]] if "/" in a else every))
        elif args.names or args.half and i % 2 != args.half - 1:
            continue
        elif args.all:
            yield from ((name, v) for v in every)
        else:
            turn = IN_TURN.get(kind, list(OTHER))
            yield from ((name, v) for v in dict.fromkeys(turn[(i * 2 + k) % len(turn)] for k in range(1 + (kind == "mla"))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--half", type=int)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    part = Part(f"zoo{args.half or ''}")
    rows, found, there = [], 0, 0
    for name, which in chosen(args):
        v = VARIANTS.get(MODELS[name][2], OTHER)[which]
        try:
            model = build(name, v)
            module, given, sample, dynamic = call(name, model, v)
        except Exception as e:
            part.skip(f"{name} {which}: not built: {said(e)}")
            continue
        program = part.export(module, given, v["dialect"], (dynamic,) if v["dynamic"] else None, v["strict"], what=f"{name} {which}")
        if program is None:
            continue
        expected = pairs(model)
        part.try_program(f"{name} {which}", program, sample if v["dynamic"] else given, Wanted(pairs=expected, near=True, verify=True))
        last = part.last
        if last:
            rows.append(f"| {name} | {which} | {last.ops_before} | {last.ops_after} | {last.fused}/{expected} | {last.kind or 'good'} |")
            found, there = found + last.fused, there + expected
    print("| model | variant | ops | after | pairs | |\n|---|---|---|---|---|---|", *rows, sep="\n")
    print(", ".join(f"{sum(r.endswith(f' {k} |') for r in rows)} {k}" for k in ("good", "refused", "broken", "worse", "lost")),
          f"; {found} of {there} pairs fused", sep="")
    part.end()


if __name__ == "__main__":
    main()
