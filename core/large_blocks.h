// LargeBlocks (private): pieces of memory from the system, cut into blocks as tensors need them. Neighbours that are
// free become one block again, so that what a layer's one large output held serves the smaller ones that follow it.
#pragma once

#include <cstddef>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace mixgrad {

class LargeBlocks {
 public:
  struct Taken {
    void* memory = nullptr;
    std::size_t size = 0;
  };
  // Of the free blocks of at least `size` bytes the smallest, cut to this size unless less than `least` would be left;
  // null where there is none.
  Taken take(std::size_t size, std::size_t least) {
    const auto found = free_.lower_bound({size, nullptr});
    if (found == free_.end()) return {};
    char* const memory = found->second;
    const std::size_t rest = found->first - size;
    const auto block = blocks_.find(memory);
    if (rest >= least) {
      const auto cut = blocks_.emplace(memory + size, Block{rest, true, false}).first;
      auto node = free_.extract(found);  // becomes that of the rest: nothing else can fail
      node.value() = {rest, cut->first};
      free_.insert(std::move(node));
      block->second.size = size;
    } else {
      free_.erase(found);
    }
    block->second.free = false;
    return {memory, block->second.size};
  }
  // A piece from the system is in use.
  void add(void* memory, std::size_t size) { blocks_.emplace(static_cast<char*>(memory), Block{size, false, true}); }
  // Frees a block; returns its size.
  std::size_t give_back(void* memory) {
    auto block = blocks_.find(static_cast<char*>(memory));
    const std::size_t size = block->second.size;
    if (const auto next = std::next(block); next != blocks_.end() && next->second.free && !next->second.begins_piece) {
      free_.erase({next->second.size, next->first});
      absorb(block, next);
    }
    if (!block->second.begins_piece)
      if (const auto before = std::prev(block); before->second.free) {
        free_.erase({before->second.size, before->first});
        absorb(before, block);
        block = before;
      }
    block->second.free = true;
    free_.emplace(block->second.size, block->first);
    return size;
  }
  // Calls release(memory) for each piece that is free as a whole, and forgets it; returns their bytes.
  template <class F>
  std::size_t release(F release) {
    std::size_t bytes = 0;
    for (auto block = blocks_.begin(); block != blocks_.end();) {
      const auto next = std::next(block);
      if (block->second.free && block->second.begins_piece && (next == blocks_.end() || next->second.begins_piece)) {
        bytes += block->second.size;
        free_.erase({block->second.size, block->first});
        release(block->first);
        blocks_.erase(block);
      }
      block = next;
    }
    return bytes;
  }
  // Takes over all blocks of another.
  void merge(LargeBlocks&& other) {
    blocks_.merge(other.blocks_);
    free_.merge(other.free_);
  }

 private:
  struct Block {
    std::size_t size;
    bool free, begins_piece;
  };
  using Blocks = std::map<char*, Block>;  // by address
  void absorb(Blocks::iterator block, Blocks::iterator next) {
    block->second.size += next->second.size;
    blocks_.erase(next);
  }

  Blocks blocks_;
  std::set<std::pair<std::size_t, char*>> free_;
};

}  // namespace mixgrad
