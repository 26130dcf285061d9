/* shared.cpp - shared memory.
 *
 * The dynamic part lies before a pad, so that its end is where its last byte is; the static part is ordinary static
 * variables of the object a kernel was compiled into, found by the tag in their symbols. */
#include "internal.h"

#include <dlfcn.h>
#include <elf.h>
#include <fstream>
#include <link.h>
#include <map>
#include <sys/mman.h>

namespace hipsim {

struct Span {
	char *p;
	size_t n;
};
using Spans = std::vector<Span>;

enum : size_t { SHARED_MAX = 64 << 10, PAD = 256, SHARED_ALIGN = 16 };

static struct {
	unsigned char *end;      /* of the dynamic part; a pad follows */
	const Spans *variables;  /* of the object of the running kernel */
	std::map<std::pair<uintptr_t, std::string>, Spans> known; /* by load address and file */
} shared;

/* The n bytes at offset, or null where the file is too short. */
template <class T> static const T *part(const std::vector<char> &image, size_t offset, size_t n)
{
	bool within = offset <= image.size() && n <= (image.size() - offset) / sizeof(T);
	return within ? reinterpret_cast<const T *>(image.data() + offset) : nullptr;
}

static bool read_file(const std::string &name, std::vector<char> &image)
{
	std::ifstream in(name, std::ios::binary | std::ios::ate);
	image.resize(in ? static_cast<size_t>(in.tellg()) : 0);
	in.seekg(0);
	return in.read(image.data(), static_cast<std::streamsize>(image.size())) && image.size() > sizeof(ElfW(Ehdr));
}

/* The tagged variables among the symbols of an object; false without a symbol table. */
static bool find_variables(const std::string &file, uintptr_t bias, Spans &out)
{
	std::vector<char> image;
	if (!read_file(file, image))
		return false;
	const auto *head = part<ElfW(Ehdr)>(image, 0, 1);
	const auto *sections = part<ElfW(Shdr)>(image, head->e_shoff, head->e_shnum), *s = sections;
	while (s && s < sections + head->e_shnum && s->sh_type != SHT_SYMTAB)
		s++;
	if (!s || s == sections + head->e_shnum || s->sh_link >= head->e_shnum)
		return false;
	const ElfW(Shdr) &names = sections[s->sh_link];
	size_t count = s->sh_size / sizeof(ElfW(Sym));
	const auto *symbols = part<ElfW(Sym)>(image, s->sh_offset, count);
	const char *text = part<char>(image, names.sh_offset, names.sh_size);
	for (size_t i = 0; symbols && text && i < count; i++)
		if (symbols[i].st_name < names.sh_size && strstr(text + symbols[i].st_name, "B13hipsim_shared"))
			out.push_back({reinterpret_cast<char *>(bias + symbols[i].st_value), symbols[i].st_size});
	return symbols && text;
}

static hipError_t find_static(const Launch &l)
{
	Dl_info info;
	void *extra = nullptr;
	if (!dladdr1(l.kernel.function, &info, &extra, RTLD_DL_LINKMAP))
		return report(hipErrorInvalidImage, "kernel %s lies in no object", l.name.c_str());
	const auto *map = static_cast<const link_map *>(extra);
	std::string file = *map->l_name ? map->l_name : "/proc/self/exe";
	auto it = shared.known.find({map->l_addr, file});
	if (it == shared.known.end()) {
		Spans found;
		if (!find_variables(file, map->l_addr, found))
			return report(hipErrorInvalidImage, "kernel %s: %s has no symbol table; do not strip it",
			              l.name.c_str(), file.c_str());
		it = shared.known.insert({{map->l_addr, file}, found}).first;
	}
	shared.variables = &it->second;
	return hipSuccess;
}

static size_t padded(const Launch &l)
{
	return (l.shared + SHARED_ALIGN - 1) / SHARED_ALIGN * SHARED_ALIGN;
}

void *dynamic_shared(const Launch &l)
{
	return shared.end - padded(l);
}

hipError_t open_shared(const Launch &l)
{
	if (!shared.end) {
		void *p = mmap(nullptr, SHARED_MAX + 2 * PAD, PROT_READ | PROT_WRITE,
		               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return hipErrorOutOfMemory;
		shared.end = static_cast<unsigned char *>(p) + PAD + SHARED_MAX;
	}
	__asan_poison_memory_region(shared.end - PAD - SHARED_MAX, SHARED_MAX + 2 * PAD);
	__asan_unpoison_memory_region(dynamic_shared(l), l.shared);
	return find_static(l);
}

void renew_shared(const Launch &l)
{
	fill_uninitialised(static_cast<char *>(dynamic_shared(l)) - PAD, padded(l) + 2 * PAD);
	for (const Span &v : *shared.variables)
		fill_uninitialised(v.p, v.n);
}

HIPSIM_NO_ASAN bool dynamic_shared_intact(const Launch &l)
{
	const auto *begin = static_cast<const unsigned char *>(dynamic_shared(l)), *end = begin + l.shared;
	for (const unsigned char *p = begin - PAD; p < shared.end + PAD; p++)
		if (*p != 0xff && (p < begin || p >= end))
			return false;
	return true;
}

} // namespace hipsim
