#include "core/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/check.h"
#include "core/scope.h"

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

// Where the path points to, if it exists. A device must not be replaced by a file, and a folder can't be.
fs::path target_of(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return path;
  check(fs::is_regular_file(path, error), path, ": cannot be written: not a regular file");
  const fs::path target = fs::canonical(path, error);
  return error ? fs::path(path) : target;
}

struct Descriptor : NonCopyable {
  ~Descriptor() {
    if (value >= 0) ::close(value);  // and releases its lock
  }
  int value = -1;
};

// A new file beside the one it is to replace, removed again unless it does.
class Replacement : NonCopyable {
 public:
  explicit Replacement(const std::string& path) : path_(path), target_(target_of(path)) {
    const fs::path folder = target_.parent_path();
    folder_.value = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(folder_.value >= 0);
    for (int number = 0; file_.value < 0; ++number) {
      name_ = target_.string() + ".tmp-" + std::to_string(number);
      while (!open()) continue;
    }
    require(::ftruncate(file_.value, 0) == 0);
  }
  ~Replacement() {
    if (!renamed_) ::unlink(name_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      errno = ENOSPC;  // should it write nothing
      const ssize_t count = ::write(file_.value, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      require(count > 0);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void replace(bool sync) {
    require(!sync || ::fsync(file_.value) == 0);
    require(std::rename(name_.c_str(), target_.c_str()) == 0);
    renamed_ = true;
    // Syncing the folder makes the rename durable; some systems can't.
    require(!sync || ::fsync(folder_.value) == 0 || errno == EINVAL || errno == EROFS);
  }

 private:
  // Throws the reason that the last call gave unless it has succeeded.
  void require(bool success) const { check(success, path_, ": cannot be written: ", std::strerror(errno)); }

  // Opens the file of this name, unless a live process has locked it: a killed process loses its lock. False
  // where another process renamed or removed the file before it was locked here.
  bool open() {
    Descriptor file;
    file.value = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    require(file.value >= 0);
    if (::flock(file.value, LOCK_EX | LOCK_NB) != 0) {
      require(errno == EWOULDBLOCK || errno == EINTR);
      return errno == EWOULDBLOCK;
    }
    struct stat opened {
    }, named{};
    const bool same = ::fstat(file.value, &opened) == 0 && ::stat(name_.c_str(), &named) == 0 &&
                      opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
    if (same) std::swap(file_.value, file.value);
    return same;
  }

  std::string path_;  // for errors: the name the caller knows
  fs::path target_;
  std::string name_;
  Descriptor folder_, file_;
  bool renamed_ = false;
};

}  // namespace

File open_regular_file(const std::string& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  check(!fs::is_directory(status), path, ": is a directory, not a regular file");
  check(!fs::exists(status) || fs::is_regular_file(status), path, ": is not a regular file");
  File file(std::fopen(path.c_str(), "rb"), std::fclose);
  check(file != nullptr, path, ": cannot be opened: ", std::strerror(errno));
  return file;
}

void write_file_atomically(const std::string& path, const std::vector<std::span<const std::byte>>& parts,
                           const WriteOptions& options) {
  Replacement file(path);
  for (const std::span<const std::byte> part : parts) file.write(part);
  file.replace(options.sync);
}

void check_can_write_atomically(const std::string& path) { const Replacement file(path); }  // removed again at once

}  // namespace mixgrad
