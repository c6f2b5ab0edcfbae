// Fibers: functions with a stack of their own, of which one runs until it names the next. The threads of a block.
#pragma once

namespace executor {

inline constexpr int max_fibers = 1024;  // the threads of the largest block
inline constexpr int host = -1;          // who calls prepare_fibers; the fibers are 0 .. max_fibers - 1

// Makes fibers 0 .. count - 1 fresh ones, to run `life` when first switched to; it returns the fiber to run after it.
void prepare_fibers(int count, int (*life)());
int current_fiber();  // or host
// Returns when something switches back.
void switch_to(int fiber);
// Back to the host for good: no fiber is resumed before the next prepare_fibers. What they own is not destroyed.
[[noreturn]] void abandon_fibers();

}  // namespace executor
