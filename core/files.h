// Reading a regular file, and replacing a file whole or not at all.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// Opens a file for reading. Throws "path: is not a regular file" for anything else: opening a pipe would wait for a
// writer, and a device has no size; or "path: cannot be opened: No such file or directory".
File open_regular_file(const std::string& path);

struct WriteOptions {
  bool sync = true;  // fsync, so that the file survives a crash of the machine, not only of the program
};

// Writes the parts one after the other as the new content of a file. A reader, at any time and after any crash, finds
// the old content or the new, never a part: the bytes go to a new file "path.tmp-N" in the same folder, which this
// process locks, and which is then renamed to `path`. A temporary file left by a killed process is reused by the next
// writer. If the path is a link, it stays one: the file it points to is replaced. Throws an error that names the path
// and the reason (no space, no such folder, no permission, ...), or when the path is not a regular file; the temporary
// file is then gone and the old content untouched, unless only the last step failed, syncing the folder after the
// rename.
void write_file_atomically(const std::string& path, const std::vector<std::span<const std::byte>>& parts,
                           const WriteOptions& options = {});

// Throws as write_file_atomically would, except on a full disk, and changes nothing: to be called before long work.
void check_can_write_atomically(const std::string& path);

}  // namespace mixgrad
