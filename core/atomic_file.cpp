#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/check.h"
#include "core/scope.h"

namespace mixgrad {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_write(const std::string& path, int reason) {
  fail(path, ": cannot be written: ", std::strerror(reason));
}

// Where the path points to, if it exists. A device must not be replaced by a file, and a folder can't be.
fs::path target_of(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return path;
  check(fs::is_regular_file(path, error), path, ": cannot be written: not a regular file");
  const fs::path target = fs::canonical(path, error);
  return error ? fs::path(path) : target;
}

// An open folder, to be synced: that makes a rename durable.
class Folder : NonCopyable {
 public:
  Folder(const std::string& path, const fs::path& folder)
      : path_(path), descriptor_(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail_to_write(path_, errno);
  }
  ~Folder() { ::close(descriptor_); }

  void sync() {
    const bool synced = ::fsync(descriptor_) == 0 || errno == EINVAL || errno == EROFS;  // some systems can't
    if (!synced) fail_to_write(path_, errno);
  }

 private:
  std::string path_;  // for errors: the name the caller knows
  int descriptor_;
};

// A new file beside the target, removed again unless it is renamed to it.
class TemporaryFile : NonCopyable {
 public:
  TemporaryFile(const std::string& path, const fs::path& target) : path_(path), target_(target.string()) {
    for (int number = 0; descriptor_ < 0; ++number) {
      name_ = target_ + ".tmp-" + std::to_string(number);
      while (!open()) continue;
    }
    if (::ftruncate(descriptor_, 0) != 0) fail_to_write(path_, errno);
  }
  ~TemporaryFile() {
    if (!renamed_) ::unlink(name_.c_str());
    ::close(descriptor_);  // and releases the lock
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail_to_write(path_, count < 0 ? errno : ENOSPC);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void rename(bool sync) {
    if ((sync && ::fsync(descriptor_) != 0) || std::rename(name_.c_str(), target_.c_str()) != 0)
      fail_to_write(path_, errno);
    renamed_ = true;
  }

 private:
  // Opens the file of this name, unless a live process has locked it: a killed process loses its lock. False
  // where another process renamed or removed the file before it was locked here.
  bool open() {
    const int file = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (file < 0) fail_to_write(path_, errno);
    const int reason = ::flock(file, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    struct stat opened {
    }, named{};
    const bool same = ::fstat(file, &opened) == 0 && ::stat(name_.c_str(), &named) == 0 &&
                      opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
    if (reason == 0 && same) descriptor_ = file;
    else ::close(file);
    if (reason != 0 && reason != EWOULDBLOCK && reason != EINTR) fail_to_write(path_, reason);
    return reason == EWOULDBLOCK || descriptor_ >= 0;
  }

  std::string path_, target_, name_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

void write_file_atomically(const std::string& path, const std::vector<std::span<const std::byte>>& parts,
                           const WriteOptions& options) {
  const fs::path target = target_of(path);
  Folder folder(path, target.parent_path());
  TemporaryFile file(path, target);
  for (const std::span<const std::byte> part : parts) file.write(part);
  file.rename(options.sync);
  if (options.sync) folder.sync();
}

void check_can_write_atomically(const std::string& path) {
  const fs::path target = target_of(path);
  const Folder folder(path, target.parent_path());
  const TemporaryFile file(path, target);  // removed again at once
}

}  // namespace mixgrad
