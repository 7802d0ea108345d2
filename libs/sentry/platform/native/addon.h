/* The parts of the addon. Each registers its functions on the exports object. */
#ifndef CORDON_ADDON_H
#define CORDON_ADDON_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

void cordon_register_zygote(napi_env env, napi_value exports);
void cordon_register_prefault(napi_env env, napi_value exports);
void cordon_register_confine(napi_env env, napi_value exports);

void cordon_register_host(napi_env env, napi_value exports);
void cordon_register_ptrace(napi_env env, napi_value exports);
void cordon_register_systrap(napi_env env, napi_value exports);
void cordon_register_kvm(napi_env env, napi_value exports);

/* Descriptor of the memory file, or -1 (host.c). */
int cordon_memory_fd(void);
/* Where the Sentry has the memory file mapped, and how much of it. */
uint8_t *cordon_memory_base(size_t *capacity);

#endif
