/* config.c - flags, levels, lists and configuration files: what is decided, by whom, and what is refused with its
 * place. */
#include "../../src/passes/config.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

typedef struct Fixture { graft_context *ctx; graft_config *c; graft_error err; } Fixture;

static Fixture start(void)
{
	Fixture f;
	if (graft_context_new(NULL, &f.ctx, &f.err) || graft_config_new(f.ctx, &f.c, &f.err))
		test_fail(__FILE__, __LINE__, "no configuration");
	return f;
}

static void end(Fixture *f)
{
	graft_config_free(f->c);
	graft_context_free(f->ctx);
}

typedef struct Ask { const graft_config *c; const char *pass; char text[256]; } Ask;

static const char *const flags[] = { "auto", "on", "off" };

static void ask_body(Job *job, void *arg)
{
	Ask *a = arg;
	Decision d = config_decide(a->c, pass_find(a->pass, strlen(a->pass)), &job->scratch);
	snprintf(a->text, sizeof a->text, "%s %s by %s: %s", flags[d.requested], d.wanted ? "yes" : "no", d.who,
	         d.reason);
}

/* "requested effective by whom: why" */
static void check_decided(const Fixture *f, const char *pass, const char *wanted)
{
	Ask a = { f->c, pass, "" };
	guarded(context_allocator(f->ctx), ask_body, &a, NULL);
	CHECK_STR(a.text, wanted);
}

TEST(config_levels)
{
	Fixture f = start();
	check_decided(&f, "cse", "auto yes by built-in: on at -O2 (on from -O2)");
	check_decided(&f, "lower_fused", "auto no by built-in: runs only when asked for by name");
	CHECK_INT(graft_config_set_level(f.c, 1, &f.err), GRAFT_OK);
	check_decided(&f, "cse", "auto no by level: off at -O1 (on from -O2)");
	check_decided(&f, "dce", "auto yes by level: on at -O1 (on from -O1)");
	CHECK_INT(graft_config_set_level(f.c, 0, &f.err), GRAFT_OK);
	check_decided(&f, "fuse_mla_dual_rms_norm", "auto no by level: off at -O0 (on from -O1)");
	CHECK_INT(graft_config_set_level(f.c, 4, &f.err), GRAFT_E_USAGE);
	CHECK_STR(f.err.message, "a level is 0, 1, 2 or 3, found 4");
	CHECK_INT(graft_config_set_level(f.c, -1, &f.err), GRAFT_E_USAGE);
	CHECK_INT(f.c->level, 0);
	end(&f);
}

TEST(config_flags)
{
	Fixture f = start();
	CHECK_INT(graft_config_set(f.c, "cse", GRAFT_OFF, "--disable", &f.err), GRAFT_OK);
	check_decided(&f, "cse", "off no by --disable: switched off by --disable");
	CHECK_INT(graft_config_set(f.c, "cse", GRAFT_ON, "api", &f.err), GRAFT_OK);
	check_decided(&f, "cse", "on yes by api: switched on by api");
	CHECK_INT(graft_config_set(f.c, "cse", GRAFT_AUTO, "api", &f.err), GRAFT_OK);
	check_decided(&f, "cse", "auto yes by built-in: on at -O2 (on from -O2)");
	CHECK_INT(graft_config_set(f.c, "csee", GRAFT_ON, "api", &f.err), GRAFT_E_USAGE);
	CHECK_HAS(f.err.message, "there is no pass 'csee'; there are dce, eliminate_noops, cse");
	CHECK_INT(graft_config_set(f.c, "cse", (graft_flag)7, "api", &f.err), GRAFT_E_USAGE);
	end(&f);
}

TEST(config_lists)
{
	Fixture f = start();
	CHECK_INT(graft_config_set(f.c, "dce", GRAFT_OFF, "file", &f.err), GRAFT_OK);
	CHECK_INT(graft_config_set_passes(f.c, "lower_fused,dce,dce", "--passes", &f.err), GRAFT_OK);
	CHECK_STR(f.c->list[0]->name, "lower_fused");
	CHECK_STR(f.c->list[2]->name, "dce");
	CHECK(!f.c->list[3]);
	check_decided(&f, "dce", "on yes by --passes: switched on by --passes");
	CHECK_INT(graft_config_set(f.c, "dce", GRAFT_OFF, "--disable", &f.err), GRAFT_OK);
	check_decided(&f, "dce", "off no by --disable: switched off by --disable");
	CHECK_INT(graft_config_set_passes(f.c, NULL, "api", &f.err), GRAFT_OK);
	CHECK(!f.c->list);
	check_decided(&f, "dce", "off no by --disable: switched off by --disable");
	check_decided(&f, "lower_fused", "auto no by built-in: runs only when asked for by name");
	CHECK_INT(graft_config_set_passes(f.c, "cse,,dce", "api", &f.err), GRAFT_E_USAGE);
	CHECK_HAS(f.err.message, "there is no pass ''");
	CHECK(!f.c->list);
	CHECK_INT(graft_config_set_passes(f.c, "", "api", &f.err), GRAFT_OK);
	CHECK(f.c->list && !f.c->list[0]);
	end(&f);
}

/* ---- files ---- */

static graft_status load(Fixture *f, const char *text, char *path)
{
	strcpy(path, P_tmpdir "/graft-config-XXXXXX");
	int fd = mkstemp(path);
	size_t n = strlen(text);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		test_fail(__FILE__, __LINE__, "cannot write %s", path);
	close(fd);
	graft_status status = graft_config_load(f->c, path, &f->err);
	unlink(path);
	return status;
}

TEST(config_file)
{
	Fixture f = start();
	char path[64], wanted[256];
	CHECK_INT(load(&f, "{\"level\": 1, \"passes\": {\"cse\": \"on\", \"dce\": \"off\", "
	               "\"lower_fused\": \"auto\"}, \"limit\": 7, "
	               "\"target\": \"caps.json\"}", path), GRAFT_OK);
	snprintf(wanted, sizeof wanted, "on yes by %s: switched on by %s", path, path);
	check_decided(&f, "cse", wanted);
	snprintf(wanted, sizeof wanted, "auto yes by %s: on at -O1 (on from -O1)", path);
	check_decided(&f, "eliminate_noops", wanted);
	check_decided(&f, "lower_fused", "auto no by built-in: runs only when asked for by name");
	CHECK_INT(f.c->limit, 7);
	CHECK_STR(f.c->target_path, "caps.json");
	CHECK_INT(graft_config_set(f.c, "cse", GRAFT_OFF, "--disable", &f.err), GRAFT_OK);
	check_decided(&f, "cse", "off no by --disable: switched off by --disable");
	CHECK_INT(load(&f, "{\"run\": [\"cse\", \"dce\"], \"passes\": {\"dce\": \"off\"}}", path), GRAFT_OK);
	CHECK_STR(f.c->list[0]->name, "cse");
	snprintf(wanted, sizeof wanted, "off no by %s: switched off by %s", path, path);
	check_decided(&f, "dce", wanted);
	CHECK_INT(f.c->limit, 7);
	end(&f);
}

typedef struct Wrong { const char *text; graft_status status; int line, column; const char *path, *message; } Wrong;

static void check_wrong(const Wrong *w)
{
	Fixture f = start();
	char path[64];
	if (load(&f, w->text, path) != w->status)
		test_fail(__FILE__, __LINE__, "%s: status %d, %s", w->text, (int)f.err.status, f.err.message);
	CHECK_HAS(f.err.message, w->message);
	CHECK_STR(f.err.path, w->path);
	CHECK_STR(f.err.file, path);
	CHECK_INT(f.err.line, w->line);
	CHECK_INT(f.err.column, w->column);
	CHECK_INT(f.c->level, 2);
	CHECK(!f.c->list && !f.c->target_path && f.c->limit < 0);
	end(&f);
}

TEST(config_files_that_are_wrong)
{
	static const Wrong wrong[] = {
		{ "{\"level\": 1,\n \"pases\": {}}", GRAFT_E_CONFIG, 2, 2, "$.pases",
		  "level, passes, run, limit, target" },
		{ "{\"level\": 4}", GRAFT_E_CONFIG, 1, 11, "$.level", "4" },
		{ "{\"level\": 1.0}", GRAFT_E_CONFIG, 1, 11, "$.level", "integer" },
		{ "{\"level\": 0, \"passes\": {\n\"cse\": \"on\",\n\"fuse\": \"on\"}}", GRAFT_E_CONFIG, 3, 1,
		  "$.passes.fuse", "there is no pass 'fuse'" },
		{ "{\"level\": 0, \"passes\": {\"cse\": true}}", GRAFT_E_CONFIG, 1, 32, "$.passes.cse", "string" },
		{ "{\"level\": 0, \"passes\": {\"cse\": \"yes\"}}", GRAFT_E_CONFIG, 1, 32, "$.passes.cse", "auto" },
		{ "{\"target\": \"t\", \"run\": [\"cse\", \"dse\"]}", GRAFT_E_CONFIG, 1, 32, "$.run[1]",
		  "there is no pass 'dse'" },
		{ "{\"level\": 0, \"limit\": -1}", GRAFT_E_CONFIG, 1, 23, "$.limit", "-1" },
		{ "[]", GRAFT_E_CONFIG, 1, 1, "$", "object" },
		{ "{\"level\": 0,}", GRAFT_E_SYNTAX, 1, 13, "$", "" },
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		check_wrong(&wrong[i]);
}

TEST(config_file_that_is_not_there)
{
	Fixture f = start();
	CHECK_INT(graft_config_load(f.c, "/nowhere/graft.json", &f.err), GRAFT_E_IO);
	end(&f);
}
