/* pack.c - loading a kernel pack and reading its table, believing nothing of it.
 *
 * What a library does while it loads cannot be checked from here; `graft probe --isolated` is for that.
 */
#include "pack.h"
#include "peek.h"
#include "../kernels/cpu/cpu.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file --------------------------------------------------------------------------------------------- */

typedef struct File { int fd; uint64_t size; } File;

static void close_file(void *file)
{
	close(((File *)file)->fd);
}

static bool read_at(const File *f, void *to, size_t size, uint64_t at)
{
	return at <= f->size && size <= f->size - at && pread(f->fd, to, size, (off_t)at) == (ssize_t)size;
}

/* A library that was copied half loads as if whole, and then is a SIGBUS where its end is missing. */
static const char *cut_short(const File *f, const ElfW(Ehdr) *head, Arena *why)
{
	ElfW(Phdr) part;
	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (!read_at(f, &part, sizeof part, head->e_phoff + i * sizeof part))
			return "it ends within its program headers";
		if (part.p_type == PT_LOAD && (part.p_offset > f->size || part.p_filesz > f->size - part.p_offset))
			return arena_printf(why,
			                    "it ends at byte %llu, within a part that begins at %llu and is %llu long",
			                    (unsigned long long)f->size, (unsigned long long)part.p_offset,
			                    (unsigned long long)part.p_filesz);
	}
	return NULL;
}

/* Why the file cannot be a whole shared library; NULL when dlopen may have it. Other machines' files are left to
 * dlopen. */
static const char *elf_trouble(const File *f, Arena *why)
{
	ElfW(Ehdr) head;
	if (!f->size)
		return "it is empty";
	if (!read_at(f, &head, SELFMAG, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG))
		return "it does not begin as an ELF file does";
	if (!read_at(f, &head, sizeof head, 0))
		return "it ends within its ELF header";
	bool native = head.e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
	return native && head.e_phentsize == sizeof(ElfW(Phdr)) ? cut_short(f, &head, why) : NULL;
}

/* Opens it without waiting (it could be a pipe), and looks. Sets tier and reason. */
static bool file_is_library(Pack *p, const char *path, Arena *why)
{
	File *f = NEW(why, File);
	struct stat st;
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0) {
		const char *system = errno == ENOENT || errno == ENOTDIR ? "no such file" : strerror(errno);
		p->reason = arena_printf(why, "'%s': %s; build or install the pack, or correct its path", p->asked,
		                         system);
		return false;
	}
	arena_undo(&why->job->scratch, close_file, f);
	if (fstat(f->fd, &st) || !S_ISREG(st.st_mode)) {
		p->reason = arena_printf(why, "'%s' is no regular file; name the pack's shared library", p->asked);
		return false;
	}
	p->tier = GRAFT_TIER_FOUND;
	f->size = (uint64_t)st.st_size;
	const char *trouble = elf_trouble(f, why);
	if (trouble)
		p->reason = arena_printf(why, "'%s' is not a whole shared library: %s; build or copy it again",
		                         p->asked, trouble);
	return !trouble;
}

static void close_library(void *handle)
{
	dlclose(handle);
}

void pack_load(Pack *p, PackHome home)
{
	/* Without a slash dlopen would search the system for it. */
	const char *path = strchr(p->asked, '/') ? p->asked : arena_printf(home.why, "./%s", p->asked);
	p->tier = GRAFT_TIER_NONE;
	if (p->handle)
		p->tier = GRAFT_TIER_LOADS;
	if (p->handle || !file_is_library(p, path, home.why))
		return;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		const char *said = dlerror();
		p->reason = arena_printf(home.why, "'%s' does not load: %s; install what it needs, or build it for "
		                         "this machine", p->asked, said ? said : "no reason was given");
		return;
	}
	arena_undo(home.kept, close_library, handle);
	p->handle = handle;
	p->tier = GRAFT_TIER_LOADS;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

typedef struct Reader { Pack *pack; Peek *peek; PackHome home; } Reader;

static bool refuse(Reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(Reader *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *what = arena_vprintf(r->home.why, fmt, ap);
	va_end(ap);
	r->pack->reason = arena_printf(r->home.why, "'%s' is no kernel pack that can be used: %s",
	                               r->pack->asked, what);
	return false;
}

#define REBUILD "; build it again against this graft's plugin.h"

/* Magic and ABI are judged before anything whose place they vouch for is read. */
static bool read_head(Reader *r, graft_pack *t, const graft_pack *at)
{
	if (!at)
		return refuse(r, "its " GRAFT_PACK_SYMBOL " returned no table" REBUILD);
	if (!peek_copy(r->peek, t, at, offsetof(graft_pack, name), _Alignof(graft_pack)))
		return refuse(r, "its table is at an address that cannot be read" REBUILD);
	if (t->magic != GRAFT_PACK_MAGIC)
		return refuse(r, "its table begins with 0x%08x, wanted 0x%08x" REBUILD, t->magic, GRAFT_PACK_MAGIC);
	if (t->abi != GRAFT_PACK_ABI)
		return refuse(r, "it speaks ABI %u, graft " GRAFT_VERSION " speaks ABI %u; use a pack and a graft "
		              "that fit each other", t->abi, (unsigned)GRAFT_PACK_ABI);
	if (t->struct_size != sizeof(graft_pack) || t->kernel_size != sizeof(graft_kernel))
		return refuse(r, "its table has %u bytes and its rows %u, wanted %zu and %zu" REBUILD, t->struct_size,
		              t->kernel_size, sizeof(graft_pack), sizeof(graft_kernel));
	return true;
}

static bool read_counts(Reader *r, graft_pack *t, const graft_pack *at)
{
	if (!peek_copy(r->peek, t, at, sizeof *t, _Alignof(graft_pack)))
		return refuse(r, "its table ends where memory does" REBUILD);
	if (t->n_kernels != t->n_kernels_again)
		return refuse(r, "its table says %u kernels, and once more %u: it was cut short or changed" REBUILD,
		              t->n_kernels, t->n_kernels_again);
	if (t->n_kernels > MAX_PACK_KERNELS)
		return refuse(r, "its table says %u kernels, at most %d are believed" REBUILD, t->n_kernels,
		              MAX_PACK_KERNELS);
	r->pack->name = peek_string(r->peek, t->name, MAX_PACK_NAME, r->home.kept);
	r->pack->version = peek_string(r->peek, t->version, MAX_PACK_NAME, r->home.kept);
	if (!r->pack->name || !r->pack->version)
		return refuse(r, "its name or version is no text of at most %d printable characters" REBUILD,
		              MAX_PACK_NAME - 1);
	return true;
}

const char *row_trouble(const graft_kernel *k, Arena *why)
{
	if (!*k->name || !*k->archs)
		return arena_printf(why, "has an empty %s", *k->name ? "list of architectures" : "name");
	if (k->max_last < 0 || k->max_rows < 0 || k->max_row_stride < 0)
		return arena_printf(why, "('%s') has a negative limit", k->name);
	return NULL;
}

static bool read_row(Reader *r, Row *row, const graft_kernel *from, uint32_t i)
{
	graft_kernel k = *from;
	k.name = peek_string(r->peek, from->name, MAX_PACK_NAME, r->home.kept);
	k.signature = peek_string(r->peek, from->signature, MAX_PACK_TEXT, r->home.kept);
	k.archs = peek_string(r->peek, from->archs, MAX_PACK_TEXT, r->home.kept);
	if (!k.name || !k.signature || !k.archs)
		return refuse(r, "its kernel %u has a %s that is no text" REBUILD, i,
		              !k.name ? "name" : !k.signature ? "signature" : "list of architectures");
	const char *trouble = row_trouble(&k, r->home.why);
	if (trouble)
		return refuse(r, "its kernel %u %s" REBUILD, i, trouble);
	if (!k.launch)
		return refuse(r, "its kernel %u ('%s') has no launch function" REBUILD, i, k.name);
	row->kernel = k;
	return true;
}

static bool read_rows(Reader *r, const graft_pack *t)
{
	if (!t->n_kernels)
		return true;
	graft_kernel *all = NEW_ARRAY(r->home.why, t->n_kernels, graft_kernel);
	if (!peek_copy(r->peek, all, t->kernels, t->n_kernels * sizeof *all, _Alignof(graft_kernel)))
		return refuse(r, "its %u kernels cannot all be read" REBUILD, t->n_kernels);
	Row *rows = NEW_ARRAY(r->home.kept, t->n_kernels, Row);
	for (uint32_t i = 0; i < t->n_kernels; i++)
		if (!read_row(r, &rows[i], &all[i], i))
			return false;
	r->pack->rows = rows;
	return true;
}

/* pack_read for a table in hand. */
static void pack_believe(Pack *p, const graft_pack *table, PackHome home)
{
	Reader r = { p, peek_open(&home.why->job->scratch), home };
	graft_pack t;
	memset(&t, 0, sizeof t);
	if (!read_head(&r, &t, table) || !read_counts(&r, &t, table) || !read_rows(&r, &t))
		return;
	p->n_rows = t.n_kernels;
	p->tier = GRAFT_TIER_ABI;
}

void pack_read(Pack *p, PackHome home)
{
	union { void *object; graft_pack_fn fn; } symbol = { dlsym(p->handle, GRAFT_PACK_SYMBOL) };
	if (symbol.object)
		pack_believe(p, symbol.fn(), home);
	else
		p->reason = arena_printf(home.why, "'%s' is no kernel pack: it does not export " GRAFT_PACK_SYMBOL
		                         "; name a pack made for graft (docs/plugin.md)", p->asked);
}

/* ---- both ------------------------------------------------------------------------------------------------- */

void pack_look(Pack *p, PackHome home)
{
	if (p->looked)
		return;
	if (!strcmp(p->asked, BUILTIN)) {
		p->tier = GRAFT_TIER_LOADS;
		pack_believe(p, cpu_pack(home.kept), home);
	} else {
		pack_load(p, home);
		if (p->tier == GRAFT_TIER_LOADS)
			pack_read(p, home);
	}
	p->looked = true;
}

void pack_forget(Pack *p)
{
	if (p->tier < GRAFT_TIER_ABI) {
		p->looked = false;
		p->reason = NULL;
	}
	for (uint32_t i = 0; i < p->n_rows; i++) {
		p->rows[i].tested = UNTESTED;
		p->rows[i].why = NULL;
	}
}
