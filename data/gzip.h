// A file's bytes, decompressed if it is gzip data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/files.h"
#include "core/scope.h"

namespace mixgrad::data {

// Reads a file from front to back; gzip data (RFC 1952), recognised by its first two bytes, is decompressed on the fly.
// A build without zlib refuses it. All errors name the file.
class ByteReader : NonCopyable {
 public:
  explicit ByteReader(const std::string& path);  // throws when the file can't be opened
  ~ByteReader();

  // Reads up to `count` bytes and returns how many were read; fewer only at the end. So only when fewer are returned
  // have the end of the file, and the checksum of gzip data, been verified. Throws on a read error, and on compressed
  // data that is damaged, truncated or followed by anything but more gzip data or zeros.
  std::size_t read(void* to, std::size_t count);

  // An upper bound on the bytes in the whole file: its size, times 1032 - deflate's maximum ratio - if it is
  // compressed.
  std::int64_t max_size() const;

 private:
  std::size_t read_file(void* to, std::size_t count);

  struct Gzip;
  std::string path_;
  File file_;
  std::unique_ptr<Gzip> gzip_;  // null for a plain file
};

}  // namespace mixgrad::data
