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
		if (s->capture->mode == hipStreamCaptureModeThreadLocal && s->capture->owner != std::this_thread::get_id())
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
		return spoil(c, hipErrorStreamCaptureImplicit, "the null stream was used while a blocking stream captures");
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
		return report(hipErrorStreamCaptureUnjoined, "end of capture: work of another stream was not waited for");
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

/* body gets the stream behind a handle. */
static hipError_t with_stream(const char *call, int flags, hipStream_t handle,
                              const std::function<hipError_t(hipStream_t)> &body)
{
	return api(call, flags, [&] {
		hipStream_t s = resolve(handle);
		return s ? body(s) : report(hipErrorInvalidHandle, "%s: stream %p is not alive", call, static_cast<void *>(handle));
	});
}

static hipError_t with_event(const char *call, int flags, hipEvent_t e, const std::function<hipError_t()> &body)
{
	return api(call, flags, [&] {
		return live.events.count(e) ? body()
		                            : report(hipErrorInvalidHandle, "%s: event %p is not alive", call, static_cast<void *>(e));
	});
}

/* What a wait or a query may not do: look at a stream that captures. */
static hipError_t refuse_captured(hipStream_t s, const char *call)
{
	CaptureRef c = s == &live.null ? blocking_capture() : s->capture;
	return c ? spoil(c, s->capture ? hipErrorStreamCaptureUnsupported : hipErrorStreamCaptureImplicit, call) : hipSuccess;
}

static hipError_t query(const OpRef &op)
{
	if (!op || op->done)
		return sim().sticky;
	run_front(op->stream);
	return sim().sticky ? sim().sticky : hipErrorNotReady;
}

} // namespace hipsim

using namespace hipsim;

static hipError_t create_stream(const char *call, hipStream_t *stream, unsigned flags)
{
	return api(call, PLAIN, [&] {
		if (!stream || flags > hipStreamNonBlocking)
			return hipErrorInvalidValue;
		live.streams.push_back(*stream = new ihipStream_t{flags != hipStreamNonBlocking, {}, nullptr, {}});
		return hipSuccess;
	});
}

hipError_t hipStreamCreate(hipStream_t *stream)
{
	return create_stream(__func__, stream, hipStreamDefault);
}

hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags)
{
	return create_stream(__func__, stream, flags);
}

/* Finishes what is queued; a capture it takes part in is spoilt, and over if it began here. */
hipError_t hipStreamDestroy(hipStream_t stream)
{
	return with_stream(__func__, RELEASES, stream, [&](hipStream_t s) {
		if (s == &live.null)
			return hipErrorInvalidHandle;
		if (s->capture) {
			spoil(s->capture, hipErrorStreamCaptureInvalidated, "a stream of it was destroyed");
			for (hipStream_t other : live.streams)
				if (other != s && s->capture->origin == s && other->capture == s->capture)
					other->capture = nullptr;
		}
		DeviceOpen open;
		drain(s);
		live.streams.erase(std::find(live.streams.begin(), live.streams.end(), s));
		delete s;
		return hipSuccess;
	});
}

hipError_t hipStreamSynchronize(hipStream_t stream)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		hipError_t err = refuse_captured(s, "hipStreamSynchronize");
		return err ? err : finish_stream(stream);
	});
}

hipError_t hipStreamQuery(hipStream_t stream)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		hipError_t err = refuse_captured(s, "hipStreamQuery");
		return err ? err : query(s->queue.empty() ? nullptr : s->queue.back());
	});
}

hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		return live.events.count(event) ? wait_event(s, *event) : hipErrorInvalidHandle;
	});
}

static hipError_t create_event(const char *call, hipEvent_t *event, unsigned flags)
{
	return api(call, PLAIN, [&] {
		if (!event || flags > (hipEventBlockingSync | hipEventDisableTiming))
			return hipErrorInvalidValue;
		live.events.insert(*event = new ihipEvent_t{!(flags & hipEventDisableTiming), nullptr, nullptr, {}});
		return hipSuccess;
	});
}

hipError_t hipEventCreate(hipEvent_t *event)
{
	return create_event(__func__, event, hipEventDefault);
}

hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned flags)
{
	return create_event(__func__, event, flags);
}

hipError_t hipEventDestroy(hipEvent_t event)
{
	return with_event(__func__, RELEASES, event, [&] {
		live.events.erase(event);
		delete event;
		return hipSuccess;
	});
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		if (!live.events.count(event))
			return hipErrorInvalidHandle;
		event->capture = s->capture;
		event->frontier = s->frontier;
		event->op = s->capture ? nullptr : push(s, nullptr);
		return hipSuccess;
	});
}

hipError_t hipEventSynchronize(hipEvent_t event)
{
	return with_event(__func__, PLAIN, event, [&] {
		if (event->capture)
			return spoil(event->capture, hipErrorCapturedEvent, "hipEventSynchronize of its event");
		return event->op ? await(event->op) : hipSuccess;
	});
}

hipError_t hipEventQuery(hipEvent_t event)
{
	return with_event(__func__, PLAIN, event, [&] {
		if (event->capture)
			return spoil(event->capture, hipErrorCapturedEvent, "hipEventQuery of its event");
		return query(event->op);
	});
}

hipError_t hipEventElapsedTime(float *ms, hipEvent_t start, hipEvent_t stop)
{
	return with_event(__func__, PLAIN, start, [&] {
		if (!ms)
			return hipErrorInvalidValue;
		if (!live.events.count(stop) || !start->op || !stop->op || !start->timing || !stop->timing)
			return hipErrorInvalidHandle;
		if (!start->op->done || !stop->op->done)
			return hipErrorNotReady;
		*ms = static_cast<float>(static_cast<int64_t>(stop->op->finished_ns - start->op->finished_ns)) * 1e-6f;
		return hipSuccess;
	});
}

hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		if (s == &live.null)
			return report(hipErrorStreamCaptureUnsupported, "the null stream cannot capture");
		if (s->capture)
			return hipErrorIllegalState;
		s->capture = std::make_shared<Capture>(Capture{s, mode, std::this_thread::get_id(), std::make_shared<Nodes>(), false});
		s->frontier.clear();
		return hipSuccess;
	});
}

/* A call made to fail ends the capture all the same, without a graph. */
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	hipGraph_t made = nullptr;
	hipError_t err = with_stream(__func__, RELEASES, stream, [&](hipStream_t s) {
		if (!graph || !s->capture)
			return graph ? hipErrorIllegalState : hipErrorInvalidValue;
		return end_capture(s, &made);
	});
	if (err && live.graphs.erase(made))
		delete made;
	if (graph)
		*graph = err ? nullptr : made;
	return err;
}

hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus *status)
{
	return with_stream(__func__, PLAIN, stream, [&](hipStream_t s) {
		if (!status)
			return hipErrorInvalidValue;
		*status = !s->capture ? hipStreamCaptureStatusNone
		          : s->capture->spoilt ? hipStreamCaptureStatusInvalidated : hipStreamCaptureStatusActive;
		return hipSuccess;
	});
}

hipError_t hipGraphGetNodes(hipGraph_t graph, hipGraphNode_t *nodes, size_t *count)
{
	return api(__func__, PLAIN, [&] {
		if (!live.graphs.count(graph) || !count)
			return hipErrorInvalidValue;
		size_t n = graph->nodes->size();
		for (size_t i = 0; nodes && i < *count; i++)
			nodes[i] = i < n ? (*graph->nodes)[i].get() : nullptr;
		*count = nodes ? std::min(n, *count) : n;
		return hipSuccess;
	});
}

hipError_t hipGraphNodeGetType(hipGraphNode_t node, hipGraphNodeType *type)
{
	return api(__func__, PLAIN, [&] {
		if (!node || !type)
			return hipErrorInvalidValue;
		*type = node->type;
		return hipSuccess;
	});
}

hipError_t hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *error_node, char *log, size_t log_size)
{
	return api(__func__, PLAIN, [&] {
		if (error_node)
			*error_node = nullptr;
		if (log && log_size)
			*log = 0;
		if (!exec || !live.graphs.count(graph))
			return hipErrorInvalidValue;
		live.execs.insert(*exec = new hipGraphExec{graph->nodes});
		return hipSuccess;
	});
}

hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream)
{
	return api(__func__, PLAIN, [&] {
		if (!live.execs.count(exec))
			return hipErrorInvalidValue;
		std::shared_ptr<const Nodes> nodes = exec->nodes;
		return enqueue(stream, hipGraphNodeTypeGraph, [nodes] { return replay(*nodes); });
	});
}

template <class T> static hipError_t destroy(const char *call, std::set<T *> &set, T *p)
{
	return api(call, RELEASES, [&] {
		if (!set.erase(p))
			return hipErrorInvalidValue;
		delete p;
		return hipSuccess;
	});
}

hipError_t hipGraphExecDestroy(hipGraphExec_t exec)
{
	return destroy(__func__, live.execs, exec);
}

hipError_t hipGraphDestroy(hipGraph_t graph)
{
	return destroy(__func__, live.graphs, graph);
}
