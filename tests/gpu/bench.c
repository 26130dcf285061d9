/* bench.c - what `make bench-hip` measures on a GPU, side by side in one run.
 *
 *     bench [smoke] [device=hip:LIB] [block=GRAPH] [peers=FILE] [json=FILE]
 *
 * The paired norms at DeepSeek's sizes (1536 and 512, bf16, both pieces of rows of 2112): fused, as two norms, and a
 * copy of as many bytes. Each is recorded as a graph of one call for each of several buffers, so that small sizes see
 * launches and caches as a decoding step does and large ones see memory; the time is the median of 20 replays.
 * peers=FILE has lines `T eager compiled triton4 triton8 copy` in microseconds, measured by others just before. Then a
 * block of attention through graft, replayed, against the sum of its kernels.
 *
 * smoke: tiny sizes, for looking at what is printed. The times of a simulator mean nothing.
 */
#include <graft/graft.h>
#include <graft/plugin.h>
#include <hip/hip_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { Q = 1536, KV = 512, ROW = Q + KV + 64, SIZES = 8, BUFFERS = 64, WARM = 3, REPLAYS = 20 };

GRAFT_API const graft_pack *graft_pack_v1(void);

/* Microseconds by others; 0: not measured. */
typedef struct Peers { double eager, compiled, triton4, triton8, copy; } Peers;

/* One number of tokens. */
typedef struct Line {
	int64_t tokens;
	double fused, two, copy;              /* microseconds */
	long launches[2], copies[2];          /* of two norms; of the fused one */
	Peers peers;
} Line;

typedef struct Block {
	int64_t tokens;
	double replay, sum;                   /* microseconds */
	int launches[2], copies[2];           /* not fused; fused */
} Block;

typedef struct Bench {
	bool smoke;
	const char *device, *block, *peers, *json;
	hipStream_t stream;
	hipEvent_t begin, end;
	char machine[512];
	Line line[SIZES];
	Block blocks[SIZES];
	int n_lines, n_blocks;
	bool simulated;
} Bench;

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench-hip: %s: %s\n", what, why);
	exit(1);
}

#define MUST(call, ...) must(call(__VA_ARGS__), #call)        /* with at least one argument */
static void must(hipError_t e, const char *call)
{
	if (e != hipSuccess)
		die(call, hipGetErrorString(e));
}

/* ---- measuring --------------------------------------------------------------------------------------------- */

typedef struct Buffers {
	int64_t tokens;
	int n;
	char *x, *q, *kv, *from, *to, *q_w, *kv_w;
	size_t x_size, q_size, kv_size, copied;       /* of one buffer */
} Buffers;

typedef void Call(const Bench *b, const Buffers *m, int i);

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static hipGraph_t record(const Bench *b, const Buffers *m, Call *call, int n)
{
	hipGraph_t graph;
	MUST(hipStreamBeginCapture, b->stream, hipStreamCaptureModeThreadLocal);
	for (int i = 0; i < n; i++)
		call(b, m, i);
	MUST(hipStreamEndCapture, b->stream, &graph);
	return graph;
}

static double replay(const Bench *b, hipGraphExec_t graph)
{
	float ms = 0;
	MUST(hipEventRecord, b->begin, b->stream);
	MUST(hipGraphLaunch, graph, b->stream);
	MUST(hipEventRecord, b->end, b->stream);
	MUST(hipEventSynchronize, b->end);
	MUST(hipEventElapsedTime, &ms, b->begin, b->end);
	return (double)ms * 1e3;
}

/* Microseconds of one call. Called once before, so that nothing has to be loaded while it is recorded. */
static double measure(const Bench *b, const Buffers *m, Call *call)
{
	call(b, m, 0);
	MUST(hipStreamSynchronize, b->stream);
	hipGraph_t graph = record(b, m, call, m->n);
	hipGraphExec_t ready;
	double us[REPLAYS];
	int replays = b->smoke ? 2 : REPLAYS;
	MUST(hipGraphInstantiate, &ready, graph, NULL, NULL, 0);
	for (int i = 0; i < (b->smoke ? 1 : WARM); i++)
		replay(b, ready);
	for (int i = 0; i < replays; i++)
		us[i] = replay(b, ready) / m->n;
	MUST(hipGraphExecDestroy, ready);
	MUST(hipGraphDestroy, graph);
	qsort(us, (size_t)replays, sizeof *us, ascending);
	return us[replays / 2];
}

/* Kernels that one call launches, and what else it puts on the stream. */
static void count(const Bench *b, const Buffers *m, Call *call, long *kernels, long *others)
{
	hipGraph_t graph = record(b, m, call, 1);
	hipGraphNode_t node[16];
	size_t n = sizeof node / sizeof *node;
	MUST(hipGraphGetNodes, graph, node, &n);
	*kernels = *others = 0;
	for (size_t i = 0; i < n; i++) {
		hipGraphNodeType type;
		MUST(hipGraphNodeGetType, node[i], &type);
		*(type == hipGraphNodeTypeKernel ? kernels : others) += 1;
	}
	MUST(hipGraphDestroy, graph);
}

/* ---- the norms --------------------------------------------------------------------------------------------- */

static graft_launch_fn kernel(const char *name)
{
	const graft_pack *pack = graft_pack_v1();
	for (uint32_t i = 0; i < pack->n_kernels; i++)
		if (!strcmp(pack->kernels[i].name, name))
			return pack->kernels[i].launch;
	die("no kernel", name);
}

static void launch(const Bench *b, const char *name, const graft_tensor *in, const graft_tensor *out, int norms)
{
	static const graft_attr eps = { .given = 1, .f = 1e-6 }, late = { .given = 1 };
	graft_attr attr[3] = { eps, norms == 2 ? eps : late, late };
	char message[256] = "";
	graft_launch l = { .struct_size = sizeof l, .n_in = 2 * norms, .n_out = norms, .n_attr = norms + 1, .in = in,
	                   .out = out, .attr = attr, .stream = b->stream, .message = message,
	                   .message_size = sizeof message };
	if (kernel(name)(&l))
		die(name, message);
}

typedef struct Operands {
	int64_t shape[2][2], stride[2], dense[2][2], length[2];
	graft_tensor in[4], out[2];           /* q, its weight, kv, its weight */
} Operands;

static void operands(const Buffers *m, int i, Operands *o)
{
	static const int64_t one = 1;
	char *x = m->x + (size_t)i * m->x_size;
	char *data[2] = { x, x + 2 * Q }, *w[2] = { m->q_w, m->kv_w };
	char *y[2] = { m->q + (size_t)i * m->q_size, m->kv + (size_t)i * m->kv_size };
	o->stride[0] = ROW, o->stride[1] = 1;
	for (int k = 0; k < 2; k++) {
		o->length[k] = k ? KV : Q;
		o->shape[k][0] = m->tokens, o->shape[k][1] = o->length[k];
		o->dense[k][0] = o->length[k], o->dense[k][1] = 1;
		o->in[2 * k] = (graft_tensor){ data[k], o->shape[k], o->stride, 2, GRAFT_DTYPE_bf16 };
		o->in[2 * k + 1] = (graft_tensor){ w[k], &o->length[k], &one, 1, GRAFT_DTYPE_bf16 };
		o->out[k] = (graft_tensor){ y[k], o->shape[k], o->dense[k], 2, GRAFT_DTYPE_bf16 };
	}
}

static void call_fused(const Bench *b, const Buffers *m, int i)
{
	Operands o;
	operands(m, i, &o);
	launch(b, "fused_mla_dual_rms_norm", o.in, o.out, 2);
}

static void call_two(const Bench *b, const Buffers *m, int i)
{
	Operands o;
	operands(m, i, &o);
	launch(b, "rms_norm", o.in, o.out, 1);
	launch(b, "rms_norm", o.in + 2, o.out + 1, 1);
}

static void call_copy(const Bench *b, const Buffers *m, int i)
{
	size_t at = (size_t)i * m->copied;
	MUST(hipMemcpyAsync, m->to + at, m->from + at, m->copied, hipMemcpyDeviceToDevice, b->stream);
}

static char *memory(size_t size)
{
	void *p;
	MUST(hipMalloc, &p, size);
	return p;
}

/* bf16 numbers between 0.5 and 2, either sign. */
static void fill(char *p, size_t size)
{
	enum { PIECE = 1 << 20 };
	uint16_t *some = malloc(PIECE);
	uint32_t state = 1;
	for (size_t i = 0; some && i < PIECE / sizeof *some; i++) {
		state = state * 1664525 + 1013904223;
		some[i] = (uint16_t)(0x3f00 + (state >> 24) + (state >> 8 & 0x8000));
	}
	if (!some)
		die("fill", "no memory left");
	for (size_t at = 0; at < size; at += PIECE)
		MUST(hipMemcpy, p + at, some, size - at < PIECE ? size - at : PIECE, hipMemcpyHostToDevice);
	free(some);
}

static Buffers buffers(const Bench *b, int64_t tokens)
{
	Buffers m = { .tokens = tokens };
	double wanted = 400e6 / ((double)tokens * ROW * 2 * 2) + 1;
	m.n = b->smoke ? 2 : wanted < 2 ? 2 : wanted > BUFFERS ? BUFFERS : (int)wanted;
	m.x_size = (size_t)tokens * ROW * 2;
	m.q_size = (size_t)tokens * Q * 2;
	m.kv_size = (size_t)tokens * KV * 2;
	m.copied = m.q_size + m.kv_size;
	size_t n = (size_t)m.n;
	m.x = memory(n * m.x_size), m.q = memory(n * m.q_size), m.kv = memory(n * m.kv_size);
	m.from = memory(n * m.copied), m.to = memory(n * m.copied);
	m.q_w = memory(2 * Q), m.kv_w = memory(2 * KV);
	fill(m.x, n * m.x_size), fill(m.from, n * m.copied), fill(m.q_w, 2 * Q), fill(m.kv_w, 2 * KV);
	return m;
}

static void give_back(Buffers *m)
{
	char *all[] = { m->x, m->q, m->kv, m->from, m->to, m->q_w, m->kv_w };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		MUST(hipFree, all[i]);
}

static void bench_norms(Bench *b)
{
	static const int64_t sizes[2][SIZES] = { { 1, 8, 64, 256, 1024, 4096, 16384, 65536 }, { 1, 3 } };
	for (int i = 0; i < SIZES && sizes[b->smoke][i]; i++) {
		Line *line = &b->line[b->n_lines++];
		Buffers m = buffers(b, sizes[b->smoke][i]);
		must(hipDeviceSynchronize(), "hipDeviceSynchronize");
		line->tokens = m.tokens;
		line->fused = measure(b, &m, call_fused);
		line->two = measure(b, &m, call_two);
		line->copy = measure(b, &m, call_copy);
		count(b, &m, call_two, &line->launches[0], &line->copies[0]);
		count(b, &m, call_fused, &line->launches[1], &line->copies[1]);
		give_back(&m);
	}
}

static void read_peers(Bench *b)
{
	FILE *f = b->peers ? fopen(b->peers, "r") : NULL;
	char text[256];
	if (b->peers && !f)
		die(b->peers, "cannot be read");
	while (f && fgets(text, sizeof text, f)) {
		Peers p;
		double tokens;
		if (sscanf(text, "%lf %lf %lf %lf %lf %lf", &tokens, &p.eager, &p.compiled, &p.triton4, &p.triton8,
		           &p.copy) != 6)
			die(b->peers, "a line wants six numbers");
		for (int i = 0; i < b->n_lines; i++)
			if ((double)b->line[i].tokens == tokens)
				b->line[i].peers = p;
	}
	if (f)
		fclose(f);
}

/* ---- the block --------------------------------------------------------------------------------------------- */

typedef struct Graph { graft_context *ctx; graft_graph *g; graft_plan *plan; graft_error err; char bind[32]; } Graph;

/* Plans the block at a number of tokens and runs it; the device measures. */
static void plan_block(const Bench *b, int64_t tokens, bool fused, Graph *s)
{
	const char *bind[] = { s->bind, NULL };
	graft_plan_options o = { .struct_size = sizeof o, .random = true, .seed = 1, .bind = bind,
	                         .device = b->device, .profile = true };
	snprintf(s->bind, sizeof s->bind, "T=%lld", (long long)tokens);
	if (graft_context_new(NULL, &s->ctx, &s->err) || graft_graph_load(s->ctx, b->block, &s->g, &s->err) ||
	    (fused && graft_optimize(s->g, NULL, NULL, &s->err)) ||
	    graft_plan_new(s->g, &o, NULL, &s->plan, &s->err))
		die(b->block, s->err.message);
	for (int i = 0; i < (b->smoke ? 2 : REPLAYS); i++)
		if (graft_plan_run(s->plan, &s->err))
			die(b->block, s->err.message);
}

/* Steps, those that only copy, and their times. */
static double sum_of(const graft_plan *plan, int *launches, int *copies)
{
	const graft_profile *r;
	double sum = 0;
	*launches = *copies = 0;
	for (size_t i = 0; (r = graft_plan_profile(plan, i)); i++) {
		sum += r->seconds;
		*launches += 1;
		*copies += !strcmp(r->op, "clone");
	}
	return sum;
}

static void close_block(Graph *s)
{
	graft_plan_free(s->plan);
	graft_graph_free(s->g);
	graft_context_free(s->ctx);
}

static void bench_block(Bench *b)
{
	static const int64_t sizes[2][SIZES] = { { 1, 16, 128, 1024 }, { 3 } };
	for (int i = 0; i < SIZES && sizes[b->smoke][i]; i++) {
		Block *block = &b->blocks[b->n_blocks++];
		block->tokens = sizes[b->smoke][i];
		for (int fused = 0; fused < 2; fused++) {
			Graph s = { 0 };
			plan_block(b, block->tokens, fused, &s);
			block->sum = sum_of(s.plan, &block->launches[fused], &block->copies[fused]) * 1e6;
			block->replay = graft_plan_seconds(s.plan) * 1e6;
			close_block(&s);
		}
	}
}

/* ---- aims -------------------------------------------------------------------------------------------------- */

typedef struct Aim { char what[96]; double got, most; } Aim;

enum { MOST_AIMS = 5 * SIZES + SIZES };

static void aim(Aim *aims, int *n, const char *what, int64_t tokens, double got, double most)
{
	Aim *a = &aims[(*n)++];
	snprintf(a->what, sizeof a->what, "T=%lld: %s", (long long)tokens, what);
	a->got = got;
	a->most = most;
}

/* got 0: not measured. */
static int aims_of(const Bench *b, Aim *aims)
{
	int n = 0;
	for (int i = 0; i < b->n_lines; i++) {
		const Line *l = &b->line[i];
		const Peers *p = &l->peers;
		double triton = p->triton4 < p->triton8 ? p->triton4 : p->triton8;
		if (l->tokens >= 4096)
			aim(aims, &n, "fused to a copy of the bytes", l->tokens, l->fused / l->copy, 1.04);
		if (l->tokens <= 256)
			aim(aims, &n, "fused to the best Triton", l->tokens, triton > 0 ? l->fused / triton : 0, 1);
		aim(aims, &n, "fused to eager", l->tokens, p->eager > 0 ? l->fused / p->eager : 0, 1 / 2.5);
		aim(aims, &n, "fused to torch.compile", l->tokens, p->compiled > 0 ? l->fused / p->compiled : 0, 1);
		aim(aims, &n, "launches where there were two, and copies", l->tokens,
		    (double)(l->launches[1] + l->copies[1]) + (l->launches[0] == 2 ? 0 : 1), 1);
	}
	for (int i = 0; i < b->n_blocks; i++)
		aim(aims, &n, "the block to the sum of its kernels", b->blocks[i].tokens,
		    b->blocks[i].sum > 0 ? b->blocks[i].replay / b->blocks[i].sum : 0, 1.1);
	return n;
}

static const char *verdict(const Aim *a)
{
	return a->got <= 0 ? "not measured" : a->got <= a->most ? "met" : "missed";
}

/* ---- printing ---------------------------------------------------------------------------------------------- */

static void cell(double us)
{
	if (us > 0)
		printf(" %9.2f", us);
	else
		printf(" %9s", "-");
}

static void print(const Bench *b)
{
	Aim aims[MOST_AIMS];
	int n = aims_of(b, aims);
	printf("%s\n\npaired norms, microseconds\n", b->machine);
	printf("%9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "T", "fused", "two norms", "copy", "in ratio", "eager",
	       "compiled", "triton 4", "triton 8", "copy*");
	for (int i = 0; i < b->n_lines; i++) {
		const Line *l = &b->line[i];
		printf("%9lld", (long long)l->tokens);
		cell(l->fused), cell(l->two), cell(l->copy);
		printf(" %9.3f", l->copy > 0 ? l->fused / l->copy : 0);
		cell(l->peers.eager), cell(l->peers.compiled), cell(l->peers.triton4), cell(l->peers.triton8);
		cell(l->peers.copy);
		printf("\n");
	}
	printf("* the peers' own\n\nthe block, microseconds\n%9s %9s %9s %9s  %s\n", "T", "replayed", "kernels",
	       "in ratio", "launches and copies: not fused, fused");
	for (int i = 0; i < b->n_blocks; i++) {
		const Block *k = &b->blocks[i];
		printf("%9lld %9.2f %9.2f %9.3f  %d and %d, %d and %d\n", (long long)k->tokens, k->replay, k->sum,
		       k->sum > 0 ? k->replay / k->sum : 0, k->launches[0], k->copies[0], k->launches[1], k->copies[1]);
	}
	printf("\naims\n");
	for (int i = 0; i < n; i++)
		printf("%-12s %-56s %7.3f, at most %.3f\n", verdict(&aims[i]), aims[i].what, aims[i].got, aims[i].most);
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */

static void json_lines(const Bench *b, FILE *f)
{
	for (int i = 0; i < b->n_lines; i++) {
		const Line *l = &b->line[i];
		fprintf(f, "%s\n{\"T\": %lld, \"fused\": %.4f, \"two_norms\": %.4f, \"copy\": %.4f, "
		        "\"launches\": [%ld, %ld], \"copies\": [%ld, %ld], ", i ? "," : "", (long long)l->tokens, l->fused, l->two, l->copy,
		        l->launches[0], l->launches[1], l->copies[0], l->copies[1]);
		fprintf(f, "\"eager\": %.4f, \"torch_compile\": %.4f, \"triton_w4\": %.4f, \"triton_w8\": %.4f, "
		        "\"peers_copy\": %.4f}", l->peers.eager, l->peers.compiled, l->peers.triton4, l->peers.triton8,
		        l->peers.copy);
	}
}

static void json_blocks(const Bench *b, FILE *f)
{
	for (int i = 0; i < b->n_blocks; i++) {
		const Block *k = &b->blocks[i];
		fprintf(f, "%s\n{\"T\": %lld, \"replayed\": %.4f, \"kernels\": %.4f, \"launches\": [%d, %d], "
		        "\"copies\": [%d, %d]}", i ? "," : "", (long long)k->tokens, k->replay, k->sum, k->launches[0],
		        k->launches[1], k->copies[0], k->copies[1]);
	}
}

/* Names of devices have no quotes; what would need them is left out. */
static void json_text(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++)
		if (*s >= ' ' && *s != '"' && *s != '\\')
			putc(*s, f);
	putc('"', f);
}

static void write_json(const Bench *b)
{
	Aim aims[MOST_AIMS];
	int n = aims_of(b, aims);
	FILE *f = fopen(b->json, "w");
	if (!f)
		die(b->json, "cannot be written");
	fprintf(f, "{\"unit\": \"microseconds; 0: not measured\", \"machine\": ");
	json_text(f, b->machine);
	fprintf(f, ",\n\"norms\": [");
	json_lines(b, f);
	fprintf(f, "],\n\"block\": [");
	json_blocks(b, f);
	fprintf(f, "],\n\"aims\": [");
	for (int i = 0; i < n; i++)
		fprintf(f, "%s\n{\"what\": \"%s\", \"got\": %.4f, \"most\": %.4f, \"verdict\": \"%s\"}", i ? "," : "",
		        aims[i].what, aims[i].got, aims[i].most, verdict(&aims[i]));
	fprintf(f, "]}\n");
	if (fclose(f))
		die(b->json, "cannot be written");
}

/* ---- the machine ------------------------------------------------------------------------------------------- */

static int attribute(hipDeviceAttribute_t which)
{
	int value = 0;
	if (hipDeviceGetAttribute(&value, which, 0) != hipSuccess)
		(void)hipGetLastError();
	return value;
}

static void describe(Bench *b)
{
	hipDeviceProp_t p;
	int driver = 0, runtime = 0;
	MUST(hipGetDeviceProperties, &p, 0);
	MUST(hipDriverGetVersion, &driver);
	MUST(hipRuntimeGetVersion, &runtime);
	snprintf(b->machine, sizeof b->machine,
	         "%.200s, %d compute units, %.1f GB, core up to %d MHz, memory %d MHz and %d bits, driver %d, runtime %d",
	         p.name, attribute(hipDeviceAttributeMultiprocessorCount), (double)p.totalGlobalMem / 1e9,
	         attribute(hipDeviceAttributeClockRate) / 1000, attribute(hipDeviceAttributeMemoryClockRate) / 1000,
	         attribute(hipDeviceAttributeMemoryBusWidth), driver, runtime);
}

/* Why nothing can be measured; NULL: it can. */
static const char *no_device(void)
{
	int n = 0;
	hipError_t e = hipGetDeviceCount(&n);
	return e != hipSuccess ? hipGetErrorString(e) : n < 1 ? "the HIP runtime has no device" : NULL;
}

static const char *after(const char *text, const char *key)
{
	size_t n = strlen(key);
	return strncmp(text, key, n) ? NULL : text + n;
}

static void read_options(Bench *b, int argc, char **argv)
{
	const char *v;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "smoke"))
			b->smoke = true;
		else if ((v = after(argv[i], "device=")))
			b->device = v;
		else if ((v = after(argv[i], "block=")))
			b->block = v;
		else if ((v = after(argv[i], "peers=")))
			b->peers = v;
		else if ((v = after(argv[i], "json=")))
			b->json = v;
		else
			die(argv[i], "usage: bench [smoke] [device=hip:LIB] [block=GRAPH] [peers=FILE] [json=FILE]");
}

int main(int argc, char **argv)
{
	Bench b = { .device = "hip" };
	read_options(&b, argc, argv);
	const char *why = no_device();
	if (why) {
		printf("bench-hip: not run: %s\n", why);
		return 0;
	}
	describe(&b);
	MUST(hipStreamCreate, &b.stream);
	MUST(hipEventCreate, &b.begin);
	MUST(hipEventCreate, &b.end);
	bench_norms(&b);
	read_peers(&b);
	MUST(hipEventDestroy, b.begin);
	MUST(hipEventDestroy, b.end);
	MUST(hipStreamDestroy, b.stream);
	if (b.block)
		bench_block(&b);
	print(&b);
	if (b.json)
		write_json(&b);
	return 0;
}
