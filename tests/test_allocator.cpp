// The caching allocator.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "core/allocator.h"
#include "core/tensor.h"

using namespace mixgrad;

namespace {

// A size no other test asks for, so that its class in the cache is this file's own.
constexpr std::size_t odd_size = 3'000'017;

}  // namespace

TEST_CASE("allocator: memory is aligned to 64 bytes, whatever the size") {
  constexpr std::size_t sizes[] = {0, 1, 63, 64, 65, 1000, 4097, odd_size};
  release_cache();
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    void* blocks[20];  // one alone may be aligned by chance
    for (void*& memory : blocks) {
      memory = allocate(cpu, size);
      CHECK(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0);
      std::memset(memory, 1, size);  // AddressSanitizer would see a block too small
    }
    for (void* memory : blocks) deallocate(cpu, memory, size);
  }
}

TEST_CASE("allocator: what was freed is handed out again, without asking the system") {
  if (!allocator_caches()) return;
  release_cache();
  void* first = allocate(cpu, odd_size);
  const AllocatorStats before = allocator_stats();
  deallocate(cpu, first, odd_size);
  void* second = allocate(cpu, odd_size - 100);  // the same size class
  const AllocatorStats after = allocator_stats();
  CHECK(second == first);
  CHECK(after.hits == before.hits + 1);
  CHECK(after.misses == before.misses);
  deallocate(cpu, second, odd_size - 100);
}

TEST_CASE("allocator: blocks in use are never handed out twice") {
  void* first = allocate(cpu, odd_size);
  void* second = allocate(cpu, odd_size);
  CHECK(first != second);
  deallocate(cpu, first, odd_size);
  deallocate(cpu, second, odd_size);
}

TEST_CASE("allocator: statistics follow what is in use and what is cached") {
  release_cache();
  const AllocatorStats before = allocator_stats();
  void* memory = allocate(cpu, odd_size);
  const AllocatorStats during = allocator_stats();
  const std::size_t block = during.bytes_in_use - before.bytes_in_use;
  CHECK(block >= odd_size);
  CHECK(block <= odd_size + odd_size / 4);
  CHECK(during.misses == before.misses + 1);
  CHECK(during.peak_in_use >= during.bytes_in_use);
  deallocate(cpu, memory, odd_size);
  const AllocatorStats after = allocator_stats();
  CHECK(after.bytes_in_use == before.bytes_in_use);
  CHECK(after.bytes_cached == (allocator_caches() ? before.bytes_cached + block : 0));
  CHECK(after.peak_in_use == during.peak_in_use);
}

TEST_CASE("allocator: every size from 1 byte to 1 MB costs at most a quarter more, or 64 bytes") {
  for (std::size_t size = 1; size <= 1 << 20; size += size / 7 + 1) {
    const std::size_t before = allocator_stats().bytes_in_use;
    void* memory = allocate(cpu, size);
    const std::size_t block = allocator_stats().bytes_in_use - before;
    deallocate(cpu, memory, size);
    CAPTURE(size);
    CHECK(block >= size);
    CHECK(block <= size + std::max<std::size_t>(size / 4, 63));
  }
}

TEST_CASE("allocator: release_cache gives everything back") {
  deallocate(cpu, allocate(cpu, odd_size), odd_size);
  release_cache();
  const AllocatorStats before = allocator_stats();
  CHECK(before.bytes_cached == 0);
  deallocate(cpu, allocate(cpu, odd_size), odd_size);
  CHECK(allocator_stats().misses == before.misses + 1);
  CHECK(allocator_stats().hits == before.hits);
}

TEST_CASE("allocator: an absurd size is an error that gives the size, and changes nothing") {
  const std::size_t before = allocator_stats().bytes_in_use;
  CHECK_THROWS_WITH_AS(allocate(cpu, ~std::size_t{0}),
                       doctest::Contains("out of memory: tried to allocate 18446744073709551615 bytes"), Error);
  CHECK_THROWS_AS(allocate(cpu, std::size_t{1} << 62), Error);
  // Here the system itself refuses. AddressSanitizer ends the program instead.
  if (allocator_caches()) {
    CHECK_THROWS_WITH_AS(allocate(cpu, std::size_t{1} << 60), doctest::Contains("are in use"), Error);
    deallocate(cpu, allocate(cpu, odd_size), odd_size);  // still works
  }
  CHECK(allocator_stats().bytes_in_use == before);
}

TEST_CASE("allocator: a steady loop of tensors asks the system for nothing") {
  if (!allocator_caches()) return;
  const auto step = [] {
    const Tensor a = Tensor::zeros({100, 37}), b = a.clone(), c = Tensor::empty({7, 11, 13});
    return b.numel() + c.numel();
  };
  step();
  const AllocatorStats before = allocator_stats();
  for (int i = 0; i < 10; ++i) step();
  CHECK(allocator_stats().misses == before.misses);
  CHECK(allocator_stats().hits == before.hits + 30);
}

TEST_CASE("allocator: threads share it, each writing to blocks of its own") {
  const std::size_t before = allocator_stats().bytes_in_use;
  const auto work = [](std::uint8_t mark, bool& intact) {
    for (std::size_t i = 0; i < 2000; ++i) {
      const std::size_t size = 100 + i % 5 * 64;
      auto* bytes = static_cast<std::uint8_t*>(allocate(cpu, size));
      std::memset(bytes, mark, size);
      for (std::size_t k = 0; k < size; ++k) intact = intact && bytes[k] == mark;
      deallocate(cpu, bytes, size);
    }
  };
  bool intact[3] = {true, true, true};
  std::vector<std::thread> threads;
  for (std::uint8_t i = 0; i < 3; ++i) threads.emplace_back(work, i, std::ref(intact[i]));
  for (std::thread& thread : threads) thread.join();
  CHECK((intact[0] && intact[1] && intact[2]));
  CHECK(allocator_stats().bytes_in_use == before);
}
