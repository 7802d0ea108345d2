/* The addon's entry: one shared object, its functions on one object. Parts are listed in addon.h. */
#include "addon.h"

NAPI_MODULE_INIT() {
  cordon_register_zygote(env, exports);
  cordon_register_prefault(env, exports);
  cordon_register_confine(env, exports);
  cordon_register_host(env, exports);
  cordon_register_ptrace(env, exports);
  cordon_register_systrap(env, exports);
  cordon_register_kvm(env, exports);
  return exports;
}
