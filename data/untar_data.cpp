#include "data/untar_data.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/check.h"
#include "core/scope.h"

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

// ".../mnist_sample.tgz?version=2" -> "mnist_sample"
std::string name_of(const std::string& address) {
  const std::string path = address.substr(0, address.find_first_of("?#"));
  std::string name = path.substr(path.find_last_of('/') + 1);
  for (const char* ending : {".tgz", ".tar", ".tar.gz"})
    if (name.ends_with(ending)) name.erase(name.size() - std::strlen(ending));
  check(!name.empty() && name[0] != '.', "untar_data: ", printable(address), " does not end in the name of an archive");
  return name;
}

// A file that one process at a time can lock. Its text is the address that the folder of the same name came from; it is
// never removed, since two processes could then lock two files of one name.
class LockFile : NonCopyable {
 public:
  explicit LockFile(const std::string& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    check(descriptor_ >= 0, path, ": cannot be written: ", std::strerror(errno));
    while (::flock(descriptor_, LOCK_EX) != 0)
      if (const int reason = errno; reason != EINTR) {
        ::close(descriptor_);
        fail(path, ": cannot be locked: ", std::strerror(reason));
      }
  }
  ~LockFile() { ::close(descriptor_); }

 private:
  int descriptor_;
};

// The address in a lock file: of what has been, or was being, downloaded under that name.
std::string source_in(const fs::path& lock_file) {
  std::ifstream file(lock_file);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_done(const Url& url, const fs::path& folder, const fs::path& lock_file) {
  if (!fs::is_directory(folder)) return false;
  const std::string source = source_in(lock_file);  // empty if someone else put the folder there
  check(source.empty() || source == url.address, url.address, ": ", folder.string(), " holds another archive, from ",
        printable(source), "; remove that folder first");
  return true;
}

void check_download(const Url& url, const std::string& file) {
  const auto bytes = static_cast<std::int64_t>(fs::file_size(file));
  check(url.bytes == 0 || bytes == url.bytes, "the download has ", bytes, " bytes, not ", url.bytes);
  if (url.sha256.empty()) return;
  const std::string hash = sha256_of_file(file);
  check(hash == url.sha256, "the download has the SHA-256 ", hash, ", not ", url.sha256);
}

// Downloads, checks and unpacks. A wrong file is removed, and if it was resumed (its beginning may have been of another
// version), downloaded once more from the start.
void fetch(const Url& url, const std::string& part, const std::string& unpacked, const UntarOptions& options) {
  const DownloadOptions limits{.max_bytes = url.bytes > 0 ? url.bytes : options.max_bytes,
                               .stall_seconds = options.stall_seconds};
  const bool whole = url.bytes > 0 && fs::exists(part) && static_cast<std::int64_t>(fs::file_size(part)) == url.bytes;
  const bool continued = whole || download(url.address, part, limits);
  try {
    check_download(url, part);
    fs::remove_all(unpacked);  // left by a process that was killed
    unpack(part, unpacked, options.max_bytes);
  } catch (const Error& error) {
    fs::remove(part);
    if (!continued) fail(url.address, ": ", error.what());
    fetch(url, part, unpacked, options);
  }
}

// The only entry of a folder, if that is a folder, or else the folder itself.
fs::path content_of(const fs::path& folder) {
  const fs::directory_iterator first(folder);
  const bool single = std::distance(fs::directory_iterator(folder), {}) == 1 && first->is_directory();
  return single ? first->path() : folder;
}

}  // namespace

std::string cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value == nullptr ? "" : value);
  };
  const fs::path cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (cache.is_absolute()) return (cache / "mixgrad").string();  // the specification says to ignore a relative one
  check(!home.empty(), "untar_data: no cache folder: neither XDG_CACHE_HOME nor HOME is set");
  return (home / ".cache" / "mixgrad").string();
}

std::string untar_data(const Url& url, const UntarOptions& options) try {
  const fs::path folder = fs::path(options.cache.empty() ? cache_folder() : options.cache) / name_of(url.address);
  const auto beside = [&](const char* ending) { return folder.string() + ending; };
  const std::string lock_file = beside(".lock"), part = beside(".part"), unpacked = beside(".unpacking");
  if (is_done(url, folder, lock_file)) return folder.string();
  fs::create_directories(folder.parent_path());
  const LockFile lock(lock_file);
  if (is_done(url, folder, lock_file)) return folder.string();  // by the process that held the lock
  if (source_in(lock_file) != url.address) fs::remove(part);
  const bool noted = (std::ofstream(lock_file) << url.address << std::flush).good();
  check(noted, lock_file, ": cannot be written: ", std::strerror(errno));
  fetch(url, part, unpacked, options);
  fs::rename(content_of(unpacked), folder);
  fs::remove_all(unpacked);
  fs::remove(part);
  return folder.string();
} catch (const fs::filesystem_error& error) {
  fail("untar_data: ", printable(url.address), ": ", error.what());
}

}  // namespace mixgrad::data
