#include "data/gzip.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "core/check.h"

#ifdef MIXGRAD_WITH_ZLIB
#include <zlib.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_ZLIB

// zlib's inflate and not its gzread, which accepts a file that ends where the caller's buffer is full, its checksum
// unread.
struct ByteReader::Gzip : NonCopyable {
  explicit Gzip(const std::string& path) {
    constexpr int gzip_alone = 16;
    check(inflateInit2(&stream, gzip_alone + MAX_WBITS) == Z_OK, path, ": cannot be decompressed: out of memory");
  }
  ~Gzip() { inflateEnd(&stream); }

  z_stream stream{};
  std::vector<Bytef> input = std::vector<Bytef>(1u << 17);
  bool in_member = true;  // whether bytes must follow; false once a checksum has been verified
};

std::size_t ByteReader::read(void* to, std::size_t count) {
  if (!gzip_) return read_file(to, count);
  auto& [stream, input, in_member] = *gzip_;
  std::size_t total = 0;
  while (total < count) {
    if (stream.avail_in == 0) {
      stream.next_in = input.data();
      stream.avail_in = static_cast<uInt>(read_file(input.data(), input.size()));
      check(stream.avail_in > 0 || !in_member, path_, ": truncated gzip data");
      if (stream.avail_in == 0) break;
    }
    if (!in_member) {
      if (*stream.next_in == 0) {  // padding
        ++stream.next_in, --stream.avail_in;
        continue;
      }
      inflateReset(&stream);
    }
    const auto room = static_cast<uInt>(std::min<std::size_t>(count - total, 1u << 30));
    stream.next_out = static_cast<Bytef*>(to) + total;
    stream.avail_out = room;
    const int code = inflate(&stream, Z_NO_FLUSH);
    check(code == Z_OK || code == Z_STREAM_END, path_,
          ": damaged gzip data: ", stream.msg != nullptr ? stream.msg : zError(code));
    in_member = code != Z_STREAM_END;
    total += room - stream.avail_out;
  }
  return total;
}

#else

struct ByteReader::Gzip {
  explicit Gzip(const std::string& path) {
    fail(path,
         ": this build cannot read gzip data (built without zlib: package zlib1g-dev); decompress the file first");
  }
};

std::size_t ByteReader::read(void* to, std::size_t count) { return read_file(to, count); }

#endif

ByteReader::ByteReader(const std::string& path) : path_(path), file_(open_regular_file(path)) {
  unsigned char start[2];
  const bool compressed = read_file(start, 2) == 2 && start[0] == 0x1f && start[1] == 0x8b;
  std::rewind(file_.get());
  if (compressed) gzip_ = std::make_unique<Gzip>(path);
}

ByteReader::~ByteReader() = default;

std::size_t ByteReader::read_file(void* to, std::size_t count) {
  const std::size_t got = std::fread(to, 1, count, file_.get());
  check(!std::ferror(file_.get()), path_, ": cannot be read: ", std::strerror(errno));
  return got;
}

std::int64_t ByteReader::max_size() const {
  return (gzip_ ? 1032 : 1) * static_cast<std::int64_t>(std::filesystem::file_size(path_));
}

}  // namespace mixgrad::data
