#include "tests/bench/fma_peak.h"

#include <chrono>

namespace mixgrad::bench {
namespace {

// As wide as this machine's vectors, and as many of them as hide the latency of the units, but leave registers free.
#if defined(__AVX512F__)
constexpr int bytes = 64, accumulators = 16;
#elif defined(__AVX__)
constexpr int bytes = 32, accumulators = 12;
#elif defined(__aarch64__)
constexpr int bytes = 16, accumulators = 16;
#else
constexpr int bytes = 16, accumulators = 12;
#endif
typedef float Vector __attribute__((vector_size(bytes)));

using Clock = std::chrono::steady_clock;

// a = factor a + 1, many times. The factor is not known to the compiler; a stays near 1 / (1 - factor).
constexpr int iterations = 100'000;
[[gnu::noinline]] float multiply_add(float factor) {
  Vector sums[accumulators];
  for (int i = 0; i < accumulators; ++i) sums[i] = Vector{} + static_cast<float>(i);
  const Vector x = Vector{} + factor, one = Vector{} + 1.0F;
  for (int iteration = 0; iteration < iterations; ++iteration)
    for (int i = 0; i < accumulators; ++i) sums[i] = sums[i] * x + one;
  float total = 0;
  for (int i = 0; i < accumulators; ++i) total += sums[i][0];
  return total;
}

}  // namespace

double fma_peak(int threads, double seconds) {
  volatile float factor = 0.5F, sink = 0;
  double calls = 0;
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
#pragma omp parallel num_threads(threads) reduction(+ : calls)
  while (elapsed() < seconds) {
    const float result = multiply_add(factor);
#pragma omp atomic write
    sink = result;
    ++calls;
  }
  const double flops = 2.0 * iterations * accumulators * bytes / sizeof(float);
  return 1e-9 * calls * flops / elapsed();
}

}  // namespace mixgrad::bench
