#include "core/parallel.h"

#include <omp.h>

#include "core/check.h"

namespace mixgrad {

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int threads) {
  check(threads >= 1, "set_num_threads: ", threads, " threads, needs at least 1");
  omp_set_num_threads(threads);
}

int thread_index() { return omp_get_thread_num(); }

}  // namespace mixgrad
