/* stream.cpp - streams, events, capture and graphs.
 *
 * A stream is a queue of operations; an operation may have to run after ones of other streams. Every edge leads to an
 * older operation, so running what something depends on always ends. */
#include "internal.h"

#include <algorithm>
#include <deque>
#include <thread>
#include <unordered_map>

using hipsim::Body;

struct Op {
	Body work;
	std::vector<std::shared_ptr<Op>> after; /* in other streams; its own stream's queue is an order by itself */
	hipStream_t stream;
	bool done;
	uint64_t finished_ns;
};
using OpRef = std::shared_ptr<Op>;

struct hipGraphNode {
	hipGraphNodeType type;
	Body work;
	std::vector<hipGraphNode *> after;
};
using Nodes = std::vector<std::unique_ptr<hipGraphNode>>; /* an order in which they may run */

struct ihipGraph {
	std::shared_ptr<Nodes> nodes;
};

struct hipGraphExec {
	std::shared_ptr<const Nodes> nodes;
};

struct Capture {
	hipStream_t origin;
	hipStreamCaptureMode mode;
	std::thread::id owner;
	std::shared_ptr<Nodes> nodes;
	bool spoilt;
};
using CaptureRef = std::shared_ptr<Capture>;
using Frontier = std::vector<hipGraphNode *>;

struct ihipStream_t {
	bool blocking;
	std::deque<OpRef> queue;
	CaptureRef capture;
	Frontier frontier; /* the nodes the next captured one comes after */
};

struct ihipEvent_t {
	bool timing;
	OpRef op;           /* null: never recorded, or recorded in a capture */
	CaptureRef capture;
	Frontier frontier;
};

namespace hipsim {

static struct {
	ihipStream_t null = {true, {}, nullptr, {}};
	std::vector<hipStream_t> streams; /* in order of creation */
	std::set<hipEvent_t> events;
	std::set<hipGraph_t> graphs;
	std::set<hipGraphExec_t> execs;
} live;

static hipStream_t resolve(hipStream_t s)
{
	if (!s)
		return &live.null;
	return std::find(live.streams.begin(), live.streams.end(), s) != live.streams.end() ? s : nullptr;
}

/* The null stream first. */
static std::vector<hipStream_t> every_stream()
{
	std::vector<hipStream_t> all(1, &live.null);
	all.insert(all.end(), live.streams.begin(), live.streams.end());
	return all;
}

/* ---- running ---- */

static void finish_op(const OpRef &op);

static void run_front(hipStream_t s)
{
	OpRef op = s->queue.front();
	for (const OpRef &before : op->after)
		finish_op(before);
	s->queue.pop_front();
	if (op->work && !sim().sticky) {
		DeviceOpen open;
		sim().sticky = op->work();
	}
	op->finished_ns = sim().clock_ns += 100;
	op->done = true;
	op->work = nullptr;
	op->after.clear();
}

static void finish_op(const OpRef &op)
{
	while (!op->done)
		run_front(op->stream);
}

static void drain(hipStream_t s)
{
	while (!s->queue.empty())
		run_front(s);
}

/* Runs the next operation of a stream chosen at random; false when there is none. */
static bool run_one()
{
	std::vector<hipStream_t> busy;
	for (hipStream_t s : every_stream())
		if (!s->queue.empty())
			busy.push_back(s);
	if (!busy.empty())
		run_front(busy[random_below(busy.size())]);
	return !busy.empty();
}

void drift()
{
	if (sim().seed > 1)
		for (uint64_t n = random_below(4); n; n--)
			run_one();
}

/* Waits for op as the schedule says. */
static hipError_t await(const OpRef &op)
{
	DeviceOpen open;
	if (sim().seed == 1) {
		std::vector<hipStream_t> all = every_stream();
		for (auto s = all.rbegin(); s != all.rend(); ++s)
			if (*s != op->stream)
				drain(*s);
	}
	while (sim().seed > 1 && !op->done)
		run_one();
	finish_op(op);
	return sim().sticky;
}

static OpRef push(hipStream_t s, Body work)
{
	OpRef op = std::make_shared<Op>(Op{std::move(work), {}, s, false, 0});
	if (s == &live.null) {
		for (hipStream_t other : live.streams)
			if (other->blocking && !other->queue.empty())
				op->after.push_back(other->queue.back());
	} else if (s->blocking && !live.null.queue.empty()) {
		op->after.push_back(live.null.queue.back());
	}
	s->queue.push_back(op);
	return op;
}

hipError_t finish_stream(hipStream_t stream)
{
	return await(push(resolve(stream), nullptr));
}

hipError_t finish_all()
{
	DeviceOpen open;
	std::vector<hipStream_t> all = every_stream();
	if (sim().seed == 1)
		std::reverse(all.begin(), all.end());
	while (sim().seed > 1 && run_one()) {
	}
	for (hipStream_t s : all)
		drain(s);
	return sim().sticky;
}

/* ---- capture ---- */

bool is_capturing(hipStream_t stream)
{
	hipStream_t s = resolve(stream);
	return s && s->capture;
}

static hipError_t spoil(const CaptureRef &c, hipError_t err, const char *why)
{
	c->spoilt = true;
	return report(err, "capture spoilt: %s", why);
}

bool capture_forbids()
{
	for (hipStream_t s : live.streams) {
		if (!s->capture || s->capture->mode == hipStreamCaptureModeRelaxed)
			continue;
		if (s->capture->mode == hipStreamCaptureModeThreadLocal &&
		    s->capture->owner != std::this_thread::get_id())
			continue;
		s->capture->spoilt = true;
		return true;
	}
	return false;
}

static hipError_t add_node(hipStream_t s, hipGraphNodeType type, Body work)
{
	if (s->capture->spoilt)
		return hipErrorStreamCaptureInvalidated;
	Nodes &nodes = *s->capture->nodes;
	nodes.emplace_back(new hipGraphNode{type, std::move(work), s->frontier});
	s->frontier.assign(1, nodes.back().get());
	return hipSuccess;
}

/* The capture that a use of the null stream would have to wait for. */
static CaptureRef blocking_capture()
{
	for (hipStream_t s : live.streams)
		if (s->capture && s->blocking)
			return s->capture;
	return nullptr;
}

hipError_t enqueue(hipStream_t stream, hipGraphNodeType type, Body work)
{
	hipStream_t s = resolve(stream);
	if (!s)
		return report(hipErrorInvalidHandle, "stream %p is not alive", static_cast<void *>(stream));
	if (s->capture)
		return add_node(s, type, std::move(work));
	CaptureRef c = s == &live.null ? blocking_capture() : nullptr;
	if (c)
		return spoil(c, hipErrorStreamCaptureImplicit,
		             "the null stream was used while a blocking stream captures");
	push(s, std::move(work));
	return hipSuccess;
}

static void unite(Frontier &into, const Frontier &from)
{
	for (hipGraphNode *n : from)
		if (std::find(into.begin(), into.end(), n) == into.end())
			into.push_back(n);
}

/* The last nodes of the graph: those that none comes after. */
static bool all_joined(const Capture &c)
{
	std::set<hipGraphNode *> last;
	for (const auto &n : *c.nodes)
		last.insert(n.get());
	for (const auto &n : *c.nodes)
		for (hipGraphNode *before : n->after)
			last.erase(before);
	for (hipGraphNode *n : c.origin->frontier)
		last.erase(n);
	return last.empty();
}

static hipError_t end_capture(hipStream_t s, hipGraph_t *graph)
{
	CaptureRef c = s->capture;
	if (c->origin != s)
		return spoil(c, hipErrorStreamCaptureUnmatched, "ended in another stream than it began in");
	if (c->mode != hipStreamCaptureModeRelaxed && c->owner != std::this_thread::get_id())
		return spoil(c, hipErrorStreamCaptureWrongThread, "ended in another thread than it began in");
	bool joined = all_joined(*c);
	for (hipStream_t other : live.streams)
		if (other->capture == c) {
			other->capture = nullptr;
			other->frontier.clear();
		}
	bool was_spoilt = c->spoilt;
	c->spoilt = true; /* for events recorded in it */
	if (was_spoilt)
		return hipErrorStreamCaptureInvalidated;
	if (!joined)
		return report(hipErrorStreamCaptureUnjoined,
		              "end of capture: work of another stream was not waited for");
	live.graphs.insert(*graph = new ihipGraph{c->nodes});
	return hipSuccess;
}

/* A captured event makes the stream join its capture, or adds edges within it. */
static hipError_t wait_captured(hipStream_t s, const ihipEvent_t &e)
{
	if (e.capture->spoilt)
		return hipErrorStreamCaptureInvalidated;
	if (s->capture && s->capture != e.capture)
		return spoil(s->capture, hipErrorStreamCaptureMerge, "waits for an event of another capture");
	if (s == &live.null)
		return spoil(e.capture, hipErrorStreamCaptureImplicit, "the null stream waits for a captured event");
	if (!s->capture)
		s->frontier.clear();
	s->capture = e.capture;
	unite(s->frontier, e.frontier);
	return hipSuccess;
}

static hipError_t wait_event(hipStream_t s, const ihipEvent_t &e)
{
	if (e.capture)
		return wait_captured(s, e);
	if (s->capture && e.op)
		return spoil(s->capture, hipErrorStreamCaptureIsolation, "waits for an event recorded outside it");
	if (e.op && !e.op->done)
		push(s, nullptr)->after.push_back(e.op);
	return hipSuccess;
}

/* ---- replay ---- */

static hipError_t replay_in_order(const Nodes &nodes)
{
	hipError_t err = hipSuccess;
	for (size_t i = 0; i < nodes.size() && !err; i++)
		err = nodes[i]->work();
	return err;
}

/* Another order its edges allow: the newest that is ready first, or any. */
static hipError_t replay(const Nodes &nodes)
{
	if (!sim().seed)
		return replay_in_order(nodes);
	std::unordered_map<hipGraphNode *, size_t> missing;
	std::unordered_map<hipGraphNode *, Frontier> users;
	Frontier ready;
	for (const auto &n : nodes) {
		missing[n.get()] = n->after.size();
		for (hipGraphNode *before : n->after)
			users[before].push_back(n.get());
		if (n->after.empty())
			ready.push_back(n.get());
	}
	hipError_t err = hipSuccess;
	while (!ready.empty() && !err) {
		std::swap(ready.back(), ready[sim().seed == 1 ? ready.size() - 1 : random_below(ready.size())]);
		hipGraphNode *n = ready.back();
		ready.pop_back();
		err = n->work();
		for (hipGraphNode *user : users[n])
			if (!--missing[user])
				ready.push_back(user);
	}
	return err;
}

/* ---- leaks ---- */

static int leaked(const char *what, size_t n)
{
	if (n)
		report(hipSuccess, "leak: %zu %s", n, what);
	return static_cast<int>(n);
}

int streams_alive()
{
	return leaked("streams", live.streams.size()) + leaked("events", live.events.size()) +
	       leaked("graphs", live.graphs.size()) + leaked("executable graphs", live.execs.size());
}

template <class Set> static void delete_all(Set &set)
{
	for (auto p : set)
		delete p;
	set.clear();
}

void drop_streams()
{
	live.null.queue.clear();
	delete_all(live.streams);
	delete_all(live.events);
	delete_all(live.graphs);
	delete_all(live.execs);
}

/* ---- the calls ---- */

static hipError_t dead(const char *call, const char *what, const void *handle)
{
	return report(hipErrorInvalidHandle, "%s: %s %p is not alive", call, what, handle);
}

/* The bodies get the parameter `stream` as `s`, alive; `event` alive. */
#define STREAM_CALL(name, flags, parameters, ...)                                   \
	HIP_CALL(name, flags, parameters,                                           \
		hipStream_t s = resolve(stream);                                    \
		if (!s)                                                             \
			return dead(#name, "stream", stream);                       \
		__VA_ARGS__)
#define EVENT_CALL(name, flags, parameters, ...)                                    \
	HIP_CALL(name, flags, parameters,                                           \
		if (!live.events.count(event))                                      \
			return dead(#name, "event", event);                         \
		__VA_ARGS__)

/* What a wait or a query may not do: look at a stream that captures. */
static hipError_t refuse_captured(hipStream_t s, const char *call)
{
	CaptureRef c = s == &live.null ? blocking_capture() : s->capture;
	if (!c)
		return hipSuccess;
	return spoil(c, s->capture ? hipErrorStreamCaptureUnsupported : hipErrorStreamCaptureImplicit, call);
}

static hipError_t query(const OpRef &op)
{
	if (!op || op->done)
		return sim().sticky;
	run_front(op->stream);
	return sim().sticky ? sim().sticky : hipErrorNotReady;
}

static hipError_t create_stream(hipStream_t *stream, unsigned flags)
{
	if (!stream || flags > hipStreamNonBlocking)
		return hipErrorInvalidValue;
	live.streams.push_back(*stream = new ihipStream_t{flags != hipStreamNonBlocking, {}, nullptr, {}});
	return hipSuccess;
}

/* A capture it takes part in is spoilt, and over if it began here. */
static void abandon_capture(hipStream_t s)
{
	CaptureRef c = s->capture;
	if (!c)
		return;
	spoil(c, hipErrorStreamCaptureInvalidated, "a stream of it was destroyed");
	for (hipStream_t other : live.streams)
		if (c->origin == s && other->capture == c)
			other->capture = nullptr;
}

static hipError_t create_event(hipEvent_t *event, unsigned flags)
{
	if (!event || flags > (hipEventBlockingSync | hipEventDisableTiming))
		return hipErrorInvalidValue;
	live.events.insert(*event = new ihipEvent_t{!(flags & hipEventDisableTiming), nullptr, nullptr, {}});
	return hipSuccess;
}

template <class T> static hipError_t destroy(std::set<T *> &set, T *p)
{
	if (!set.erase(p))
		return hipErrorInvalidValue;
	delete p;
	return hipSuccess;
}

} // namespace hipsim

using namespace hipsim;

HIP_CALL(hipStreamCreate, PLAIN, (hipStream_t *stream), return create_stream(stream, hipStreamDefault);)
HIP_CALL(hipStreamCreateWithFlags, PLAIN, (hipStream_t *stream, unsigned flags), return create_stream(stream, flags);)

/* Finishes what is queued. */
STREAM_CALL(hipStreamDestroy, RELEASES, (hipStream_t stream),
	if (s == &live.null)
		return hipErrorInvalidHandle;
	abandon_capture(s);
	drain(s);
	live.streams.erase(std::find(live.streams.begin(), live.streams.end(), s));
	delete s;
	return hipSuccess;
)

STREAM_CALL(hipStreamSynchronize, PLAIN, (hipStream_t stream),
	hipError_t err = refuse_captured(s, "hipStreamSynchronize");
	return err ? err : finish_stream(stream);
)

STREAM_CALL(hipStreamQuery, PLAIN, (hipStream_t stream),
	hipError_t err = refuse_captured(s, "hipStreamQuery");
	return err ? err : query(s->queue.empty() ? nullptr : s->queue.back());
)

STREAM_CALL(hipStreamWaitEvent, PLAIN, (hipStream_t stream, hipEvent_t event, unsigned),
	return live.events.count(event) ? wait_event(s, *event) : dead("hipStreamWaitEvent", "event", event);
)

HIP_CALL(hipEventCreate, PLAIN, (hipEvent_t *event), return create_event(event, hipEventDefault);)
HIP_CALL(hipEventCreateWithFlags, PLAIN, (hipEvent_t *event, unsigned flags), return create_event(event, flags);)
EVENT_CALL(hipEventDestroy, RELEASES, (hipEvent_t event), return destroy(live.events, event);)

EVENT_CALL(hipEventRecord, PLAIN, (hipEvent_t event, hipStream_t stream),
	hipStream_t s = resolve(stream);
	if (!s)
		return dead("hipEventRecord", "stream", stream);
	hipError_t err = s == &live.null ? refuse_captured(s, "hipEventRecord") : hipSuccess;
	if (err)
		return err;
	event->capture = s->capture;
	event->frontier = s->frontier;
	event->op = s->capture ? nullptr : push(s, nullptr);
	return hipSuccess;
)

EVENT_CALL(hipEventSynchronize, PLAIN, (hipEvent_t event),
	if (event->capture)
		return spoil(event->capture, hipErrorCapturedEvent, "hipEventSynchronize of its event");
	return event->op ? await(event->op) : hipSuccess;
)

EVENT_CALL(hipEventQuery, PLAIN, (hipEvent_t event),
	if (event->capture)
		return spoil(event->capture, hipErrorCapturedEvent, "hipEventQuery of its event");
	return query(event->op);
)

HIP_CALL(hipEventElapsedTime, PLAIN, (float *ms, hipEvent_t start, hipEvent_t stop),
	for (hipEvent_t event : {start, stop})
		if (!live.events.count(event) || !event->op || !event->timing)
			return hipErrorInvalidHandle;
	if (!start->op->done || !stop->op->done)
		return hipErrorNotReady;
	if (!ms)
		return hipErrorInvalidValue;
	*ms = static_cast<float>(static_cast<int64_t>(stop->op->finished_ns - start->op->finished_ns)) * 1e-6f;
	return hipSuccess;
)

STREAM_CALL(hipStreamBeginCapture, PLAIN, (hipStream_t stream, hipStreamCaptureMode mode),
	if (s == &live.null)
		return report(hipErrorStreamCaptureUnsupported, "the null stream cannot capture");
	if (s->capture)
		return hipErrorIllegalState;
	s->capture.reset(new Capture{s, mode, std::this_thread::get_id(), std::make_shared<Nodes>(), false});
	s->frontier.clear();
	return hipSuccess;
)

static Call call_hipStreamEndCapture("hipStreamEndCapture");

/* Made to fail, it ends the capture all the same, without a graph. */
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph)
{
	Lock hold;
	hipGraph_t made = nullptr;
	hipError_t err = api(call_hipStreamEndCapture, RELEASES, [&] {
		hipStream_t s = resolve(stream);
		if (!s || !graph)
			return s ? hipErrorInvalidValue : dead("hipStreamEndCapture", "stream", stream);
		return s->capture ? end_capture(s, &made) : hipErrorIllegalState;
	});
	if (err && live.graphs.erase(made))
		delete made;
	if (graph)
		*graph = err ? nullptr : made;
	return err;
}

STREAM_CALL(hipStreamIsCapturing, PLAIN, (hipStream_t stream, hipStreamCaptureStatus *status),
	if (!status)
		return hipErrorInvalidValue;
	*status = !s->capture ? hipStreamCaptureStatusNone
	          : s->capture->spoilt ? hipStreamCaptureStatusInvalidated : hipStreamCaptureStatusActive;
	return hipSuccess;
)

HIP_CALL(hipGraphGetNodes, PLAIN, (hipGraph_t graph, hipGraphNode_t *nodes, size_t *count),
	if (!live.graphs.count(graph) || !count)
		return hipErrorInvalidValue;
	size_t n = graph->nodes->size();
	for (size_t i = 0; nodes && i < *count; i++)
		nodes[i] = i < n ? (*graph->nodes)[i].get() : nullptr;
	*count = nodes ? std::min(n, *count) : n;
	return hipSuccess;
)

HIP_CALL(hipGraphNodeGetType, PLAIN, (hipGraphNode_t node, hipGraphNodeType *type),
	if (!node || !type)
		return hipErrorInvalidValue;
	*type = node->type;
	return hipSuccess;
)

HIP_CALL(hipGraphInstantiate, PLAIN,
         (hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *error_node, char *log, size_t log_size),
	if (error_node)
		*error_node = nullptr;
	if (log && log_size)
		*log = 0;
	if (!exec || !live.graphs.count(graph))
		return hipErrorInvalidValue;
	live.execs.insert(*exec = new hipGraphExec{graph->nodes});
	return hipSuccess;
)

HIP_CALL(hipGraphLaunch, PLAIN, (hipGraphExec_t exec, hipStream_t stream),
	if (!live.execs.count(exec))
		return hipErrorInvalidValue;
	std::shared_ptr<const Nodes> nodes = exec->nodes;
	return enqueue(stream, hipGraphNodeTypeGraph, [nodes] { return replay(*nodes); });
)

HIP_CALL(hipGraphExecDestroy, RELEASES, (hipGraphExec_t exec), return destroy(live.execs, exec);)
HIP_CALL(hipGraphDestroy, RELEASES, (hipGraph_t graph), return destroy(live.graphs, graph);)
