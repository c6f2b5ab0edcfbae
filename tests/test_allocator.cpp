// The caching allocator.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/large_blocks.h"
#include "core/random.h"
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

TEST_CASE("allocator: a large block is cut for smaller requests, and becomes one again") {
  if (!allocator_caches()) return;
  release_cache();
  constexpr std::size_t mb = std::size_t{1} << 20;
  void* const whole = allocate(cpu, 16 * mb);
  const AllocatorStats before = allocator_stats();
  deallocate(cpu, whole, 16 * mb);
  std::vector<void*> parts;
  for (const std::size_t size : {4 * mb, 8 * mb, 3 * mb}) parts.push_back(allocate(cpu, size));
  CHECK(parts == std::vector<void*>{whole, static_cast<char*>(whole) + 4 * mb, static_cast<char*>(whole) + 12 * mb});
  CHECK(allocator_stats().bytes_in_use == before.bytes_in_use - mb);
  CHECK(allocator_stats().bytes_cached == before.bytes_cached + mb);
  deallocate(cpu, parts[1], 8 * mb);
  CHECK(allocate(cpu, 8 * mb - 1) == parts[1]);  // what is left is too small for a block of its own
  deallocate(cpu, parts[1], 8 * mb - 1);
  deallocate(cpu, parts[0], 4 * mb);
  CHECK(allocate(cpu, 12 * mb) == whole);  // two neighbours
  deallocate(cpu, whole, 12 * mb);
  deallocate(cpu, parts[2], 3 * mb);
  CHECK(allocate(cpu, 16 * mb) == whole);
  CHECK(allocator_stats().misses == before.misses);
  void* const small = allocate(cpu, mb / 2);
  deallocate(cpu, whole, 16 * mb);
  deallocate(cpu, small, mb / 2);
  release_cache();
  CHECK(allocator_stats().bytes_cached == 0);
}

TEST_CASE("large blocks: never overlap, the smallest that fits is taken, and all become their pieces again") {
  constexpr std::size_t piece = 1000, least = 10;
  std::vector<char> memory(3 * piece);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    LargeBlocks blocks;
    // The pieces are neighbours, but never become one.
    for (std::size_t i = 0; i < 3; ++i) blocks.add(memory.data() + i * piece, piece);
    for (std::size_t i = 0; i < 3; ++i) CHECK(blocks.give_back(memory.data() + i * piece) == piece);
    CHECK(blocks.take(piece + 1, least).memory == nullptr);
    Random random(seed);
    std::map<char*, std::size_t> in_use;
    for (int step = 0; step < 300; ++step) {
      if (in_use.empty() || random.below(5) > 1) {
        const std::size_t size = 1 + random.below(300);
        const auto [taken, bytes] = blocks.take(size, least);
        if (taken == nullptr) continue;
        CHECK((bytes >= size && bytes < size + least));
        char* const begin = static_cast<char*>(taken);
        const auto next = in_use.lower_bound(begin);
        CHECK((next == in_use.end() || begin + bytes <= next->first));
        CHECK((next == in_use.begin() || std::prev(next)->first + std::prev(next)->second <= begin));
        CHECK((begin >= memory.data() && begin + bytes <= memory.data() + memory.size()));
        in_use.emplace(begin, bytes);
      } else {
        const auto block = std::next(in_use.begin(), random.below(static_cast<std::uint32_t>(in_use.size())));
        CHECK(blocks.give_back(block->first) == block->second);
        in_use.erase(block);
      }
    }
    CHECK(blocks.release([](void*) {}) <= 3 * piece - (in_use.empty() ? 0 : piece));
    for (const auto& [begin, size] : in_use) blocks.give_back(begin);
    std::vector<void*> released;
    blocks.release([&](void* memory) { released.push_back(memory); });
    for (void* const of : released) CHECK((static_cast<char*>(of) - memory.data()) % static_cast<int>(piece) == 0);
    CHECK(blocks.take(1, least).memory == nullptr);
  }
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
