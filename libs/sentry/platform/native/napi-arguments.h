/* Small helpers to take Node-API arguments apart. */
#pragma once
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#define ARGUMENTS(count)                  \
  napi_value arguments[count] = {0};      \
  size_t argument_count = count;          \
  napi_get_cb_info(env, info, &argument_count, arguments, NULL, NULL)

static inline int64_t int_of(napi_env env, napi_value value) {
  int64_t result = 0;
  if (value) napi_get_value_int64(env, value, &result);
  return result;
}

static inline double double_of(napi_env env, napi_value value) {
  double result = 0;
  if (value) napi_get_value_double(env, value, &result);
  return result;
}

/* False when it does not fit. */
static inline bool string_of(napi_env env, napi_value value, char *out, size_t size) {
  size_t length = 0;
  if (napi_get_value_string_latin1(env, value, NULL, 0, &length) != napi_ok || length >= size) return false;
  return napi_get_value_string_latin1(env, value, out, size, &length) == napi_ok;
}

struct bytes {
  uint8_t *data;
  size_t length;
};

static inline struct bytes bytes_of(napi_env env, napi_value value) {
  struct bytes result = {0};
  napi_typedarray_type type;
  size_t count = 0;
  void *data = NULL;
  if (value && napi_get_typedarray_info(env, value, &type, &count, &data, NULL, NULL) == napi_ok) {
    size_t width = type == napi_float64_array || type == napi_bigint64_array || type == napi_biguint64_array ? 8
                   : type == napi_int32_array || type == napi_uint32_array || type == napi_float32_array     ? 4
                   : type == napi_int16_array || type == napi_uint16_array                                   ? 2
                                                                                                             : 1;
    result.data = data;
    result.length = count * width;
  }
  return result;
}

struct function {
  const char *name;
  napi_callback call;
};

static inline void register_functions(napi_env env, napi_value exports, const struct function *functions, size_t count) {
  for (size_t i = 0; i < count; i++) {
    napi_value value;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &value);
    napi_set_named_property(env, exports, functions[i].name, value);
  }
}
