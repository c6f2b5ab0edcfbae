// What a kernel may call besides <cmath>: barriers, warp shuffles and votes, integer atomics, intrinsics.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "block.h"

// Barriers of the block.
inline void __syncthreads(executor::Location where = executor::Location::current()) { executor::block_barrier(where); }
inline int __syncthreads_or(int predicate, executor::Location where = executor::Location::current()) {
  return executor::block_vote(predicate, where).any;
}
inline int __syncthreads_and(int predicate, executor::Location where = executor::Location::current()) {
  return executor::block_vote(predicate, where).all;
}
inline int __syncthreads_count(int predicate, executor::Location where = executor::Location::current()) {
  return executor::block_vote(predicate, where).count;
}
// Memory is never weakly ordered here.
inline void __threadfence() {}
inline void __threadfence_block() {}

// Warps.
inline void __syncwarp(unsigned mask = ~0u, executor::Location where = executor::Location::current()) {
  executor::warp_collective(
      mask, &mask, [](void* const(&)[warpSize]) {}, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, executor::Location where = executor::Location::current()) {
  struct Vote {
    bool mine;
    unsigned all;
  } vote{predicate != 0, 0};
  executor::warp_collective(
      mask, &vote,
      [](void* const(&lanes)[warpSize]) {
        unsigned all = 0;
        for (int i = 0; i < warpSize; ++i)
          if (lanes[i] && static_cast<Vote*>(lanes[i])->mine) all |= 1u << i;
        for (void* lane : lanes)
          if (lane) static_cast<Vote*>(lane)->all = all;
      },
      where);
  return vote.all;
}
inline int __any_sync(unsigned mask, int predicate, executor::Location where = executor::Location::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, executor::Location where = executor::Location::current()) {
  return __ballot_sync(mask, predicate, where) == mask;
}

namespace executor {

// The value of lane `source`, which must be in the mask as well.
template <class T>
T shuffle(unsigned mask, T value, int source, Location where) {
  static_assert(std::is_arithmetic_v<T>, "CUDA shuffles numbers only");
  if (!(mask >> source & 1)) fault(where, "lane %d reads lane %d, which is not in the mask %08x", lane(), source, mask);
  struct Exchange {
    T given, taken;
    int source;
  } exchange{value, value, source};
  warp_collective(
      mask, &exchange,
      [](void* const(&lanes)[warpSize]) {
        for (void* lane : lanes)
          if (auto* to = static_cast<Exchange*>(lane)) to->taken = static_cast<Exchange*>(lanes[to->source])->given;
      },
      where);
  return exchange.taken;
}

}  // namespace executor

// `width`, a power of two, cuts the warp into segments; a lane that would read outside its own reads itself.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              executor::Location where = executor::Location::current()) {
  const int lane = executor::lane();
  return executor::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  executor::Location where = executor::Location::current()) {
  const int lane = executor::lane(), source = lane ^ lane_mask;
  return executor::shuffle(mask, value, source < (lane & ~(width - 1)) + width ? source : lane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   executor::Location where = executor::Location::current()) {
  const int lane = executor::lane(), source = (lane & (width - 1)) + static_cast<int>(delta);
  return executor::shuffle(mask, value, source < width ? lane + static_cast<int>(delta) : lane, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 executor::Location where = executor::Location::current()) {
  const int lane = executor::lane(), source = (lane & (width - 1)) - static_cast<int>(delta);
  return executor::shuffle(mask, value, source >= 0 ? lane - static_cast<int>(delta) : lane, where);
}

namespace executor {

// Only one thread runs at a time, so that any plain step is atomic.
template <class T, class F>
T atomic(T* address, F changed) {
  static_assert(std::is_integral_v<T> && sizeof(T) >= 4, "no float atomics: their sums depend on the order of threads");
  const T before = *address;
  *address = changed(before);
  return before;
}

}  // namespace executor

// Integer atomics; each returns the value before.
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return static_cast<T>(x + value); });
}
template <class T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return static_cast<T>(x - value); });
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return x < value ? value : x; });
}
template <class T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return value < x ? value : x; });
}
template <class T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return static_cast<T>(x & value); });
}
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return static_cast<T>(x | value); });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  return executor::atomic(address, [=](T x) { return x == compare ? value : x; });
}
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return executor::atomic(address, [=](unsigned x) { return x >= last ? 0 : x + 1; });
}

// Arithmetic.
template <class T>
T __ldg(const T* address) {
  return *address;
}
constexpr int min(int a, int b) { return b < a ? b : a; }
constexpr int max(int a, int b) { return a < b ? b : a; }
constexpr unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
constexpr unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
