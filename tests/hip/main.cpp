/* main.cpp - the frame of the tests: tensors, launches, comparison. */
#include "hip.h"
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void load_f64(double *to, int dtype, const void *from, int64_t stride, int64_t n);
void load_i64(int64_t *to, int dtype, const void *from, int64_t stride, int64_t n);
void store_f64(int dtype, void *to, int64_t stride, const double *from, int64_t n);
}

bool full, bare;

/* ---- tests ---- */

struct Row { const char *name; void (*run)(); };
static std::vector<Row> &rows()
{
	static std::vector<Row> all;
	return all;
}

static const char *running;
static int failures;
static bool counts;

Test::Test(const char *name, void (*run)()) { rows().push_back({name, run}); }

void failed(const char *file, int line, const std::string &what)
{
	if (!failures++)
		printf("%s:%d: %s: %s\n", file, line, running, what.c_str());
}

bool still_good() { return failures == 0; }

void not_here(const char *why)
{
	printf("%s: not run: %s\n", running, why);
	counts = false;
}

static bool chosen(const char *name, const std::vector<const char *> &only)
{
	bool any = only.empty();
	for (const char *o : only)
		any = any || !strncmp(name, o, strlen(o));
	return any;
}

static void run(const Row &row, int *passed, int *bad)
{
	running = row.name;
	failures = 0;
	counts = true;
	machine_fresh();
	row.run();
	std::string wrong = machine_wrong();
	if (!wrong.empty())
		failed(row.name, 0, wrong);
	if (failures)
		++*bad;
	else if (counts)
		++*passed;
}

int main(int argc, char **argv)
{
	std::vector<const char *> only;
	unsigned wanted = 32;
	int passed = 0, bad = 0, size = 0;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "32") || !strcmp(argv[i], "64"))
			wanted = static_cast<unsigned>(atoi(argv[i]));
		else if (!strcmp(argv[i], "full") || !strcmp(argv[i], "quick"))
			size = *argv[i];
		else if (!strcmp(argv[i], "bare"))
			bare = true;
		else
			only.push_back(argv[i]);
	}
	const char *none = machine_open(wanted);
	full = size ? size == 'f' : !machine_is_slow();
	if (none)
		printf("not run: %s\n", none);
	for (const Row &row : rows())
		if (!none && chosen(row.name, only))
			run(row, &passed, &bad);
	machine_close();
	printf("%d passed, %d failed\n", passed, bad);
	return bad != 0;
}

/* ---- numbers ---- */

uint64_t Random::bits()
{
	state += 0x9e3779b97f4a7c15u;
	uint64_t z = state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

int64_t Random::below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }

double Random::number()
{
	uint64_t b = bits();
	if (b % 16 == 0)
		return static_cast<double>(b / 16 % 5) - 2;
	return static_cast<double>(b >> 11) / 9007199254740992.0 * 8 - 4;
}

bool floating(int dtype) { return dtype > GRAFT_DTYPE_i64; }

static int mantissa(int dtype)
{
	switch (dtype) {
	case GRAFT_DTYPE_f16: return 10;
	case GRAFT_DTYPE_bf16: return 7;
	case GRAFT_DTYPE_f32: return 23;
	case GRAFT_DTYPE_f64: return 52;
	case GRAFT_DTYPE_f8e5m2: return 2;
	default: return 3;
	}
}

static int least_exponent(int dtype)
{
	switch (dtype) {
	case GRAFT_DTYPE_f16: case GRAFT_DTYPE_f8e5m2: return -14;
	case GRAFT_DTYPE_f64: return -1022;
	case GRAFT_DTYPE_f8e4m3fn: return -6;
	case GRAFT_DTYPE_f8e4m3fnuz: return -7;
	default: return -126;
	}
}

double ulp(int dtype, double v)
{
	int e = 0;
	if (!floating(dtype) || !std::isfinite(v))
		return 0;
	frexp(v, &e);
	e = v == 0 ? least_exponent(dtype) : e - 1;
	return ldexp(1, (e > least_exponent(dtype) ? e : least_exponent(dtype)) - mantissa(dtype));
}

/* ---- tensors ---- */

static size_t item(int dtype) { return graft_dtype_size(static_cast<graft_dtype>(dtype)); }

static Shape dense(const Shape &shape)
{
	Shape stride(shape.size());
	int64_t n = 1;
	for (size_t i = shape.size(); i-- > 0; n *= shape[i])
		stride[i] = n;
	return stride;
}

Tensor::Tensor(int type, const Shape &sizes, const Shape &strides, int64_t offset) : dtype(type), shape(sizes),
	stride(strides)
{
	int64_t low = 0, high = 0;
	for (size_t i = 0; i < shape.size(); i++)
		*(stride[i] < 0 ? &low : &high) += (shape[i] > 0 ? shape[i] - 1 : 0) * stride[i];
	first = static_cast<size_t>(offset - low) * item(type);
	bytes.assign(first + static_cast<size_t>(high + 1 + 2) * item(type), 0xa5);
}

static Shape strides_of(const Shape &shape, Layout layout, int64_t gap)
{
	Shape s = dense(shape), wide = shape;
	if (layout == GAPS && !shape.empty()) {
		wide.back() += gap;
		s = dense(wide);
	} else if (layout == PERMUTED) {
		int64_t n = 1;
		for (size_t i = 0; i < shape.size(); n *= shape[i++])
			s[i] = n;
	} else if (layout == EXPANDED && !shape.empty()) {
		s[0] = 0;
	} else if (layout == NEGATIVE) {
		for (int64_t &v : s)
			v = -v;
	}
	return s;
}

Tensor::Tensor(int type, const Shape &sizes, Layout layout, int64_t gap)
	: Tensor(type, sizes, strides_of(sizes, layout, gap), layout == ODD ? 1 : 0)
{
}

int64_t Tensor::size() const
{
	int64_t n = 1;
	for (int64_t s : shape)
		n *= s;
	return n;
}

size_t Tensor::at(int64_t index) const
{
	int64_t offset = 0;
	for (size_t i = shape.size(); i-- > 0; index /= shape[i])
		offset += index % shape[i] * stride[i];
	return static_cast<size_t>(static_cast<int64_t>(first) + offset * static_cast<int64_t>(item(dtype)));
}

double Tensor::get(int64_t index) const
{
	double v;
	load_f64(&v, dtype, &bytes[at(index)], 1, 1);
	return v;
}

int64_t Tensor::integer(int64_t index) const
{
	int64_t v;
	load_i64(&v, dtype, &bytes[at(index)], 1, 1);
	return v;
}

uint64_t Tensor::raw(int64_t index) const
{
	uint64_t v = 0;
	memcpy(&v, &bytes[at(index)], item(dtype));
	return v;
}

void Tensor::put(int64_t index, double v) { store_f64(dtype, &bytes[at(index)], 1, &v, 1); }

Tensor &Tensor::fill(Random &r)
{
	for (int64_t i = 0, n = size(); i < n; i++)
		put(i, dtype == GRAFT_DTYPE_bool ? static_cast<double>(r.below(2)) : r.number());
	return *this;
}

Tensor &Tensor::fill(Random &r, int64_t below)
{
	for (int64_t i = 0, n = size(); i < n; i++)
		put(i, static_cast<double>(r.below(below)));
	return *this;
}

Tensor &Tensor::fill(double v)
{
	for (int64_t i = 0, n = size(); i < n; i++)
		put(i, v);
	return *this;
}

graft_tensor Tensor::host()
{
	return {bytes.empty() ? nullptr : &bytes[first], shape.data(), stride.data(),
	        static_cast<int32_t>(shape.size()), dtype};
}

graft_tensor Tensor::there() const
{
	return {device ? static_cast<char *>(device) + first : nullptr, shape.data(), stride.data(),
	        static_cast<int32_t>(shape.size()), dtype};
}

std::string Tensor::text() const
{
	std::string s = graft_dtype_name(static_cast<graft_dtype>(dtype));
	s += "[";
	for (size_t i = 0; i < shape.size(); i++)
		s += (i ? ", " : "") + std::to_string(shape[i]) + ":" + std::to_string(stride[i]);
	return s + "]";
}

graft_attr attr_int(int64_t i) { return {1, 0, i, 0, nullptr}; }
graft_attr attr_float(double f) { return {1, 0, 0, f, nullptr}; }
graft_attr attr_list(const std::vector<int64_t> &v) { return {1, static_cast<int32_t>(v.size()), 0, 0, v.data()}; }
graft_attr attr_none() { return {0, 0, 0, 0, nullptr}; }

/* ---- at random ---- */

Layout any(Random &r) { return static_cast<Layout>(r.below(LAYOUTS)); }
Layout any_result(Random &r)
{
	static const Layout all[] = {DENSE, DENSE, GAPS, PERMUTED, NEGATIVE, ODD};
	return all[r.below(6)];
}

Shape any_shape(Random &r, int64_t rank, int64_t most)
{
	Shape s;
	for (int64_t i = 0; i < rank; i++)
		s.push_back(1 + r.below(most));
	return s;
}

Shape part_of(Random &r, Shape s)
{
	s.erase(s.begin(), s.begin() + r.below(static_cast<int64_t>(s.size()) + 1));
	for (int64_t &n : s)
		n = r.below(3) ? n : 1;
	return s;
}

/* ---- launches ---- */

static char message[256];
const char *hip_message() { return message; }

static graft_launch launch_of(const std::vector<graft_tensor> &in, const std::vector<graft_tensor> &out,
                              const Attrs &attr)
{
	graft_launch l = {};
	message[0] = 0;
	l.struct_size = sizeof l;
	l.n_in = static_cast<int32_t>(in.size()), l.n_out = static_cast<int32_t>(out.size()),
		l.n_attr = static_cast<int32_t>(attr.size());
	l.in = in.data(), l.out = out.data(), l.attr = attr.data();
	l.message = message, l.message_size = sizeof message;
	return l;
}

void Tensor::send()
{
	if (bytes.empty() || device)
		return;
	device = guarded(bytes.size());
	CHECK(device && to_device(device, bytes.data(), bytes.size()));
}

/* A result: memory only, where nobody shall have written it. */
static void send_result(Tensor *t)
{
	if (bare && !t->device && !t->bytes.empty())
		t->device = guarded(t->bytes.size());
	else
		t->send();
}

/* The bytes before a launch with the elements of after. */
static std::vector<uint8_t> with_elements(const Tensor &t, const std::vector<uint8_t> &after)
{
	std::vector<uint8_t> all = t.bytes;
	int64_t row = t.shape.empty() || t.stride.back() != 1 ? 1 : t.shape.back();
	for (int64_t i = 0, n = t.size(); i < n; i += row)
		memcpy(&all[t.at(i)], &after[t.at(i)], static_cast<size_t>(row) * item(t.dtype));
	return all;
}

/* Bytes that belong to no element keep what they had; with `whole` every byte does. */
static void bring_back(Tensor *t, bool whole, const std::string &what)
{
	if (!t->device)
		return;
	std::vector<uint8_t> now(t->bytes.size());
	CHECK(from_device(now.data(), t->device, now.size()));
	if (whole && now != t->bytes)
		failed(__FILE__, __LINE__, what + ": an operand was changed");
	if (!whole && !bare && now != with_elements(*t, now))
		failed(__FILE__, __LINE__, what + ": something outside the result was written");
	if (!guards_hold(t->device))
		failed(__FILE__, __LINE__, what + ": something around a tensor was written");
	t->bytes = now;
	guarded_free(t->device);
	t->device = nullptr;
}

/* A launch on a stream of its own. */
struct OnStream {
	hipStream_t stream = nullptr;
	std::vector<graft_tensor> in, out;
	graft_launch launch;

	OnStream(const Tensors &operands, const Tensors &results, const Attrs &attr)
	{
		CHECK(hipStreamCreate(&stream) == hipSuccess);
		for (const Tensor *t : operands)
			in.push_back(t->there());
		for (const Tensor *t : results)
			out.push_back(t->there());
		launch = launch_of(in, out, attr);
		launch.stream = stream;
	}
	~OnStream() { CHECK(hipStreamDestroy(stream) == hipSuccess); }
};

static int launch_and_wait(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr,
                           const graft_host *host)
{
	OnStream on(in, out, attr);
	on.launch.host = host;
	int status = kernel(&on.launch);
	hipError_t e = hipStreamSynchronize(on.stream);
	if (e != hipSuccess)
		failed(__FILE__, __LINE__, std::string("the kernel ended with ") + hipGetErrorName(e));
	return status;
}

int launch_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr)
{
	return launch_and_wait(kernel, in, out, attr, nullptr);
}

int run_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr, const std::string &what,
            const graft_host *host)
{
	for (Tensor *t : in)
		t->send();
	for (Tensor *t : out)
		send_result(t);
	int status = launch_and_wait(kernel, in, out, attr, host);
	for (Tensor *t : out)
		bring_back(t, false, what);
	for (Tensor *t : in)
		bring_back(t, true, what);
	return status;
}

static Counted count_nodes(hipGraph_t graph)
{
	Counted c = {0, 0};
	size_t n = 0;
	CHECK(hipGraphGetNodes(graph, nullptr, &n) == hipSuccess);
	std::vector<hipGraphNode_t> nodes(n);
	if (n)
		CHECK(hipGraphGetNodes(graph, nodes.data(), &n) == hipSuccess);
	for (hipGraphNode_t node : nodes) {
		hipGraphNodeType type;
		CHECK(hipGraphNodeGetType(node, &type) == hipSuccess);
		*(type == hipGraphNodeTypeKernel ? &c.kernels : &c.others) += 1;
	}
	return c;
}

static Counted record(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr)
{
	OnStream on(in, out, attr);
	hipGraph_t graph = nullptr;
	Counted c = {-1, -1};
	CHECK(hipStreamBeginCapture(on.stream, hipStreamCaptureModeThreadLocal) == hipSuccess);
	CHECK(kernel(&on.launch) == 0);
	CHECK(hipStreamEndCapture(on.stream, &graph) == hipSuccess);
	if (graph) {
		c = count_nodes(graph);
		CHECK(hipGraphDestroy(graph) == hipSuccess);
	}
	return c;
}

/* Run once before, so that nothing has to be loaded while it is recorded. */
Counted count_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr)
{
	for (const Tensors *some : {&in, &out})
		for (Tensor *t : *some)
			t->send();
	CHECK(launch_and_wait(kernel, in, out, attr, nullptr) == 0);
	Counted c = record(kernel, in, out, attr);
	for (const Tensors *some : {&out, &in})
		for (Tensor *t : *some)
			bring_back(t, some == &in, "counted");
	return c;
}

/* ---- the CPU's host: loops ---- */

static void loop(void *, int64_t n, int64_t, void (*body)(void *, int64_t, int64_t), void *arg)
{
	if (n > 0)
		body(arg, 0, n);
}

static void sgemm(void *, int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t ak, const float *b,
                  int64_t bk, int64_t bj, float *c, int64_t ci, int accumulate)
{
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = accumulate ? static_cast<double>(c[i * ci + j]) : 0;
			for (int64_t x = 0; x < k; x++)
				sum += static_cast<double>(a[i * ai + x * ak]) *
				       static_cast<double>(b[x * bk + j * bj]);
			c[i * ci + j] = static_cast<float>(sum);
		}
}

static void *scratch(void *self, size_t bytes)
{
	auto *rooms = static_cast<std::vector<std::unique_ptr<char[]>> *>(self);
	rooms->emplace_back(new char[bytes + 64]);
	char *p = rooms->back().get();
	return p + (64 - reinterpret_cast<uintptr_t>(p) % 64);
}

int run_cpu(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr)
{
	std::vector<graft_tensor> in_here, out_here;
	std::vector<std::unique_ptr<char[]>> rooms;
	graft_host host = {&rooms, loop, sgemm, scratch, nullptr};
	for (Tensor *t : in)
		in_here.push_back(t->host());
	for (Tensor *t : out)
		out_here.push_back(t->host());
	graft_launch l = launch_of(in_here, out_here, attr);
	l.host = &host;
	return kernel(&l);
}

/* ---- comparison ---- */

static std::string number(double v)
{
	char text[40];
	snprintf(text, sizeof text, "%.9g", v);
	return text;
}

void check_close(const Tensor &got, const Tensor &want, double ulps, double slack, const std::string &what)
{
	double most = 0;
	for (int64_t i = 0, n = want.size(); i < n; i++)
		if (std::isfinite(want.get(i)))
			most = fmax(most, fabs(want.get(i)));
	for (int64_t i = 0, n = want.size(); i < n && still_good(); i++) {
		double a = got.get(i), b = want.get(i);
		bool same = !floating(want.dtype) ? got.integer(i) == want.integer(i) :
			std::isnan(b) ? std::isnan(a) :
			a == b || fabs(a - b) <= ulps * ulp(want.dtype, b) + slack * most;
		if (!same)
			failed(__FILE__, __LINE__, what + ": element " + std::to_string(i) + " is " + number(a) +
			       ", not " + number(b));
	}
}

bool same_bits(const Tensor &a, const Tensor &b)
{
	for (int64_t i = 0, n = a.size(); i < n; i++)
		if (a.raw(i) != b.raw(i))
			return false;
	return a.size() == b.size();
}

graft_launch_fn hip_kernel(const char *op)
{
	const graft_pack *p = graft_pack_v1();
	for (uint32_t i = 0; i < p->n_kernels; i++)
		if (!strcmp(p->kernels[i].name, op))
			return p->kernels[i].launch;
	failed(__FILE__, __LINE__, std::string("no kernel ") + op);
	abort();
}

std::string text_of(const char *op, const Tensors &in, const Tensor &out)
{
	std::string what = op;
	for (const Tensor *t : in)
		what += " " + (t->dtype == GRAFT_DTYPE_COUNT ? "none" : t->text());
	return what + " -> " + out.text();
}

void compare_into(const char *op, graft_launch_fn cpu, const Tensors &in, int dtype, const Shape &shape, Layout layout,
                  const Attrs &attr, double ulps, double slack)
{
	Tensor want(dtype, shape), got(dtype, shape, layout);
	std::string what = text_of(op, in, got);
	int status = run_cpu(cpu, in, {&want}, attr);
	CHECK_IS(status, 0, what + ": the reference says " + hip_message());
	CHECK_IS(run_hip(hip_kernel(op), in, {&got}, attr, what), 0, what + ": " + hip_message());
	if (still_good())
		check_close(got, want, ulps, slack, what);
}
