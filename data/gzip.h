// A file's bytes, unpacked where it is gzip-compressed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "core/scope.h"

namespace mixgrad::data {

// Reads a file from front to back; gzip data (RFC 1952), known by its first two bytes, is unpacked on the way. A build
// without zlib refuses it. All errors name the file.
class ByteReader : NonCopyable {
 public:
  explicit ByteReader(const std::string& path);  // throws when the file can't be opened
  ~ByteReader();

  // Reads up to `count` bytes and returns how many there were; fewer only at the end. So the end, and with it the
  // checksum of gzip data, is known to be good when fewer are returned, and not before. Throws on a read error, and on
  // compressed data that is damaged, truncated or followed by anything but more of its kind or zeros.
  std::size_t read(void* to, std::size_t count);

  // An upper bound on the bytes the whole file can give: its size, times 1032 - the most that deflate can reach - if
  // it is compressed.
  std::int64_t max_size() const;

 private:
  std::size_t read_file(void* to, std::size_t count);

  struct Gzip;
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::unique_ptr<Gzip> gzip_;  // null for a plain file
};

}  // namespace mixgrad::data
