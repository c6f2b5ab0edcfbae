// Vectors of floats as the compiler's own types (private): one source for AVX-512, AVX2, SSE and NEON.
#pragma once

#include <cstdint>
#include <cstring>

namespace mixgrad {

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

// The same where perhaps only the first `count` >= 1 numbers are there; of a vector read, the rest are 0.
inline Vector load(const float* from, std::int64_t count) {
  if (count >= lanes) return load(from);
  Vector v{};
  std::memcpy(&v, from, static_cast<std::size_t>(count) * sizeof(float));
  return v;
}
inline void store(float* to, Vector v, std::int64_t count) {
  if (count >= lanes) return store(to, v);
  std::memcpy(to, &v, static_cast<std::size_t>(count) * sizeof(float));
}

// n rounded up to whole vectors.
constexpr std::int64_t whole_vectors(std::int64_t n) { return (n + lanes - 1) / lanes * lanes; }

}  // namespace mixgrad
