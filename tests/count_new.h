// How often the test program has called operator new.
#pragma once

#include <cstdint>

std::uint64_t operator_new_calls();
