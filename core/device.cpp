#include "core/device.h"

#include <ostream>

namespace mixgrad {

std::ostream& operator<<(std::ostream& out, Device device) { return out << (device == cpu ? "cpu" : "cuda"); }

#ifndef MIXGRAD_WITH_CUDA
void check_available(Device device) {
  check(device == cpu, "this build of mixgrad has no CUDA; configure it with -DMIXGRAD_CUDA=ON");
}
#endif

void check_same_device(const char* op, Device a, Device b) { check(a == b, op, ": operands on ", a, " and ", b); }

}  // namespace mixgrad
