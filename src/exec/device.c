/* device.c - finding and loading a device plugin, and trying kernels out on its device. */
#include "device.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_FILE "libgraft_hip.so"

/* ---- what was asked for ------------------------------------------------------------------------------------ */

static const char *named_plugin(const char *asked)
{
	return strncmp(asked, "hip:", 4) || !asked[4] ? NULL : asked + 4;
}

DeviceKind device_kind(Job *job, const char *asked)
{
	if (!asked || !strcmp(asked, "cpu"))
		return DEVICE_CPU;
	if (!strcmp(asked, "auto"))
		return DEVICE_AUTO;
	if (!strcmp(asked, "hip") || named_plugin(asked))
		return DEVICE_HIP;
	fail(job, GRAFT_E_USAGE,
	     "there is no device '%s'; wanted auto, cpu, hip, or hip:PLUGIN with the path of a device plugin", asked);
}

/* ---- the file ---------------------------------------------------------------------------------------------- */

/* The folder a file lies in, links followed, with its last '/'; NULL: there is no such file. */
static const char *folder_of(Arena *a, const char *file)
{
	char *real = realpath(file, NULL);
	if (!real)
		return NULL;
	char *copy = arena_strndup(a, real, (size_t)(strrchr(real, '/') - real) + 1);
	free(real);
	return copy;
}

/* The folder of the library that holds this code, or of the program that does. */
static const char *own_folder(Arena *a)
{
	static const char here;
	Dl_info at;
	const char *folder = NULL;
	if (dladdr(&here, &at) && at.dli_fname && strstr(at.dli_fname, ".so"))
		folder = folder_of(a, at.dli_fname);
	return folder ? folder : folder_of(a, "/proc/self/exe");
}

static const char *find_plugin(Job *job, Arena *a)
{
	static const char *const places[] = { "", "graft/", "../lib/graft/" };   /* built; installed: library, tool */
	const char *folder = own_folder(a);
	for (size_t i = 0; folder && i < sizeof places / sizeof *places; i++) {
		const char *path = arena_printf(a, "%s%s" PLUGIN_FILE, folder, places[i]);
		if (!access(path, F_OK))
			return path;
	}
	fail(job, GRAFT_E_UNAVAILABLE,
	     "there is no device plugin: " PLUGIN_FILE " lies neither in %s nor in graft/ or ../lib/graft/ "
	     "from there; build it with `make hip`, or name it as hip:PATH", folder ? folder : "graft's own folder");
}

/* ---- the library ------------------------------------------------------------------------------------------- */

static void close_library(void *handle)
{
	dlclose(handle);
}

/* A runtime's threads do not survive being unloaded, so the library stays once it is loaded. */
static graft_device_fn load(Job *job, const char *path, Arena *into)
{
	const char *file = strchr(path, '/') ? path : arena_printf(&job->scratch, "./%s", path);
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle) {
		const char *said = dlerror();
		fail(job, GRAFT_E_UNAVAILABLE, "the device plugin '%s' does not load: %s", path,
		     said ? said : "no reason was given");
	}
	arena_undo(into, close_library, handle);
	union { void *object; graft_device_fn fn; } symbol = { dlsym(handle, GRAFT_DEVICE_SYMBOL) };
	if (!symbol.object)
		fail(job, GRAFT_E_UNAVAILABLE, "'%s' is no device plugin: it does not export " GRAFT_DEVICE_SYMBOL
		     "; name the " PLUGIN_FILE " that `make hip` builds", path);
	return symbol.fn;
}

/* ABI is judged before anything whose place it vouches for is read. */
static const graft_device *check(Job *job, const char *path, const graft_device *t)
{
	if (!t || t->magic != GRAFT_DEVICE_MAGIC)
		fail(job, GRAFT_E_UNAVAILABLE, "'%s' is no device plugin: its table %s", path,
		     t ? "does not begin as one does" : "is not there");
	if (t->abi != GRAFT_DEVICE_ABI || t->struct_size != sizeof *t || t->n_entries != GRAFT_DEVICE_ENTRIES)
		fail(job, GRAFT_E_UNAVAILABLE,
		     "the device plugin '%s' speaks ABI %u with %u entries in %u bytes, graft " GRAFT_VERSION
		     " speaks ABI %d with %d in %zu; build it again against this graft's plugin.h", path, t->abi,
		     t->n_entries, t->struct_size, GRAFT_DEVICE_ABI, GRAFT_DEVICE_ENTRIES, sizeof *t);
	return t;
}

/* ---- the session ------------------------------------------------------------------------------------------- */

_Noreturn void device_fail(Job *job, const Device *d, int status, const graft_fault *fault, const char *where)
{
	bool known = status > GRAFT_OK && status <= GRAFT_E_EXEC;
	fail_at(job, known ? (graft_status)status : GRAFT_E_EXEC, where, "%s: %.*s",
	        *d->info.name ? d->info.name : d->plugin, (int)sizeof fault->message - 1,
	        *fault->message ? fault->message : "the device plugin gave no reason");
}

void device_wait(Job *job, Device *d, const char *where)
{
	graft_fault fault = { 0 };
	int status = d->api->wait(d->session, &fault);
	if (status)
		device_fail(job, d, status, &fault, where);
}

void device_enter(Job *job, Device *d)
{
	graft_fault fault = { 0 };
	int status = d->api->begin(d->session, &fault);
	if (status)
		device_fail(job, d, status, &fault, NULL);
}

void device_leave(Device *d)
{
	d->api->end(d->session);
}

static void close_session(void *device)
{
	Device *d = device;
	d->api->close(d->session);
}

static int run_on_device(const Rig *rig, Job *job, graft_launch_fn fn, const graft_launch *l, const RigBlock *blocks,
                         size_t n);

Device *device_open(Job *job, const char *asked, Arena *into)
{
	Device *d = NEW(into, Device);
	graft_fault fault = { 0 };
	const char *named = named_plugin(asked);
	d->plugin = named ? arena_strdup(into, named) : find_plugin(job, into);
	d->api = check(job, d->plugin, load(job, d->plugin, into)());
	int status = d->api->open(0, &d->session, &fault);
	if (status)
		device_fail(job, d, status, &fault, NULL);
	arena_undo(into, close_session, d);
	d->api->info(d->session, &d->info);
	const char *folder = folder_of(into, d->plugin);
	d->pack = arena_printf(into, "%spacks/graft_hip_%.*s.so", folder ? folder : "", (int)sizeof d->info.platform,
	                       d->info.platform);
	d->rig = (Rig){ d, run_on_device };
	return d;
}

const Target *device_target(const Device *d, graft_context *ctx, Arena *into)
{
	return target_on_device(ctx, d->info.arch, d->pack, &d->rig, into);
}

/* ---- trying a kernel out ----------------------------------------------------------------------------------- */

/* The blocks, one after the other, in memory of the device. */
typedef struct Bed { Device *d; char *data; const RigBlock *blocks; size_t *at, n, size; } Bed;

static void free_bed(void *bed)
{
	Bed *b = bed;
	b->d->api->free(b->d->session, b->data);
}

static void wait_quietly(void *device)
{
	Device *d = device;
	graft_fault fault;
	d->api->wait(d->session, &fault);
}

static Bed *bed_new(Job *job, Device *d, const RigBlock *blocks, size_t n)
{
	enum { LINE = 256 };
	Bed *b = NEW(&job->scratch, Bed);
	*b = (Bed){ .d = d, .blocks = blocks, .at = NEW_ARRAY(&job->scratch, n, size_t), .n = n };
	for (size_t i = 0; i < n; i++) {
		b->at[i] = b->size;
		b->size += (blocks[i].size + LINE - 1) / LINE * LINE;
	}
	void *data = NULL;
	CALL(job, d, alloc, b->size + LINE, &data);
	b->data = data;
	arena_undo(&job->scratch, free_bed, b);
	arena_undo(&job->scratch, wait_quietly, d);
	return b;
}

/* Where on the device lies what is at p on the host. */
static void *on_bed(const Bed *b, const void *p)
{
	for (size_t i = 0; i < b->n; i++)
		if (p && (const char *)p >= b->blocks[i].host &&
		    (const char *)p <= b->blocks[i].host + b->blocks[i].size)
			return b->data + b->at[i] + ((const char *)p - b->blocks[i].host);
	return NULL;
}

static const graft_tensor *moved(Job *job, const Bed *b, const graft_tensor *t, int32_t n)
{
	graft_tensor *to = arena_copy(&job->scratch, t, (size_t)n * sizeof *t);
	for (int32_t i = 0; i < n; i++)
		to[i].data = on_bed(b, t[i].data);
	return to;
}

typedef struct Trying {
	Device *d;
	graft_launch_fn fn;
	const graft_launch *launch;
	const RigBlock *blocks;
	size_t n;
	int status;
} Trying;

static void try_out(Job *job, void *arg)
{
	Trying *t = arg;
	Device *d = t->d;
	Bed *b = bed_new(job, d, t->blocks, t->n);
	graft_launch l = *t->launch;
	for (size_t i = 0; i < b->n; i++)
		CALL(job, d, copy_in, b->data + b->at[i], b->blocks[i].host, b->blocks[i].size);
	l.in = moved(job, b, l.in, l.n_in);
	l.out = moved(job, b, l.out, l.n_out);
	l.host = NULL;
	l.stream = d->api->stream(d->session);
	t->status = t->fn(&l);
	for (size_t i = 0; i < b->n && !t->status; i++)
		CALL(job, d, copy_out, b->blocks[i].host, b->data + b->at[i], b->blocks[i].size);
	device_wait(job, d, NULL);
}

static int run_on_device(const Rig *rig, Job *job, graft_launch_fn fn, const graft_launch *l, const RigBlock *blocks,
                         size_t n)
{
	Trying t = { rig->self, fn, l, blocks, n, 0 };
	graft_error err;
	if (guarded(job->scratch.mem, try_out, &t, &err))
		fail_again(job, &err);
	return t.status;
}
