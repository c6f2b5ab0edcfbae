// Element types of tensors, and the bridge from a run-time DType to a compile-time C++ type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/check.h"
#include "core/host_device.h"

namespace mixgrad {

enum class DType : std::uint8_t {
  f32,  // the default
  f64,  // gradient checks and references
  i32,  // labels and indices
  u8,   // raw images
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  else {
    static_assert(std::is_same_v<T, std::uint8_t>, "no DType for this type");
    return DType::u8;
  }
}

constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t sizes[] = {4, 8, 4, 1};
  return sizes[static_cast<std::size_t>(dtype)];
}

constexpr const char* name_of(DType dtype) {
  constexpr const char* names[] = {"f32", "f64", "i32", "u8"};
  return names[static_cast<std::size_t>(dtype)];
}

constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

// Converts a value: to an integer it is truncated, then clamped; NaN becomes the minimum.
template <class To, class From>
MIXGRAD_HOST_DEVICE To number_as(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    if (!(value >= Limits::min())) return Limits::min();  // nan too
    if (value >= static_cast<double>(Limits::max())) return Limits::max();
  }
  return static_cast<To>(value);
}

// Calls f with std::true_type or std::false_type.
template <class F>
decltype(auto) with_constant(bool value, F&& f) {
  if (value) return f(std::true_type{});
  return f(std::false_type{});
}

// with_dtype(x.dtype(), [&]<class T>(T) { ... }): calls f with a value of the matching C++ type.
template <class F>
decltype(auto) with_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64: return f(double{});
    case DType::i32: return f(std::int32_t{});
    case DType::u8: return f(std::uint8_t{});
    case DType::f32: break;
  }
  return f(float{});
}

// The same for operations that exist for f32 and f64 only; throws "op: needs f32 or f64, not i32".
template <class F>
decltype(auto) with_floating(const char* op, DType dtype, F&& f) {
  check(is_floating(dtype), op, ": needs f32 or f64, not ", name_of(dtype));
  if (dtype == DType::f64) return f(double{});
  return f(float{});
}

}  // namespace mixgrad
