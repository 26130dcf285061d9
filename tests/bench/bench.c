/* bench.c - the figures of docs/performance.md: ratios measured in one run, none of them a test.
 *
 *     bench GRAFT GEN FOLDER      the tool, tests/gen_layers.sh, a folder for files
 *
 * Whole processes are timed from outside (wall time and peak memory as the kernel accounts them), alternating, the
 * median of several.
 */
#include <dlfcn.h>
#include <graft/graft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 7 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, ascending);
	return v[n / 2];
}

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

/* Runs a shell command, its output thrown away; wall seconds, and the peak memory of the largest process in bytes. */
static double timed(const char *command, double *peak)
{
	double start = now();
	pid_t pid = fork();
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(126);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	int status;
	struct rusage usage;
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || status)
		die(command);
	*peak = (double)usage.ru_maxrss * 1024;
	return now() - start;
}

static double file_size(const char *path)
{
	struct stat s;
	if (stat(path, &s))
		die(path);
	return (double)s.st_size;
}

/* ---- the tool on graphs of many layers ---- */

static double optimize_time(const char *graft, const char *dir, int layers, double *peak)
{
	char command[2048];
	snprintf(command, sizeof command,
	         "exec %s opt %s/g%d.json -O2 --expect fuse_mla_dual_rms_norm=%d -o %s/o%d.json", graft, dir, layers,
	         layers, dir, layers);
	return timed(command, peak);
}

static void bench_files(const char *graft, const char *gen, const char *dir)
{
	char command[2048], path[1024];
	double peak, graft61[RUNS], graft610[RUNS], python61[RUNS], peak610 = 0;
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof command, "%s %d > %s/g%d.json", gen, i ? 610 : 61, dir, i ? 610 : 61);
		timed(command, &peak);
	}
	snprintf(command, sizeof command,
	         "cd %s && exec python3 -c \"import json;json.dump(json.load(open('g61.json')),open('p61.json','w'))\"",
	         dir);
	for (int i = -1; i < RUNS; i++) {
		int at = i < 0 ? 0 : i;
		graft61[at] = optimize_time(graft, dir, 61, &peak);
		python61[at] = timed(command, &peak);
		graft610[at] = optimize_time(graft, dir, 610, &peak610);
	}
	double g61 = median(graft61, RUNS), p61 = median(python61, RUNS), g610 = median(graft610, RUNS);
	snprintf(path, sizeof path, "%s/g610.json", dir);
	double size = file_size(path);
	printf("61 layers, load + -O2 + write             %8.1f ms\n", g61 * 1e3);
	printf("  in ratio to python3 json load + dump    %8.3f     (python3: %.1f ms)\n", g61 / p61, p61 * 1e3);
	printf("610 layers, load + -O2 + write            %8.1f ms\n", g610 * 1e3);
	printf("  in ratio to 61 layers                   %8.2f\n", g610 / g61);
	printf("  peak memory in ratio to the file        %8.2f     (%.1f MB, file %.1f MB)\n", peak610 / size,
	       peak610 / 1e6, size / 1e6);
}

/* ---- the block on the CPU against the sgemm calls it contains ---- */

typedef void (*Sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);

enum { T = 128, ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef struct Product { int count, m, n, k; } Product;

/* As linear layers and attention of examples/mla_block.graft, T rows. */
static const Product products[] = {
	{ 1, T, 2112, 7168 }, { 1, T, 24576, 1536 }, { 1, T, 32768, 512 }, { 1, T, 7168, 16384 },
	{ 128, T, T, 192 }, { 128, T, 128, T },
};

static float *filled(size_t n)
{
	float *p = malloc(n * sizeof *p);
	for (size_t i = 0; p && i < n; i++)
		p[i] = (float)(i % 97) * 0.01f - 0.4f;
	return p ? p : (die("no memory left"), NULL);
}

static double bare_sgemm(Sgemm sgemm)
{
	double total = 0;
	for (size_t p = 0; p < sizeof products / sizeof *products; p++) {
		const Product *s = &products[p];
		size_t m = (size_t)s->m, n = (size_t)s->n, k = (size_t)s->k;
		float *a = filled(m * k), *b = filled(n * k), *c = filled(m * n);
		double start = now();
		for (int i = 0; i < s->count; i++)
			sgemm(ROW_MAJOR, NO_TRANS, TRANS, s->m, s->n, s->k, 1, a, s->k, b, s->k, 0, c, s->n);
		total += now() - start;
		free(a), free(b), free(c);
	}
	return total;
}

static graft_plan *block_plan(graft_context *ctx, graft_graph **g)
{
	const char *bind[] = { "T=128", NULL };
	graft_plan_options options = { .struct_size = sizeof options, .random = true, .seed = 1, .bind = bind };
	graft_plan *plan;
	graft_error err;
	if (graft_graph_load(ctx, "build/bench/block_f32.graft", g, &err) || graft_optimize(*g, NULL, NULL, &err) ||
	    graft_plan_new(*g, &options, NULL, &plan, &err))
		die(err.message);
	return plan;
}

static void bench_block(void)
{
	graft_context *ctx;
	graft_graph *g;
	graft_error err;
	void *blas = dlopen("libopenblas.so.0", RTLD_NOW);
	Sgemm sgemm = blas ? (Sgemm)dlsym(blas, "cblas_sgemm") : NULL;
	if (!sgemm || graft_context_new(NULL, &ctx, &err))
		die("no OpenBLAS here");
	graft_plan *plan = block_plan(ctx, &g);
	double block[RUNS], bare[RUNS];
	for (int i = -1; i < RUNS; i++) {
		int at = i < 0 ? 0 : i;
		bare[at] = bare_sgemm(sgemm);
		double start = now();
		if (graft_plan_run(plan, &err))
			die(err.message);
		block[at] = now() - start;
	}
	double run = median(block, RUNS), only = median(bare, RUNS);
	printf("MLA block, f32, T=128, one run            %8.1f ms\n", run * 1e3);
	printf("  in ratio to its bare sgemm calls        %8.3f     (sgemm: %.1f ms)\n", run / only, only * 1e3);
	printf("  storage with reuse, in ratio to without %8.3f     (%.1f MB)\n",
	       (double)graft_plan_peak(plan) / (double)graft_plan_total(plan), (double)graft_plan_peak(plan) / 1e6);
	graft_plan_free(plan);
	graft_graph_free(g);
	graft_context_free(ctx);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die("usage: bench GRAFT GEN FOLDER");
	bench_files(argv[1], argv[2], argv[3]);
	bench_block();
	return 0;
}
