#include "core/device.h"

#include <ostream>

namespace mixgrad {

std::ostream& operator<<(std::ostream& out, Device device) { return out << (device == cpu ? "cpu" : "cuda"); }

void check_same_device(const char* op, Device a, Device b) { check(a == b, op, ": operands on ", a, " and ", b); }

}  // namespace mixgrad
