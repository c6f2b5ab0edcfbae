#include "data/untar_data.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "core/check.h"
#include "data/gzip.h"

#ifdef MIXGRAD_WITH_ARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_ARCHIVE

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t disk_block = 4096;  // the minimum that an entry takes

// The entries of an archive, one after the other. gzip is unpacked by a ByteReader, which checks its checksum;
// libarchive does not.
class ArchiveReader {
 public:
  explicit ArchiveReader(const std::string& path) : path_(path), source_(path) {
    check(archive_ != nullptr, path_, ": cannot be unpacked: out of memory");
    archive_read_support_format_tar(archive_.get());
    check_succeeded(archive_read_open(archive_.get(), this, nullptr, &ArchiveReader::read_source, nullptr) ==
                    ARCHIVE_OK);
  }

  // The next entry, or null at the end; what follows the last one is read, too, for the checksum. libarchive accepts a
  // file that ends between two entries, so the end marker, in place of an entry, is required.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_.get(), &entry);
    // A warning: the name cannot be represented in the locale.
    check_succeeded(result == ARCHIVE_OK || result == ARCHIVE_WARN || result == ARCHIVE_EOF);
    if (result != ARCHIVE_EOF) return entry;
    check(archive_filter_bytes(archive_.get(), 0) > archive_read_header_position(archive_.get()), path_,
          ": cannot be unpacked: truncated: the zero block that ends an archive is missing");
    while (source_.read(buffer_.data(), buffer_.size()) > 0) continue;
    return nullptr;
  }

  // Up to `count` bytes of the entry; none at its end.
  std::size_t read(char* to, std::size_t count) {
    const la_ssize_t got = archive_read_data(archive_.get(), to, count);
    check_succeeded(got >= 0);
    return static_cast<std::size_t>(got);
  }

 private:
  void check_succeeded(bool success) const {
    if (success) return;
    check(problem_.empty(), problem_);
    const char* reason = archive_error_string(archive_.get());
    fail(path_, ": cannot be unpacked: ", printable(reason != nullptr ? reason : "damaged archive"));
  }

  // Called by libarchive, which exceptions must not cross.
  static la_ssize_t read_source(archive* to, void* self, const void** bytes) {
    auto& reader = *static_cast<ArchiveReader*>(self);
    try {
      *bytes = reader.buffer_.data();
      return static_cast<la_ssize_t>(reader.source_.read(reader.buffer_.data(), reader.buffer_.size()));
    } catch (const Error& error) {
      reader.problem_ = error.what();
      archive_set_error(to, EIO, "damaged");
      return -1;
    }
  }

  std::string path_, problem_;
  ByteReader source_;
  std::vector<char> buffer_ = std::vector<char>(1u << 16);
  std::unique_ptr<archive, decltype(&archive_read_free)> archive_{archive_read_new(), archive_read_free};
};

std::string name_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) name = archive_entry_pathname_utf8(entry);  // a name that the locale cannot represent
  return name == nullptr ? "" : name;
}

// Copies the bytes of the current entry to a new file, if they fit into `room`; returns their count.
std::int64_t write_file(ArchiveReader& reader, const std::string& where, const fs::path& path, std::int64_t room) {
  std::error_code none;
  check(!fs::exists(path, none), where, ": cannot be written: File exists");
  std::ofstream file(path);
  std::vector<char> buffer(1u << 16);
  std::int64_t size = 0;
  while (const std::size_t count = file ? reader.read(buffer.data(), buffer.size()) : 0) {
    size += static_cast<std::int64_t>(count);
    check(size <= room, where, ": the archive unpacks to more than is allowed");
    file.write(buffer.data(), static_cast<std::streamsize>(count));
  }
  file.close();
  check(file.good(), where, ": cannot be written: ", std::strerror(errno));
  return size;
}

}  // namespace

void unpack(const std::string& archive, const std::string& folder, std::int64_t max_bytes) {
  std::error_code error;
  check(fs::create_directory(folder, error), folder,
        ": cannot be created: ", error ? error.message() : std::string("it already exists"));
  try {
    ArchiveReader reader(archive);
    std::int64_t room = max_bytes;
    while (archive_entry* entry = reader.next()) {
      const fs::path name = name_of(entry), path = folder / name;
      const std::string where = archive + ": \"" + printable(name.string()) + '"';
      check(!name.empty() && name.is_relative() && std::find(name.begin(), name.end(), "..") == name.end(), where,
            ": would leave the folder it is unpacked in");
      const bool link = archive_entry_hardlink(entry) != nullptr, is_folder = archive_entry_filetype(entry) == AE_IFDIR;
      check(!link && (is_folder || archive_entry_filetype(entry) == AE_IFREG), where,
            ": is neither a file nor a folder (links and devices are not unpacked)");
      room -= disk_block;
      check(room >= 0, where, ": the archive unpacks to more than is allowed");
      fs::create_directories(is_folder ? path : path.parent_path(), error);
      check(!error, where, ": cannot be written: ", error.message());
      if (!is_folder) room -= write_file(reader, where, path, room);
    }
    check(room < max_bytes, archive, ": cannot be unpacked: contains no file");
  } catch (...) {
    fs::remove_all(folder, error);
    throw;
  }
}

#else

void unpack(const std::string& archive, const std::string&, std::int64_t) {
  fail(
      archive,
      ": this build cannot unpack archives (built without libarchive or zlib: packages libarchive-dev and zlib1g-dev)");
}

#endif

}  // namespace mixgrad::data
