/* The host's vdso, kept in stubs so that guests read the time without a trap (host-vdso.c). */
#pragma once
#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

/* Where the host's time pages and code are in every stub: above guest memory on all platforms, below the stub's page. */
#define HOST_VDSO 0x7ffffffe0000ul
#define HOST_VDSO_ROOM 0x10000ul

/* Finds them in this process. Call before it closes itself in. */
void cordon_find_host_vdso(void);
/* In the child that becomes a stub, on a stack that does not lie there: moves them to HOST_VDSO. 0, or -errno: it goes without. */
int cordon_move_host_vdso(void);
/* The stub goes without: there is none to tell guests of. */
void cordon_forget_host_vdso(void);

/* Where they are in this process, data first, and how much there is; 0 where there is none. */
size_t cordon_host_vdso_range(void **at);

/* hostVdso(): {address of the code in stubs, its bytes} or null. */
napi_value cordon_host_vdso(napi_env env, napi_callback_info info);
