/* pack.c - the kernel packs that the probe is tested against: a good one, and one for each way to be bad.
 *
 * Compiled once for each, with PACK_<name> defined (Makefile.inc). What a pack changes stands in one place, under its
 * name.
 */
#include <graft/plugin.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#define ABI GRAFT_PACK_ABI
#define NAME "test"
#define VERSION "1.0"
#define KERNEL "fused_mla_dual_rms_norm"
#define SIGNATURE \
	"fused_mla_dual_rms_norm(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, kv_eps: float, round: late|early}"
#define ROUNDS (GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY)
#define FLAGS (GRAFT_KERNEL_ANY_STRIDE | GRAFT_KERNEL_ODD_LAST)
#define ARCHS "cpu,gfx942"
#define MAX_LAST 8192
#define MAX_ROWS 0
#define MAX_ROW_STRIDE 0
#define N_AGAIN 2
#define STRUCT_SIZE sizeof(graft_pack)
#define LAUNCH launch_dual
#define ROWS rows
#define FACTOR 1.0f

#if defined PACK_older                        /* has not got the kernel */
#undef KERNEL
#undef SIGNATURE
#undef VERSION
#define KERNEL "layer_norm"
#define SIGNATURE "layer_norm(x, w) -> (y) {eps: float}"
#define VERSION "0.9"
#elif defined PACK_renamed                    /* has it under a private name, as a new version of a library may */
#undef KERNEL
#define KERNEL "_fused_mla_dual_rms_norm"
#elif defined PACK_norms                      /* only what a fused node can be lowered to */
#undef KERNEL
#undef SIGNATURE
#undef LAUNCH
#define KERNEL "rms_norm"
#define SIGNATURE "rms_norm(x, w?) -> (y) {eps: float, round: late|early}"
#define LAUNCH launch_norm
#elif defined PACK_signature                  /* has the name, and takes other things in another order */
#undef SIGNATURE
#define SIGNATURE "fused_mla_dual_rms_norm(q_out, kv_out, q, q_w, q_eps, kv, kv_w, kv_eps) -> ()"
#elif defined PACK_abi
#undef ABI
#define ABI 2
#elif defined PACK_truncated                  /* one row less than there were */
#undef N_AGAIN
#define N_AGAIN 3
#elif defined PACK_smaller                    /* compiled against a header with other structs */
#undef STRUCT_SIZE
#define STRUCT_SIZE (sizeof(graft_pack) - 8)
#elif defined PACK_arch
#undef ARCHS
#define ARCHS "gfx90a, gfx942"
#elif defined PACK_limit
#undef MAX_LAST
#undef MAX_ROWS
#undef MAX_ROW_STRIDE
#define MAX_LAST 1024
#define MAX_ROWS 4096
#define MAX_ROW_STRIDE 2112
#elif defined PACK_plain                      /* dense rows of even length only */
#undef FLAGS
#define FLAGS 0
#elif defined PACK_noearly
#undef ROUNDS
#define ROUNDS GRAFT_ROUND_LATE
#elif defined PACK_wrong
#undef FACTOR
#define FACTOR 1.125f
#elif defined PACK_crash_call
#undef LAUNCH
#define LAUNCH launch_crash
#elif defined PACK_hang_call
#undef LAUNCH
#define LAUNCH launch_hang
#elif defined PACK_refuse                     /* takes it, and then does not */
#undef LAUNCH
#define LAUNCH launch_refuse
#elif defined PACK_wild                       /* a table that points to where nothing is */
#undef ROWS
#define ROWS ((const graft_kernel *)16)
#elif defined PACK_unnamed                    /* a string that is none */
#undef KERNEL
#define KERNEL ((const char *)24)
#elif defined PACK_nolaunch
#undef LAUNCH
#define LAUNCH NULL
#endif

/* How often the table was asked for, and the kernel run: for tests of what is remembered. */
EXPORT extern atomic_int graft_test_calls, graft_test_launches;
atomic_int graft_test_calls, graft_test_launches;

/* ---- the kernel: two norms, row by row --------------------------------------------------------------------- */

static float from_bits(uint32_t u)
{
	float v;
	memcpy(&v, &u, sizeof v);
	return v;
}

static float load(const graft_tensor *t, int64_t i)
{
	if (t->dtype == GRAFT_DTYPE_f32)
		return ((const float *)t->data)[i];
	return from_bits((uint32_t)((const uint16_t *)t->data)[i] << 16);
}

/* To nearest even. */
static uint16_t to_bf16(float v)
{
	uint32_t u;
	memcpy(&u, &v, sizeof u);
	return isnan(v) ? 0x7fc0 : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float rounded(const graft_tensor *t, float v)
{
	return t->dtype == GRAFT_DTYPE_f32 ? v : from_bits((uint32_t)to_bf16(v) << 16);
}

static void store(const graft_tensor *t, int64_t i, float v)
{
	if (t->dtype == GRAFT_DTYPE_f32)
		((float *)t->data)[i] = v;
	else
		((uint16_t *)t->data)[i] = to_bf16(v);
}

/* The element where row r of t begins. */
static int64_t row_start(const graft_tensor *t, int64_t r)
{
	int64_t at = 0;
	for (int32_t i = t->rank - 2; i >= 0; r /= t->shape[i--])
		at += r % t->shape[i] * t->stride[i];
	return at;
}

static void norm_row(const graft_tensor *x, const graft_tensor *w, const graft_tensor *y, int64_t r, float eps,
                     int early)
{
	int64_t n = x->shape[x->rank - 1], from = row_start(x, r), to = row_start(y, r);
	float sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += load(x, from + i) * load(x, from + i);
	float scale = FACTOR / sqrtf(sum / (float)n + eps);
	for (int64_t i = 0; i < n; i++) {
		float v = load(x, from + i) * scale;
		store(y, to + i, (early ? rounded(x, v) : v) * load(w, i));
	}
}

static void norm(const graft_tensor *x, const graft_tensor *w, const graft_tensor *y, double eps, int early)
{
	int64_t n = 1;
	for (int32_t i = 0; i + 1 < x->rank; i++)
		n *= x->shape[i];
	for (int64_t r = 0; r < n; r++)
		norm_row(x, w, y, r, (float)eps, early);
}

__attribute__((unused)) static int launch_dual(const graft_launch *l)
{
	atomic_fetch_add(&graft_test_launches, 1);
	for (int k = 0; k < 2; k++)
		norm(&l->in[2 * k], &l->in[2 * k + 1], &l->out[k], l->attr[k].f, l->attr[2].i == 1);
	return 0;
}

__attribute__((unused)) static int launch_norm(const graft_launch *l)
{
	norm(&l->in[0], &l->in[1], &l->out[0], l->attr[0].f, l->attr[1].i == 1);
	return 0;
}

__attribute__((unused)) static int launch_crash(const graft_launch *l)
{
	(void)l;
	raise(SIGSEGV);
	return 0;
}

__attribute__((unused)) static int launch_hang(const graft_launch *l)
{
	(void)l;
	return pause();
}

__attribute__((unused)) static int launch_refuse(const graft_launch *l)
{
	strncpy(l->message, "no more than two cores here", l->message_size - 1);
	return GRAFT_E_UNSUPPORTED;
}

/* ---- the table --------------------------------------------------------------------------------------------- */

__attribute__((unused)) static const graft_kernel rows[] = {
	{ KERNEL, SIGNATURE, 3, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32) | GRAFT_DTYPE_BIT(GRAFT_DTYPE_bf16), ROUNDS,
	  FLAGS, ARCHS, MAX_LAST, MAX_ROWS, MAX_ROW_STRIDE, LAUNCH },
	{ "group_norm", "group_norm(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, 0, "*", 0, 0, 0,
	  launch_refuse },
};

__attribute__((unused)) static const graft_pack table = {
	GRAFT_PACK_MAGIC, ABI, STRUCT_SIZE, sizeof(graft_kernel), NAME, VERSION, 2, N_AGAIN, ROWS,
};

EXPORT const graft_pack *graft_pack_v1(void);

#ifndef PACK_nosymbol
const graft_pack *graft_pack_v1(void)
{
	atomic_fetch_add(&graft_test_calls, 1);
#if defined PACK_slow
	usleep(20000);
#endif
#if defined PACK_null
	return NULL;
#elif defined PACK_crash_table
	abort();
#else
	return &table;
#endif
}
#endif

#if defined PACK_crash_load
__attribute__((constructor)) static void crash(void) { raise(SIGSEGV); }
#elif defined PACK_exit_load
__attribute__((constructor)) static void leave(void) { _exit(3); }
#elif defined PACK_hang_load
__attribute__((constructor)) static void hang(void) { for (;;) pause(); }
#endif
