#include "core/parallel.h"

#include <omp.h>

#include "core/check.h"

namespace mixgrad {

namespace {
thread_local bool single_threaded = false;
}

int num_threads() { return single_threaded ? 1 : omp_get_max_threads(); }

void set_num_threads(int threads) {
  check(threads >= 1, "set_num_threads: ", threads, " threads, needs at least 1");
  omp_set_num_threads(threads);
}

int thread_index() { return single_threaded ? 0 : omp_get_thread_num(); }

SingleThreaded::SingleThreaded() : single_threaded_(single_threaded, true) {}

}  // namespace mixgrad
