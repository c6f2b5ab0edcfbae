#include "data/gzip.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/regular_file.h"

#ifdef MIXGRAD_WITH_ZLIB
#include <zlib.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_ZLIB

// zlib reads plain files as they are, so one path serves both.
ByteReader::ByteReader(const std::string& path)
    : path_(path), file_((check_regular_file(path), gzopen(path.c_str(), "rb"))) {
  check(file_ != nullptr, path, ": cannot be opened: ", std::strerror(errno));
  gzbuffer(static_cast<gzFile>(file_), 1u << 17);
}

ByteReader::~ByteReader() { gzclose(static_cast<gzFile>(file_)); }

std::size_t ByteReader::read(void* to, std::size_t count) {
  const auto file = static_cast<gzFile>(file_);
  std::size_t total = 0;
  while (total < count) {
    const auto wanted = static_cast<unsigned>(std::min<std::size_t>(count - total, 1u << 30));
    const int got = gzread(file, static_cast<char*>(to) + total, wanted);
    if (got <= 0) break;
    total += static_cast<std::size_t>(got);
  }
  int code = Z_OK;
  const char* message = gzerror(file, &code);
  if (code == Z_ERRNO) fail(path_, ": cannot be read: ", std::strerror(errno));
  std::string_view reason = message;  // "path: reason"
  if (reason.starts_with(path_ + ": ")) reason.remove_prefix(path_.size() + 2);
  check(code == Z_OK || code == Z_STREAM_END, path_, ": damaged or cut off gzip data: ", reason);
  return total;
}

std::int64_t ByteReader::max_size() const {
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path_));
  return gzdirect(static_cast<gzFile>(file_)) ? size : 1032 * size;
}

#else

ByteReader::ByteReader(const std::string& path) : path_(path), file_(nullptr) {
  check_regular_file(path);
  check(!path.ends_with(".gz"), path, ": this build cannot read .gz files (built without zlib); unpack it first");
  file_ = std::fopen(path.c_str(), "rb");
  check(file_ != nullptr, path, ": cannot be opened: ", std::strerror(errno));
}

ByteReader::~ByteReader() { std::fclose(static_cast<std::FILE*>(file_)); }

std::size_t ByteReader::read(void* to, std::size_t count) {
  const auto file = static_cast<std::FILE*>(file_);
  const std::size_t got = std::fread(to, 1, count, file);
  check(!std::ferror(file), path_, ": cannot be read: ", std::strerror(errno));
  return got;
}

std::int64_t ByteReader::max_size() const { return static_cast<std::int64_t>(std::filesystem::file_size(path_)); }

#endif

}  // namespace mixgrad::data
