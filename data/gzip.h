// A file's bytes, unpacked where it is gzip-compressed.
#pragma once

#include <cstdint>
#include <string>

#include "core/scope.h"

namespace mixgrad::data {

// Reads a file from front to back; what is gzip-compressed is unpacked on the way (a build without zlib refuses a name
// that ends in .gz). All errors name the file.
class ByteReader : NonCopyable {
 public:
  explicit ByteReader(const std::string& path);  // throws when the file can't be opened
  ~ByteReader();

  // Reads up to `count` bytes and returns how many there were; fewer only at the end. Throws on a read error or on
  // damaged compressed data.
  std::size_t read(void* to, std::size_t count);

  // An upper bound on the bytes the whole file can give: its size, times 1032 - the most that deflate can reach - if
  // it is compressed.
  std::int64_t max_size() const;

 private:
  std::string path_;
  void* file_;
};

}  // namespace mixgrad::data
