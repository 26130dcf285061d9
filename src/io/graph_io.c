/* graph_io.c - graphs from and to files: which format a text is in, and the public functions that load and save. */
#include "torch.h"
#include <string.h>

/* ---- loading ---- */

static const char *first_letter(const char *text, size_t size)
{
	const char *p = text, *end = text + size;
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p < end ? p : NULL;
}

/* `file` is the arena of the text, which a graph that needs the text takes over. */
static Graph *parse(Job *job, graft_context *ctx, Bytes text, Arena *file, const char *name)
{
	const char *first = first_letter(text.data, text.size);
	if (!first)
		fail_in(job, GRAFT_E_SYNTAX, name, 1, 1, NULL,
		        "the text is empty; wanted a graph, as JSON or in the notation");
	Graph *g;
	if (zip_is(text.data, text.size) || (*first == '{' && torch_is_json(text.data, text.size)))
		g = torch_load(job, ctx, text, file, name);
	else if (*first == '{')
		g = graph_parse_json(job, ctx, text.data, text.size, name);
	else
		g = graph_parse_text(job, ctx, text.data, text.size, name);
	g->checked = g->next_id;              /* each node was checked against its shape rule when it was made */
	graph_verify(g);
	return g;
}

typedef struct LoadArgs {
	graft_context *ctx;
	const char *path;                     /* NULL: from text */
	const char *text, *name;
	size_t size;
	Graph *g;
} LoadArgs;

static void free_arena(void *arena)
{
	arena_free(arena);
}

static void load_body(Job *job, void *arg)
{
	LoadArgs *a = arg;
	Arena *file = NEW(&job->scratch, Arena);
	arena_init(file, job->scratch.mem, job);
	arena_undo(&job->scratch, free_arena, file);
	Bytes text = { a->text, a->size };
	if (a->path) {
		text = file_read(file, a->path);
		a->name = strcmp(a->path, "-") ? a->path : "<stdin>";
	} else if (zip_is(text.data, text.size) || torch_is_json(text.data, text.size)) {
		text.data = arena_copy(file, text.data, text.size);
	}
	Graph *g = parse(job, a->ctx, text, file, a->name);
	g->file = a->path && strcmp(a->path, "-") ? arena_strdup(&g->arena, a->path) : NULL;
	a->g = graph_release(g);
}

static graft_status load(LoadArgs *a, graft_graph **out, graft_error *err)
{
	graft_status status = guarded(context_allocator(a->ctx), load_body, a, err);
	if (!status)
		*out = (graft_graph *)a->g;
	return status;
}

graft_status graft_graph_load(graft_context *ctx, const char *path, graft_graph **out, graft_error *err)
{
	return load(&(LoadArgs){ .ctx = ctx, .path = path }, out, err);
}

graft_status graft_graph_parse(graft_context *ctx, const char *text, size_t size, const char *name, graft_graph **out,
                               graft_error *err)
{
	return load(&(LoadArgs){ .ctx = ctx, .text = text, .size = size, .name = name }, out, err);
}

/* ---- saving ---- */

static const struct { const char *ending; graft_format format; } endings[] = {
	{ ".json", GRAFT_FORMAT_JSON }, { ".graft", GRAFT_FORMAT_TEXT }, { ".dot", GRAFT_FORMAT_DOT },
	{ ".pt2", GRAFT_FORMAT_PT2 },
};

graft_format graft_format_of(const char *path)
{
	size_t n = strlen(path);
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		size_t m = strlen(endings[i].ending);
		if (n > m && !strcmp(path + n - m, endings[i].ending))
			return endings[i].format;
	}
	return GRAFT_FORMAT_AUTO;
}

static graft_format format_of(Job *job, const char *path)
{
	graft_format format = graft_format_of(path);
	if (format == GRAFT_FORMAT_AUTO)
		fail(job, GRAFT_E_USAGE, "unknown output format '%s'; end its name in .json, .graft, .dot or .pt2, or name a format",
		     path);
	return format;
}

typedef struct Sink { void (*write)(struct Sink *, const char *text, size_t size); Job *job; FileOut *file;
                      graft_write_fn fn; void *user; } Sink;

static void to_file(Sink *s, const char *text, size_t size)
{
	file_add(s->file, text, size);
}

static void to_caller(Sink *s, const char *text, size_t size)
{
	if (!s->fn(s->user, text, size))
		fail(s->job, GRAFT_E_IO, "the receiver of the text stopped it");
}

static void flush(void *sink, Text *t)
{
	Sink *s = sink;
	if (t->size)
		s->write(s, t->text, t->size);
	t->size = 0;
}

static void pass_on(void *sink, const char *text, size_t size)
{
	Sink *s = sink;
	s->write(s, text, size);
}

static void print(Job *job, Graph *g, graft_format format, Sink *s)
{
	Text t = { .arena = &job->scratch };
	switch (format) {
	case GRAFT_FORMAT_JSON: graph_print_json_to(g, &t, flush, s); return;
	case GRAFT_FORMAT_TEXT: graph_print(g, &t); break;
	case GRAFT_FORMAT_DOT: graph_print_dot(g, &t); break;
	case GRAFT_FORMAT_PT2JSON: torch_write_json(job, g, pass_on, s); return;
	case GRAFT_FORMAT_PT2:
		if (!s->file)
			fail(job, GRAFT_E_USAGE, "an archive is written to a file; name one with the ending .pt2");
		torch_write_archive(job, g, s->file);
		return;
	default: fail(job, GRAFT_E_USAGE, "%d is not a format to print in", (int)format);
	}
	flush(s, &t);
}

typedef struct SaveArgs {
	Graph *g;
	const char *path;                     /* NULL: to `write` */
	graft_format format;
	graft_write_fn write;
	void *user;
} SaveArgs;

static void save_body(Job *job, void *arg)
{
	SaveArgs *a = arg;
	Sink s = { .job = job, .write = a->path ? to_file : to_caller, .fn = a->write, .user = a->user };
	graph_enter(a->g, job);
	if (a->path && a->format == GRAFT_FORMAT_AUTO)
		a->format = format_of(job, a->path);
	if (a->path)
		s.file = file_create(job, a->path);
	print(job, a->g, a->format, &s);
	if (a->path)
		file_commit(s.file);
}

typedef struct TorchOpArgs { Graph *g; const char *name; } TorchOpArgs;

static void torch_op_body(Job *job, void *arg)
{
	TorchOpArgs *a = arg;
	graph_enter(a->g, job);
	a->g->torch_op = torch_op_target(a->g, a->name);
}

graft_status graft_graph_set_torch_op(graft_graph *g, const char *name, graft_error *err)
{
	TorchOpArgs a = { &g->g, name };
	return guarded(context_allocator(g->g.ctx), torch_op_body, &a, err);
}

graft_status graft_graph_save(graft_graph *g, const char *path, graft_format format, graft_error *err)
{
	SaveArgs a = { .g = &g->g, .path = path, .format = format };
	return guarded(context_allocator(g->g.ctx), save_body, &a, err);
}

graft_status graft_graph_print(graft_graph *g, graft_format format, graft_write_fn write, void *user, graft_error *err)
{
	SaveArgs a = { .g = &g->g, .format = format, .write = write, .user = user };
	return guarded(context_allocator(g->g.ctx), save_body, &a, err);
}
