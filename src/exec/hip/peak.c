/* peak.c - peak rates of matrix products, by architecture: operations per compute unit and clock, as the makers state
 * them. */
#include "session.h"
#include <string.h>

static const struct { const char *arch; int f64, f32, half; } rates[] = {
	{ "gfx90a", 256, 256, 1024 },
	{ "gfx940", 256, 256, 2048 },
	{ "gfx942", 256, 256, 2048 },
	{ "gfx950", 128, 256, 4096 },
	{ "gfx1030", 8, 256, 512 },
	{ "gfx1100", 8, 256, 512 },
	{ "sm_80", 128, 128, 2048 },
	{ "sm_86", 4, 256, 1024 },
	{ "sm_89", 4, 256, 1024 },
	{ "sm_90", 256, 256, 4096 },
};

void peak_fill(graft_device_info *info, int clock_khz)
{
	double clocks = 1e3 * clock_khz * info->units;
	size_t n = strcspn(info->arch, ":");
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		if (strlen(rates[i].arch) != n || strncmp(rates[i].arch, info->arch, n))
			continue;
		info->flops_f64 = clocks * rates[i].f64;
		info->flops_f32 = clocks * rates[i].f32;
		info->flops_half = clocks * rates[i].half;
	}
}
