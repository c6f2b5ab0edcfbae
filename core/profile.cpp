#include "core/profile.h"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <utility>

namespace mixgrad {
namespace {

using Clock = std::chrono::steady_clock;

thread_local Profile* active = nullptr;

}  // namespace

Profile::Profile() : active_(active, this), start_(Clock::now()) {}

std::vector<Profile::Entry> Profile::entries() const {
  std::vector<Entry> sorted = entries_;
  std::sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) { return a.seconds > b.seconds; });
  return sorted;
}

double Profile::seconds() const { return seconds_since(start_); }

void count_flops(double flops) {
  if (active) active->pending_flops_ += flops;
}

KernelTimer::KernelTimer(const char* kernel) : profile_(active), kernel_(kernel) {
  if (!profile_) return;
  flops_ = std::exchange(profile_->pending_flops_, 0);
  outer_inner_seconds_ = std::exchange(profile_->inner_seconds_, 0);
  start_ = Clock::now();
}

KernelTimer::~KernelTimer() {
  if (!profile_) return;
  const double seconds = seconds_since(start_);
  auto& entries = profile_->entries_;
  auto entry = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.kernel == kernel_; });
  if (entry == entries.end()) entry = entries.insert(entries.end(), {.kernel = kernel_});
  ++entry->calls;
  entry->seconds += seconds - profile_->inner_seconds_;
  profile_->inner_seconds_ = outer_inner_seconds_ + seconds;
  entry->flops += flops_;
}

std::ostream& operator<<(std::ostream& out, const Profile& profile) {
  const double total = profile.seconds();
  char line[128];
  const auto print = [&](auto... values) {
    std::snprintf(line, sizeof line, values...);
    out << line;
  };
  print("%-32s %10s %12s %7s %9s\n", "kernel", "calls", "ms", "share", "GFLOP/s");
  double rest = total;
  for (const Profile::Entry& entry : profile.entries()) {
    print("%-32s %10llu %12.2f %6.1f%%", entry.kernel.c_str(), static_cast<unsigned long long>(entry.calls),
          1e3 * entry.seconds, 100 * entry.seconds / total);
    if (entry.flops > 0) print(" %9.1f", 1e-9 * entry.flops / entry.seconds);
    out << '\n';
    rest -= entry.seconds;
  }
  print("%-32s %10s %12.2f %6.1f%%\n", "outside kernels", "", 1e3 * rest, 100 * rest / total);
  print("%-32s %10s %12.2f\n", "total", "", 1e3 * total);
  return out;
}

}  // namespace mixgrad
