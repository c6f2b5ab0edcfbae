// What the executor's own tests share: device buffers, and programs that are meant to die.
#pragma once

#include <cuda_runtime.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "executor.h"

#if defined(__SANITIZE_ADDRESS__)
#define EXECUTOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXECUTOR_ASAN 1
#endif
#endif

// Sanitizers are switched on together (MIXGRAD_SANITIZE). Says which test is skipped without them.
inline bool sanitized([[maybe_unused]] const char* test) {
#ifdef EXECUTOR_ASAN
  return true;
#else
  std::printf("skipped: %s (AddressSanitizer and UndefinedBehaviorSanitizer; -DMIXGRAD_SANITIZE=ON)\n", test);
  return false;
#endif
}

// Runs f in a process of its own and returns what it wrote to stderr, for a sanitizer's report; "" if it came through.
template <class F>
std::string report_of(F f) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    std::signal(SIGSEGV, SIG_DFL);  // not doctest's
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "died: " + text;
}

// The text of the Error that f throws, "" if it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
    return {};
  } catch (const executor::Error& error) {
    return error.what();
  }
}

inline bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

inline void must(cudaError_t error) {
  if (error != cudaSuccess) throw executor::Error(cudaGetErrorString(error));
}

class Stream {
 public:
  Stream() { cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// `count` values in device memory.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count) : count_(count) { must(cudaMalloc(&data_, count * sizeof(T))); }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator T*() const { return data_; }
  // To the host, after all work of the stream.
  std::vector<T> read(cudaStream_t stream) const {
    std::vector<T> values(count_);
    must(cudaMemcpyAsync(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};
