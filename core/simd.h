// Vectors of floats as the compiler's own types (private): one source for AVX-512, AVX2, SSE and NEON.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace mixgrad::host {

#if defined(__AVX512F__)
inline constexpr int lanes = 16;
#elif defined(__AVX__)
inline constexpr int lanes = 8;
#else
inline constexpr int lanes = 4;
#endif

// `lanes` floats, with + - * / and comparison for each lane.
using Vector = float __attribute__((vector_size(lanes * sizeof(float))));

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof v); }

// Keeps v in a register: otherwise g++ reloads it from memory at each use.
[[gnu::always_inline]] inline Vector in_register(Vector v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
  return v;
}

// Only the first `count` lanes; the others load as 0. (g++ compiles each loop to a masked instruction, but not where it
// is inlined into a loop that it unrolls.)
[[gnu::noinline]] inline Vector load_first(int count, const float* from) {
  Vector v{};
  for (int i = 0; i < lanes; ++i) v[i] = i < count ? from[i] : 0.0f;
  return v;
}
[[gnu::noinline]] inline void store_first(int count, float* to, Vector v) {
  for (int i = 0; i < lanes; ++i)
    if (i < count) to[i] = v[i];
}
// The same where often all lanes are used.
inline Vector load(const float* from, std::int64_t count) {
  return count >= lanes ? load(from) : load_first(static_cast<int>(count), from);
}
inline void store(float* to, Vector v, std::int64_t count) {
  if (count >= lanes) store(to, v);
  else store_first(static_cast<int>(count), to, v);
}

// Copies n elements, faster than memmove for small n; if `mask` is given, 0 where the mask's element is at most 0.
inline void copy_row(const float* from, const float* mask, std::int64_t n, float* to) {
  const auto masked = [](Vector v, Vector m) { return m <= Vector{} ? Vector{} : v; };
  const auto copy_vector = [=](std::int64_t i) {
    store(to + i, mask ? masked(load(from + i), load(mask + i)) : load(from + i));
  };
  if (n < lanes) {
    const Vector v = load(from, n);
    return store(to, mask ? masked(v, load(mask, n)) : v, n);
  }
  for (std::int64_t i = 0; i + lanes < n; i += lanes) copy_vector(i);
  copy_vector(n - lanes);
}

// The sum of all lanes, by halves.
template <int half, std::size_t... i>
Vector add_half(Vector v, std::index_sequence<i...>) {
  return v + __builtin_shufflevector(v, v, (static_cast<int>(i) ^ half)...);
}
template <int half = lanes / 2>
float horizontal_sum(Vector v) {
  if constexpr (half == 0) return v[0];
  else return horizontal_sum<half / 2>(add_half<half>(v, std::make_index_sequence<lanes>()));
}

// The lower (upper) half of the lanes in f64.
using Doubles = double __attribute__((vector_size(sizeof(Vector))));
template <bool upper, std::size_t... i>
Doubles half_in_f64(Vector v, std::index_sequence<i...>) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, (static_cast<int>(i) + upper * lanes / 2)...), Doubles);
}
template <bool upper>
Doubles half_in_f64(Vector v) {
  return half_in_f64<upper>(v, std::make_index_sequence<lanes / 2>());
}

// Interleaves the lower (upper) halves of a and b.
template <bool second, std::size_t... i>
Vector interleave(Vector a, Vector b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b,
                                 (static_cast<int>(i % 2) * lanes + static_cast<int>(i / 2) + second * lanes / 2)...);
}

// Exchanges rows and columns. Each step rotates the bits of an element's position (row and column bits concatenated) by
// one: log2(lanes) steps swap the two.
inline void transpose_square(Vector (&rows)[lanes]) {
  constexpr auto all = std::make_index_sequence<lanes>();
  for (int step = 1; step < lanes; step *= 2) {
    Vector next[lanes];
#pragma GCC unroll 8
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleave<false>(rows[i], rows[i + lanes / 2], all);
      next[2 * i + 1] = interleave<true>(rows[i], rows[i + lanes / 2], all);
    }
    std::copy_n(next, lanes, rows);
  }
}

// n rounded up to whole vectors.
constexpr std::int64_t whole_vectors(std::int64_t n) { return (n + lanes - 1) / lanes * lanes; }

}  // namespace mixgrad::host
