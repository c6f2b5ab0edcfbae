#include "core/profile.h"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <utility>

#include "core/check.h"

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
  const auto print = [&](const std::string& kernel, const std::string& calls, const std::string& ms,
                         const std::string& share = {}, const std::string& rate = {}) {
    const auto cell = [](const std::string& text, int width) { return text_of(' ', std::setw(width), text); };
    out << text_of(std::left, std::setw(32), kernel) << cell(calls, 10) << cell(ms, 12)
        << (share.empty() ? "" : cell(share, 7)) << (rate.empty() ? "" : cell(rate, 9)) << '\n';
  };
  const auto ms = [](double seconds) { return with_decimals(1e3 * seconds, 2); };
  const auto share = [&](double seconds) { return with_decimals(100 * seconds / total, 1) + '%'; };
  print("kernel", "calls", "ms", "share", "GFLOP/s");
  double rest = total;
  for (const auto& [kernel, calls, seconds, flops] : profile.entries()) {
    const std::string rate = flops > 0 ? with_decimals(1e-9 * flops / seconds, 1) : "";
    print(kernel, std::to_string(calls), ms(seconds), share(seconds), rate);
    rest -= seconds;
  }
  print("outside kernels", "", ms(rest), share(rest));
  print("total", "", ms(total));
  return out;
}

}  // namespace mixgrad
