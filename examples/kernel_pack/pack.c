/* pack.c - a whole kernel pack: one kernel, rms_norm for float32 on the CPU. Copy it and put your own in its place.
 *
 *     make && graft probe --kernels ./example.so --isolated
 */
#include <graft/plugin.h>
#include <math.h>
#include <stdio.h>

/* 1. The kernel. It gets what the op's row says, in that order: operands x and w (w may be missing), attributes eps and
 * round.
 *    The probe has checked what the row below claims; what a row cannot claim, the kernel checks and says itself. */

static int64_t rows_of(const graft_tensor *t)
{
	int64_t n = 1;
	for (int32_t i = 0; i + 1 < t->rank; i++)
		n *= t->shape[i];
	return n;
}

/* Where row r begins: strides are in elements, and rows may be any distance apart. */
static float *row_of(const graft_tensor *t, int64_t r)
{
	float *start = t->data;
	for (int32_t i = t->rank - 2; i >= 0; r /= t->shape[i--])
		start += r % t->shape[i] * t->stride[i];
	return start;
}

static void norm_row(const float *x, const float *w, float *y, int64_t n, float eps)
{
	float sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	float scale = 1 / sqrtf(sum / (float)n + eps);
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] * scale * (w ? w[i] : 1);
}

/* What one thread of the host does: rows begin to end. */
static void norm_rows(void *arg, int64_t begin, int64_t end)
{
	const graft_launch *l = arg;
	const graft_tensor *x = &l->in[0], *w = &l->in[1], *y = &l->out[0];
	int has_weight = l->n_in > 1 && w->dtype != GRAFT_DTYPE_COUNT;
	for (int64_t r = begin; r < end; r++)
		norm_row(row_of(x, r), has_weight ? w->data : NULL, row_of(y, r), x->shape[x->rank - 1],
		         (float)l->attr[0].f);
}

static int rms_norm(const graft_launch *l)
{
	const graft_tensor *x = &l->in[0];
	if (x->rank < 1 || x->stride[x->rank - 1] != 1) {
		snprintf(l->message, l->message_size, "elements of a row must be neighbours");
		return GRAFT_E_UNSUPPORTED;
	}
	l->host->parallel(l->host->self, rows_of(x), 16, norm_rows, (void *)(uintptr_t)l);
	return GRAFT_OK;
}

/* 2. The table: what the kernel can do. Claim nothing that is not so: the self test looks. */

static const graft_kernel kernels[] = {
	{
		.name = "rms_norm",
		/* from `graft ops --signatures` */
		.signature = "rms_norm(x, w?) -> (y) {eps: float, round: late|early}",
		.version = 1,
		.dtypes = GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32),
		.rounds = GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY,       /* the same thing in float32 */
		.flags = GRAFT_KERNEL_ANY_STRIDE | GRAFT_KERNEL_ODD_LAST,
		.archs = "cpu",
		.launch = rms_norm,
	},
};

static const graft_pack pack = {
	.magic = GRAFT_PACK_MAGIC,
	.abi = GRAFT_PACK_ABI,
	.struct_size = sizeof(graft_pack),
	.kernel_size = sizeof(graft_kernel),
	.name = "example",
	.version = "1.0",
	.n_kernels = sizeof kernels / sizeof *kernels,
	.n_kernels_again = sizeof kernels / sizeof *kernels,
	.kernels = kernels,
};

/* 3. The one symbol. */

__attribute__((visibility("default"))) const graft_pack *graft_pack_v1(void)
{
	return &pack;
}
