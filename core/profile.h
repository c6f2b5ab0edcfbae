// Where the time goes: a table of the kernels that a thread runs, with calls, time and FLOPs.
//
//   Profile profile;
//   learn.fit(1);
//   std::cout << profile;
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/scope.h"

namespace mixgrad {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Counts every kernel that this thread dispatches while it lives; of two alive at once, the later one counts.
class Profile {
 public:
  Profile();

  struct Entry {
    std::string kernel;
    std::uint64_t calls = 0;
    double seconds = 0;  // excluding kernels called inside it
    double flops = 0;    // floating-point operations of the products; 0 for memory-bound kernels
  };
  std::vector<Entry> entries() const;  // by time, the longest first
  double seconds() const;              // since construction

 private:
  friend class KernelTimer;
  friend void count_flops(double flops);

  Temporarily<Profile*> active_;
  std::vector<Entry> entries_;
  double pending_flops_ = 0;
  double inner_seconds_ = 0;  // of kernels that ran inside the current one
  std::chrono::steady_clock::time_point start_;
};

// kernel, calls, milliseconds, share of the time since the profile began, GFLOP/s; then what was not spent in kernels.
std::ostream& operator<<(std::ostream& out, const Profile& profile);

// Announces the floating-point operations of the kernel that is dispatched next.
void count_flops(double flops);

// Times a kernel for dispatch (core/device.h); does nothing unless a Profile lives on this thread.
class KernelTimer : NonCopyable {
 public:
  explicit KernelTimer(const char* kernel);
  ~KernelTimer();

 private:
  Profile* profile_;
  const char* kernel_;
  double flops_ = 0, outer_inner_seconds_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace mixgrad
