#!/bin/sh
# gen_layers.sh N [DTYPE] - prints a graph of N multi-head latent attention layers with a dense MLP, as native JSON.
awk -v layers="${1:?layers}" -v dtype="${2:-bf16}" '
function param(name, shape) { params = params (params ? ",\n" : "") "  {\"name\":\"" name "\",\"dtype\":\"" dtype "\",\"shape\":[" shape "]}" }
function node(op, operands, results, attrs,    s) {
	gsub(/ /, "\",\"", results)
	s = "  {\"op\":\"" op "\",\"in\":[" operands "],\"out\":[\"" results "\"]"
	if (attrs) s = s ",\"attrs\":{" attrs "}"
	nodes = nodes (n_nodes++ ? ",\n" : "") s "}"
	if (length(nodes) > 100000) { body[++bodies] = nodes; nodes = "" }
}
function v(name) { return "\"" p name "\"" }
BEGIN {
	x = "h"
	node("arange", "", "place", "\"end\":\"T\",\"dtype\":\"f32\"")
	node("unsqueeze", "\"place\"", "row", "\"axis\":1")
	node("arange", "", "index", "\"end\":32,\"dtype\":\"f32\"")
	node("mul", "\"index\",-0.03125", "power")
	node("pow", "10000.0,\"power\"", "freq")
	node("mul", "\"row\",\"freq\"", "angle")
	node("cos", "\"angle\"", "cos")
	node("sin", "\"angle\"", "sin")
	for (i = 0; i < layers; i++) {
		p = "layers." i "."
		param(p "norm_w", "7168"); param(p "qkv_a_w", "2112,7168"); param(p "q_a_norm_w", "1536"); param(p "kv_a_norm_w", "512")
		param(p "q_b_w", "24576,1536"); param(p "kv_b_w", "32768,512"); param(p "o_w", "7168,16384")
		param(p "mlp_norm_w", "7168"); param(p "gate_w", "18432,7168"); param(p "up_w", "18432,7168"); param(p "down_w", "7168,18432")
		node("rms_norm", "\"" x "\"," v("norm_w"), p "x_n", "\"eps\":1e-06,\"round\":\"early\"")
		node("linear", v("x_n") "," v("qkv_a_w"), p "qkv_a")
		node("split", v("qkv_a"), p "q_c " p "kv", "\"sizes\":[1536,576]")
		node("split", v("kv"), p "kv_c " p "k_pe", "\"sizes\":[512,64]")
		node("rms_norm", v("q_c") "," v("q_a_norm_w"), p "q_n", "\"eps\":1e-06,\"round\":\"early\"")
		node("rms_norm", v("kv_c") "," v("kv_a_norm_w"), p "kv_n", "\"eps\":1e-06,\"round\":\"early\"")
		node("linear", v("q_n") "," v("q_b_w"), p "q")
		node("reshape", v("q"), p "q_h", "\"shape\":[-1,128,192]")
		node("transpose", v("q_h"), p "q_t", "\"axis0\":0,\"axis1\":1")
		node("split", v("q_t"), p "q_nope " p "q_pe", "\"sizes\":[128,64]")
		node("rope", v("q_pe") ",\"cos\",\"sin\"", p "q_rot", "\"interleaved\":true")
		node("concat", v("q_nope") "," v("q_rot"), p "q_full", "\"axis\":-1")
		node("linear", v("kv_n") "," v("kv_b_w"), p "kv_up")
		node("reshape", v("kv_up"), p "kv_h", "\"shape\":[-1,128,256]")
		node("transpose", v("kv_h"), p "kv_t", "\"axis0\":0,\"axis1\":1")
		node("split", v("kv_t"), p "k_nope " p "v", "\"sizes\":[128,128]")
		node("unsqueeze", v("k_pe"), p "k_one", "\"axis\":0")
		node("rope", v("k_one") ",\"cos\",\"sin\"", p "k_rot", "\"interleaved\":true")
		node("expand", v("k_rot"), p "k_all", "\"shape\":[128,-1,64]")
		node("concat", v("k_nope") "," v("k_all"), p "k_full", "\"axis\":-1")
		node("scaled_dot_product_attention", v("q_full") "," v("k_full") "," v("v"), p "o", "\"causal\":true")
		node("transpose", v("o"), p "o_t", "\"axis0\":0,\"axis1\":1")
		node("reshape", v("o_t"), p "o_f", "\"shape\":[-1,16384]")
		node("linear", v("o_f") "," v("o_w"), p "attn")
		node("add", "\"" x "\"," v("attn"), p "mid")
		node("rms_norm", v("mid") "," v("mlp_norm_w"), p "mid_n", "\"eps\":1e-06,\"round\":\"early\"")
		node("linear", v("mid_n") "," v("gate_w"), p "gate")
		node("silu", v("gate"), p "act")
		node("linear", v("mid_n") "," v("up_w"), p "up")
		node("mul", v("act") "," v("up"), p "prod")
		node("linear", v("prod") "," v("down_w"), p "down")
		node("add", v("mid") "," v("down"), p "out")
		x = p "out"
	}
	body[++bodies] = nodes
	printf "{\"graft\": 1, \"name\": \"mla_%d_layers\",\n\"symbols\": {\"T\": [1, 65536]},\n", layers
	printf "\"inputs\": [{\"name\":\"h\",\"dtype\":\"%s\",\"shape\":[\"T\",7168]}],\n\"params\": [\n%s\n],\n\"nodes\": [\n", dtype, params
	for (i = 1; i <= bodies; i++) printf "%s", body[i]
	printf "\n],\n\"outputs\": [\"%s\"]}\n", x
}'
