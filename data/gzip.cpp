#include "data/gzip.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <filesystem>

#include "core/check.h"

#ifdef MIXGRAD_WITH_ZLIB
#include <zlib.h>
#endif

namespace mixgrad::data {

namespace {

void refuse_folder(const std::string& path) {
  check(!std::filesystem::is_directory(path), path, ": is a directory, not a file");
}

}  // namespace

std::int64_t ByteReader::max_size() const {
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path_));
  return path_.ends_with(".gz") ? 1032 * size : size;
}

#ifdef MIXGRAD_WITH_ZLIB

// zlib reads plain files as they are, so one path serves both.
ByteReader::ByteReader(const std::string& path)
    : path_(path), file_((refuse_folder(path), gzopen(path.c_str(), "rb"))) {
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
  check(code == Z_OK || code == Z_STREAM_END, path_,
        ": damaged or cut off gzip data: ", code == Z_ERRNO ? std::strerror(errno) : message);
  return total;
}

#else

ByteReader::ByteReader(const std::string& path) : path_(path), file_(nullptr) {
  refuse_folder(path);
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

#endif

}  // namespace mixgrad::data
