// write_file_atomically: the new content, or the old one and a clear error.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/files.h"
#include "tests/error.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace {

// What fsync was called for, and the call that is to fail, counted from 1.
std::vector<std::string> synced;
std::size_t failing_sync = 0;

}  // namespace

// In place of the C library's.
extern "C" int fsync(int descriptor) {
  synced.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).string());
  if (synced.size() != failing_sync) return static_cast<int>(syscall(SYS_fsync, descriptor));
  errno = EIO;
  return -1;
}

using namespace mixgrad;
using test::content;
using test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
void write(const std::string& path, const std::string& text) { write_file_atomically(path, {bytes(text)}); }

std::size_t files_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// Writing ends in an error of one line that names the path and holds the words.
void check_refused(const std::string& path, const std::string& words, const std::string& text = "new") {
  CHECK(test::check_refused([&] { write(path, text); }, words).starts_with(path + ": cannot be written: "));
}

// Files can't grow beyond this size while it lives: writing more stops short, then fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{size, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_ = signal(SIGXFSZ, SIG_IGN);
};

}  // namespace

TEST_CASE("atomic file: the parts are written one after the other, and replace what was there") {
  const TemporaryFolder folder;
  const std::string path = folder / "file", long_text(3'000'000, 'x');
  write_file_atomically(path, {bytes("one "), bytes(""), bytes("two")});
  CHECK(content(path) == "one two");
  write(path, long_text);
  CHECK(content(path) == long_text);
  write_file_atomically(path, {});
  CHECK(content(path) == "");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("atomic file: the disk has the bytes before the file gets its name, and the name before the call returns") {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  const std::string real = fs::canonical(folder.path()).string();
  const auto syncs = [&](const WriteOptions& options) {
    synced.clear();
    write_file_atomically(path, {bytes("new")}, options);
    return synced;
  };
  CHECK(syncs({}) == std::vector{real + "/file.tmp-0", real});
  CHECK(syncs({.sync = false}).empty());
  folder.write("file", "old");
  for (const std::size_t failing : {1u, 2u}) {
    synced.clear();
    failing_sync = failing;
    check_refused(path, "Input/output error");
    CHECK(content(path) == (failing == 1 ? "old" : "new"));  // the folder is synced after the renaming
    CHECK(files_in(folder.path()) == 1);
  }
  failing_sync = 0;
}

TEST_CASE("atomic file: a path without a folder is in the current one") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write("file", "here");
  fs::current_path(before);
  CHECK(content(folder / "file") == "here");
}

TEST_CASE("atomic file: a new file has the permissions of any new file") {
  const TemporaryFolder folder;
  write(folder / "file", "text");
  const mode_t mask = umask(0);
  umask(mask);
  struct stat status {};
  REQUIRE(stat((folder / "file").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == (0666 & ~mask));
}

TEST_CASE("atomic file: when the disk takes no more, the old file stays and no temporary one does") {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  {
    const FileSizeLimit limit(100'000);
    check_refused(path, "File too large", std::string(1'000'000, 'x'));
    check_refused(folder / "none", "File too large", std::string(100'001, 'x'));
  }
  CHECK(content(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("atomic file: a folder that is missing, or no folder, is an error") {
  const TemporaryFolder folder;
  check_refused(folder / "none/file", "No such file or directory");
  folder.write("file", "old");
  check_refused(folder / "file/file", "Not a directory");
  CHECK(content(folder / "file") == "old");
}

TEST_CASE("atomic file: a folder without permission to write is an error") {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  fs::permissions(folder.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const bool root = geteuid() == 0;  // who may do anything
  if (root) REQUIRE(seteuid(65534) == 0);
  check_refused(path, "Permission denied");
  if (root) REQUIRE(seteuid(0) == 0);
  fs::permissions(folder.path(), fs::perms::owner_all);
  CHECK(content(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("atomic file: a folder, a pipe or a device is not replaced") {
  const TemporaryFolder folder;
  check_refused(folder.path(), "not a regular file");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_refused(folder / "pipe", "not a regular file");
  fs::create_symlink("/dev/full", folder / "full");
  check_refused(folder / "full", "not a regular file");
  CHECK(fs::is_symlink(folder / "full"));
}

TEST_CASE("atomic file: a link stays a link, and the file it points to is replaced") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "elsewhere");
  const std::string file = folder.write("elsewhere/file", "old");
  fs::create_symlink("elsewhere/file", folder / "link");
  write(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(content(file) == "new");
}

TEST_CASE("atomic file: what a killed process left is taken over, what a living one is writing is not touched") {
  const TemporaryFolder folder;
  folder.write("file.tmp-0", std::string(1000, 'x'));
  write(folder / "file", "text");
  CHECK(content(folder / "file") == "text");
  CHECK(files_in(folder.path()) == 1);
  folder.write("file.tmp-0", "being written");
  const int locked = open((folder / "file.tmp-0").c_str(), O_WRONLY);
  REQUIRE(flock(locked, LOCK_EX) == 0);
  write(folder / "file", "other");
  check_can_write_atomically(folder / "file");
  close(locked);
  CHECK(content(folder / "file") == "other");
  CHECK(content(folder / "file.tmp-0") == "being written");
  CHECK(files_in(folder.path()) == 2);
}

TEST_CASE("atomic file: several processes at once each put their own content there, whole") {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", std::string(50'000, 'a'));
  std::vector<pid_t> writers;
  for (const char letter : {'b', 'c', 'd'}) {
    writers.push_back(fork());
    if (writers.back() == 0) {
      int failures = 0;
      for (int i = 0; i < 300; ++i) try {
          write_file_atomically(path, {bytes(std::string(50'000, letter))}, {.sync = false});
        } catch (const Error&) {
          ++failures;
        }
      _exit(failures);
    }
  }
  for (int i = 0; i < 300; ++i) {
    const std::string text = content(path);
    CHECK(text == std::string(50'000, text.empty() ? '?' : text[0]));
  }
  for (const pid_t writer : writers) {
    int status = -1;
    waitpid(writer, &status, 0);
    CHECK(status == 0);
  }
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("atomic file: whoever reads while another process is killed writing finds one whole content") {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", std::string(100'000, 'a'));
  for (int trial = 0; trial < 20; ++trial) {
    const pid_t writer = fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
      const std::string texts[] = {std::string(200'000, 'b'), std::string(100'000, 'a')};
      for (int i = 0;; ++i) write(path, texts[i % 2]);
    }
    usleep(static_cast<useconds_t>(1000 + 700 * trial));
    kill(writer, SIGKILL);
    waitpid(writer, nullptr, 0);
    const std::string text = content(path);
    CHECK((text == std::string(100'000, 'a') || text == std::string(200'000, 'b')));
  }
  write(path, "text");
  CHECK(content(path) == "text");
  CHECK(files_in(folder.path()) == 1);  // whatever they left
}

TEST_CASE("whether a file can be written is known beforehand, and nothing is changed by asking") {
  const TemporaryFolder folder;
  const std::string old = folder.write("old", "old");
  check_can_write_atomically(old);
  check_can_write_atomically(folder / "new");
  CHECK(content(old) == "old");
  CHECK(files_in(folder.path()) == 1);
  for (const std::string& path : {folder / "none/new", old + "/new", folder.path()})
    CHECK_THROWS_WITH_AS(check_can_write_atomically(path), doctest::Contains("cannot be written"), Error);
}
