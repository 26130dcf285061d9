/* device.h - a GPU as graft sees it: a plugin's table (graft/plugin.h), and one session of it.
 *
 * Loading a plugin and opening a session are the only places that start a GPU. Everything here throws; what a plugin
 * answers becomes an error that names the runtime's call, and, with `where`, the node.
 */
#ifndef GRAFT_DEVICE_H
#define GRAFT_DEVICE_H

#include "../probe/probe.h"

typedef enum DeviceKind { DEVICE_CPU, DEVICE_HIP, DEVICE_AUTO } DeviceKind;

typedef struct Device {
	const graft_device *api;
	graft_session *session;
	graft_device_info info;
	const char *plugin, *pack;            /* paths: the plugin, and the kernel pack that lies beside it */
	Rig rig;                              /* runs self tests on it */
} Device;

/* NULL and "cpu", "hip" and "hip:PLUGIN", "auto"; anything else fails with GRAFT_E_USAGE. */
DeviceKind device_kind(Job *job, const char *asked);

/* Opens device 0 of the plugin that lies beside graft, or of the one named. Fails with GRAFT_E_UNAVAILABLE and the
 * reason: which library is not there, or what the runtime answered. The session ends with the arena. */
Device *device_open(Job *job, const char *asked, Arena *into);

/* What packs answer for it; the pack beside the plugin is asked too unless packs were named. */
const Target *device_target(const Device *d, graft_context *ctx, Arena *into);

/* Between the two the thread's current device is d's. leave may be called when enter was not; it throws nothing. */
void device_enter(Job *job, Device *d);
void device_leave(Device *d);

/* The error for what a plugin answered; where: a node, or NULL. */
_Noreturn void device_fail(Job *job, const Device *d, int status, const graft_fault *fault, const char *where);

/* CALL(job, d, alloc, size, &p): calls an entry of the plugin; throws what it answers. */
#define CALL(job, d, entry, ...) CALL_AT(NULL, job, d, entry, __VA_ARGS__)
#define CALL_AT(where, job, d, entry, ...)                                                                             \
	do {                                                                                                           \
		graft_fault fault_ = { 0 };                                                                            \
		int status_ = (d)->api->entry((d)->session, __VA_ARGS__, &fault_);                                     \
		if (status_)                                                                                           \
			device_fail((job), (d), status_, &fault_, (where));                                            \
	} while (0)
void device_wait(Job *job, Device *d, const char *where);

#endif
