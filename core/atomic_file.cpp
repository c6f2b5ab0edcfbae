#include "core/atomic_file.h"

#include <fcntl.h>
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
  check(fs::is_regular_file(path, error), path, ": cannot be written: is not a regular file");
  const fs::path target = fs::canonical(path, error);
  return error ? fs::path(path) : target;
}

// An open folder, to be synced: that makes a renaming last.
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

// A new file beside the target, which goes again unless it is renamed to it.
class TemporaryFile : NonCopyable {
 public:
  TemporaryFile(const std::string& path, const fs::path& target) : path_(path), target_(target.string()) {
    for (int number = 0; descriptor_ < 0 && number < 1000; ++number) {  // others may be left of killed processes
      name_ = target_ + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(number);
      descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0 && errno != EEXIST) break;
    }
    if (descriptor_ < 0) fail_to_write(path_, errno);
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!renamed_) ::unlink(name_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail_to_write(path_, count < 0 ? errno : ENOSPC);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void sync_and_rename() {
    if (::fsync(descriptor_) != 0) fail_to_write(path_, errno);
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0 || std::rename(name_.c_str(), target_.c_str()) != 0) fail_to_write(path_, errno);
    renamed_ = true;
  }

 private:
  std::string path_, target_, name_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

void write_file_atomically(const std::string& path, const std::vector<std::span<const std::byte>>& parts) {
  const fs::path target = target_of(path);
  Folder folder(path, target.parent_path());
  TemporaryFile file(path, target);
  for (const std::span<const std::byte> part : parts) file.write(part);
  file.sync_and_rename();
  folder.sync();
}

void check_can_write_atomically(const std::string& path) {
  const fs::path target = target_of(path);
  const Folder folder(path, target.parent_path());
  const TemporaryFile file(path, target);  // gone again at once
}

}  // namespace mixgrad
