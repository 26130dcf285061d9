/* kernel_host.c - a host of plain loops, tensors in awkward memory, references in float64. */
#include "kernel_host.h"

enum { GUARD = 64, PATTERN = 0xa5 };

/* ---- the host ---- */

static void host_parallel(void *self, int64_t n, int64_t grain, void (*body)(void *, int64_t, int64_t), void *arg)
{
	int64_t pieces = ((Host *)self)->pieces;
	if (pieces > n)
		pieces = n;
	(void)grain;                          /* shorter pieces than asked for find more mistakes */
	for (int64_t i = pieces; i-- > 0;)
		body(arg, n * i / pieces, n * (i + 1) / pieces);
}

static void host_sgemm(void *self, int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t ak,
                       const float *b, int64_t bk,
                       int64_t bj, float *c, int64_t ci, int accumulate)
{
	(void)self;
	CHECK(m > 0 && n > 0);
	CHECK(ci >= n);
	CHECK(ak == 1 ? ai >= k : ai == 1 && ak >= m);        /* as a BLAS has it */
	CHECK(bj == 1 ? bk >= n : bk == 1 && bj >= k);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = accumulate ? (double)c[i * ci + j] : 0;
			for (int64_t x = 0; x < k; x++)
				sum += (double)a[i * ai + x * ak] * (double)b[x * bk + j * bj];
			c[i * ci + j] = (float)sum;
		}
}

static void *host_scratch(void *self, size_t bytes)
{
	Host *h = self;
	void *p;
	if ((int64_t)bytes > h->scratch_left || h->n_blocks == 64)
		return NULL;
	h->scratch_left -= (int64_t)bytes;
	p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
	memset(p, 0xff, bytes);               /* NaN, so that what is read before it is written shows */
	return h->blocks[h->n_blocks++] = p;
}

void host_init(Host *h, int pieces)
{
	*h = (Host){ .api = { h, host_parallel, host_sgemm, host_scratch, NULL }, .pieces = pieces,
	             .scratch_left = INT64_C(1) << 32 };
}

void host_end(Host *h)
{
	while (h->n_blocks)
		free(h->blocks[--h->n_blocks]);
}

/* ---- numbers ---- */

uint64_t random_bits(Random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;   /* splitmix64 */
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

int64_t random_below(Random *r, int64_t n) { return (int64_t)(random_bits(r) % (uint64_t)n); }

double random_number(Random *r)
{
	double v = (double)(int64_t)(random_bits(r) >> 12) / 0x1p52 * 8 - 4;
	return random_below(r, 8) ? v : (double)(int64_t)v;
}

/* Mantissa bits, least exponent of a normal number, largest finite value. */
typedef struct Format { int bits, bottom; double largest; bool infinity; } Format;

static Format format_of(int dtype)
{
	switch (dtype) {
	case GRAFT_DTYPE_f16: return (Format){ 10, -14, 65504, true };
	case GRAFT_DTYPE_bf16: return (Format){ 7, -126, 0x1.fep127, true };
	case GRAFT_DTYPE_f8e4m3fn: return (Format){ 3, -6, 448, false };
	case GRAFT_DTYPE_f8e4m3fnuz: return (Format){ 3, -7, 240, false };
	case GRAFT_DTYPE_f8e5m2: return (Format){ 2, -14, 57344, true };
	case GRAFT_DTYPE_f64: return (Format){ 52, -1022, 0x1.fffffffffffffp1023, true };
	default: return (Format){ 23, -126, 0x1.fffffep127, true };
	}
}

bool is_integer(int dtype) { return dtype <= GRAFT_DTYPE_i64; }

double ulp(int dtype, double v)
{
	Format f = format_of(dtype);
	int e = v == 0 || !isfinite(v) ? f.bottom : ilogb(v);
	return ldexp(1, (e < f.bottom ? f.bottom : e) - f.bits);
}

double rounded(int dtype, double v)
{
	Format f = format_of(dtype);
	double unit = ulp(dtype, v), y;
	if (is_integer(dtype) || dtype == GRAFT_DTYPE_f64 || !isfinite(v) || v == 0)
		return isinf(v) && !f.infinity ? (double)NAN : v;
	y = nearbyint(v / unit) * unit;       /* the default rounding mode: ties to even */
	if (fabs(y) > f.largest)
		return f.infinity ? copysign((double)INFINITY, v) : (double)NAN;
	return y;
}

/* Sign, exponent and fraction of a small float with m mantissa bits of `width` bits in all. */
static double small_float(unsigned bits, int width, int m, int bias)
{
	double sign = bits >> (width - 1) & 1 ? -1 : 1;
	int e = (int)(bits >> m) & ((1 << (width - 1 - m)) - 1);
	double fraction = (double)(bits & ((1u << m) - 1)) / (1 << m);
	return sign * (e ? ldexp(1 + fraction, e - bias) : ldexp(fraction, 1 - bias));
}

static double get_f8(int dtype, unsigned b)
{
	if (dtype == GRAFT_DTYPE_f8e4m3fn)
		return (b & 0x7f) == 0x7f ? (double)NAN : small_float(b, 8, 3, 7);
	if (dtype == GRAFT_DTYPE_f8e4m3fnuz)
		return b == 0x80 ? (double)NAN : small_float(b, 8, 3, 8);
	if ((b & 0x7c) == 0x7c)
		return b & 3 ? (double)NAN : b & 0x80 ? -(double)INFINITY : (double)INFINITY;
	return small_float(b, 8, 2, 15);
}

static double get_half(int dtype, unsigned b)
{
	int m = dtype == GRAFT_DTYPE_f16 ? 10 : 7;
	unsigned top = dtype == GRAFT_DTYPE_f16 ? 0x7c00 : 0x7f80;
	if ((b & top) == top)
		return b & (unsigned)((1 << m) - 1) ? (double)NAN : b & 0x8000 ? -(double)INFINITY : (double)INFINITY;
	return small_float(b, 16, m, dtype == GRAFT_DTYPE_f16 ? 15 : 127);
}

#define GET(type) do { type v; memcpy(&v, p, sizeof v); return (double)v; } while (0)

double element_get(int dtype, const void *p)
{
	uint16_t half;
	switch (dtype) {
	case GRAFT_DTYPE_bool: return *(const unsigned char *)p != 0;
	case GRAFT_DTYPE_u8: GET(uint8_t);
	case GRAFT_DTYPE_i8: GET(int8_t);
	case GRAFT_DTYPE_i16: GET(int16_t);
	case GRAFT_DTYPE_i32: GET(int32_t);
	case GRAFT_DTYPE_i64: GET(int64_t);
	case GRAFT_DTYPE_f32: GET(float);
	case GRAFT_DTYPE_f64: GET(double);
	case GRAFT_DTYPE_f16:
	case GRAFT_DTYPE_bf16:
		memcpy(&half, p, sizeof half);
		return get_half(dtype, half);
	default: return get_f8(dtype, *(const unsigned char *)p);
	}
}

/* The bits of a value that the format has. */
static unsigned small_bits(double v, int width, int m, int bias)
{
	unsigned sign = signbit(v) ? 1u << (width - 1) : 0;
	int e = v == 0 ? -2000 : ilogb(v);
	if (e < 1 - bias)
		return sign | (unsigned)ldexp(fabs(v), bias - 1 + m);
	return sign | (((unsigned)(e + bias) << m) + (unsigned)(ldexp(fabs(v), m - e) - (1 << m)));
}

static void put_small(int dtype, void *p, double v)
{
	Format f = format_of(dtype);
	int width = 8 * (int)graft_dtype_size((graft_dtype)dtype);
	int bias = dtype == GRAFT_DTYPE_f8e4m3fn ? 7 : 1 - f.bottom;
	unsigned top = (1u << (width - 1)) - (f.infinity ? 1u << f.bits : 1), bits;
	if (isnan(v))
		bits = dtype == GRAFT_DTYPE_f8e4m3fnuz ? 0x80 : top | 1;
	else if (isinf(v))
		bits = top | (v < 0 ? 1u << (width - 1) : 0);
	else
		bits = small_bits(v, width, f.bits, bias);
	if (dtype == GRAFT_DTYPE_f8e4m3fnuz && v == 0)
		bits = 0;                     /* it has one zero */
	uint16_t two = (uint16_t)bits;
	uint8_t one = (uint8_t)bits;
	memcpy(p, width == 8 ? (void *)&one : (void *)&two, (size_t)width / 8);
	if (!isnan(v) && element_get(dtype, p) != v)
		test_fail(__FILE__, __LINE__, "%g is not a value of %s", v, graft_dtype_name((graft_dtype)dtype));
}

#define PUT(type) do { type v_ = (type)v; memcpy(p, &v_, sizeof v_); return; } while (0)

void element_put(int dtype, void *p, double v)
{
	switch (dtype) {
	case GRAFT_DTYPE_bool:
	case GRAFT_DTYPE_u8: PUT(uint8_t);
	case GRAFT_DTYPE_i8: PUT(int8_t);
	case GRAFT_DTYPE_i16: PUT(int16_t);
	case GRAFT_DTYPE_i32: PUT(int32_t);
	case GRAFT_DTYPE_i64: PUT(int64_t);
	case GRAFT_DTYPE_f32: PUT(float);
	case GRAFT_DTYPE_f64: PUT(double);
	default: put_small(dtype, p, v);
	}
}

/* ---- tensors ---- */

static void *plain_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (!p)
		abort();
	return p;
}

static void lay_out(Random *r, Box *b, Layout layout, int64_t *span, int64_t *origin)
{
	int order[GRAFT_MAX_RANK];
	int64_t step = layout == GAPS ? 2 : 1;
	for (int i = 0; i < b->t.rank; i++)
		order[i] = b->t.rank - 1 - i;
	for (int i = b->t.rank - 1; layout == PERMUTED && i > 0; i--) {
		int j = (int)random_below(r, i + 1), t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	*origin = 0;
	for (int i = 0; i < b->t.rank; i++) {
		int64_t n = b->shape[order[i]];
		if (layout == EXPANDED && random_below(r, 2)) {
			b->stride[order[i]] = 0;
			continue;
		}
		b->stride[order[i]] = step;
		if (layout == NEGATIVE && random_below(r, 2) && n > 0) {
			b->stride[order[i]] = -step;
			*origin += (n - 1) * step;
		}
		step *= n;
		step += layout == GAPS && n > 1 ? random_below(r, 3) : 0;
	}
	*span = b->size ? step : 0;
}

static double random_value(Random *r, int dtype)
{
	double v = random_number(r);
	switch (dtype) {
	case GRAFT_DTYPE_bool: return v > 0;
	case GRAFT_DTYPE_u8: return floor(fabs(v) * 10);
	case GRAFT_DTYPE_i8:
	case GRAFT_DTYPE_i16:
	case GRAFT_DTYPE_i32:
	case GRAFT_DTYPE_i64: return floor(v * 10);
	case GRAFT_DTYPE_f64: return v;
	default: return rounded(dtype, v);
	}
}

Box *box_new(Random *r, int dtype, int rank, const int64_t *shape, Layout layout)
{
	Box *b = plain_alloc(sizeof *b);
	int64_t span, origin, item = (int64_t)graft_dtype_size((graft_dtype)dtype);
	memset(b, 0, sizeof *b);
	b->t = (graft_tensor){ NULL, b->shape, b->stride, rank, dtype };
	b->size = 1;
	for (int i = 0; i < rank; i++)
		b->size *= b->shape[i] = shape[i];
	lay_out(r, b, layout, &span, &origin);
	b->bytes = (size_t)(span * item) + 2 * GUARD;
	b->memory = plain_alloc(b->bytes);
	b->before = plain_alloc(b->bytes);
	memset(b->memory, PATTERN, b->bytes);
	b->t.data = b->size ? b->memory + GUARD + origin * item : NULL;
	for (int64_t i = 0; i < b->size; i++)
		box_put(b, i, random_value(r, dtype));
	return b;
}

Box *box_scalar(int dtype, double v)
{
	Random r = { 1 };
	Box *b = box_new(&r, dtype, 0, NULL, DENSE);
	box_put(b, 0, v);
	return b;
}

Box *box_vector(int dtype, int64_t n, const double *v)
{
	Random r = { 1 };
	Box *b = box_new(&r, dtype, 1, &n, DENSE);
	for (int64_t i = 0; v && i < n; i++)
		box_put(b, i, v[i]);
	return b;
}

void box_free(Box *b)
{
	free(b->memory);
	free(b->before);
	free(b);
}

void box_coordinates(const Box *b, int64_t index, int64_t *at)
{
	for (int i = b->t.rank; i-- > 0; index /= b->shape[i])
		at[i] = index % b->shape[i];
}

void *box_at(const Box *b, int64_t index)
{
	int64_t at[GRAFT_MAX_RANK], offset = 0;
	box_coordinates(b, index, at);
	for (int i = 0; i < b->t.rank; i++)
		offset += at[i] * b->stride[i];
	return (char *)b->t.data + offset * (int64_t)graft_dtype_size((graft_dtype)b->t.dtype);
}

double box_get(const Box *b, int64_t index) { return element_get(b->t.dtype, box_at(b, index)); }
void box_put(Box *b, int64_t index, double v) { element_put(b->t.dtype, box_at(b, index), v); }

int64_t box_integer(const Box *b, int64_t index)
{
	int64_t v;
	CHECK_INT(b->t.dtype, GRAFT_DTYPE_i64);
	memcpy(&v, box_at(b, index), sizeof v);
	return v;
}

double box_get_broadcast(const Box *b, const Box *to, int64_t index)
{
	int64_t at[GRAFT_MAX_RANK], own = 0;
	box_coordinates(to, index, at);
	for (int i = 0; i < b->t.rank; i++)
		own = own * b->shape[i] + (b->shape[i] == 1 ? 0 : at[to->t.rank - b->t.rank + i]);
	return box_get(b, own);
}

/* The outputs' elements are made like before; then all bytes must be. */
static void check_only_elements(Box *b)
{
	size_t item = graft_dtype_size((graft_dtype)b->t.dtype);
	for (int64_t i = 0; i < b->size; i++) {
		unsigned char *at = box_at(b, i);
		memcpy(b->before + (at - b->memory), at, item);
	}
	CHECK(memcmp(b->before, b->memory, b->bytes) == 0);
}

static int launch(graft_launch_fn kernel, Host *h, Box *const *in, int n_in, Box *const *out, int n_out,
                  const graft_attr *attr,
                  int n_attr)
{
	graft_tensor ins[16], outs[4];
	graft_launch l = { sizeof l, n_in, n_out, n_attr, ins, outs, attr, NULL, &h->api, h->message,
	                  sizeof h->message };
	int status;
	CHECK(n_in <= 16 && n_out <= 4);
	for (int i = 0; i < n_in; i++)
		ins[i] = in[i]->t;
	for (int i = 0; i < n_out; i++) {
		outs[i] = out[i]->t;
		memcpy(out[i]->before, out[i]->memory, out[i]->bytes);
	}
	for (int i = 0; i < n_in; i++)
		if (in[i]->memory)
			memcpy(in[i]->before, in[i]->memory, in[i]->bytes);
	status = kernel(&l);
	host_end(h);
	for (int i = 0; i < n_out; i++)
		check_only_elements(out[i]);
	for (int i = 0; i < n_in; i++)
		CHECK(!in[i]->memory || memcmp(in[i]->before, in[i]->memory, in[i]->bytes) == 0);
	return status;
}

void run_kernel(graft_launch_fn kernel, int pieces, Box *const *in, int n_in, Box *const *out, int n_out,
                const graft_attr *attr,
                int n_attr)
{
	Host h;
	int status;
	host_init(&h, pieces);
	status = launch(kernel, &h, in, n_in, out, n_out, attr, n_attr);
	if (status)
		test_fail(__FILE__, __LINE__, "the kernel failed: %s", h.message);
}

int fail_kernel(graft_launch_fn kernel, Host *h, Box *const *in, int n_in, Box *const *out, int n_out,
                const graft_attr *attr,
                int n_attr)
{
	int status = launch(kernel, h, in, n_in, out, n_out, attr, n_attr);
	CHECK(status != 0);
	return status;
}

bool close_to(int dtype, double got, double want, double ulps, double slack)
{
	if (isinf(rounded(dtype, want)))
		want = rounded(dtype, want);
	if (isnan(want) || isinf(want))
		return isnan(want) ? isnan(got) : got == want;
	if (is_integer(dtype))
		return got == want;
	return fabs(got - want) <= ulps * ulp(dtype, want) + slack;
}

bool same_bits(const Box *a, const Box *b)
{
	size_t item = graft_dtype_size((graft_dtype)a->t.dtype);
	bool same = a->size == b->size && a->t.dtype == b->t.dtype;
	for (int64_t i = 0; same && i < a->size; i++)
		same = memcmp(box_at(a, i), box_at(b, i), item) == 0;
	return same;
}
