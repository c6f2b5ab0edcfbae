// What a machine's cores can do at most: a loop of fused multiply-adds on registers, with nothing to load or store.
#pragma once

namespace mixgrad::bench {

// GFLOP/s of so many threads together, measured for some seconds. A multiply-add counts as two.
double fma_peak(int threads, double seconds);

}  // namespace mixgrad::bench
