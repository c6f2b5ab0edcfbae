// Replacing a file whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

struct WriteOptions {
  bool sync = true;  // to the disk, so that the file outlives a crash of the machine too, not of the program alone
};

// Writes the parts one after the other as the new content of a file. Whoever opens it, at any time and after any crash,
// finds the old content or the new, never a part: the bytes go to a new file "path.tmp-N" in the same folder, which
// this process locks, and are then renamed to `path`. What a process that was killed left there, the next one that
// writes to the path takes over. A path that is a link stays one: the file it points to is replaced. Throws an error
// that names the path and the reason (no space, no such folder, no permission, ...), or when the path is something else
// than a regular file; the temporary file is then gone and the old content untouched, unless only the last step failed,
// to sync the folder after the renaming.
void write_file_atomically(const std::string& path, const std::vector<std::span<const std::byte>>& parts,
                           const WriteOptions& options = {});

// Throws as it would, except for want of space, having changed nothing: for those who must know before hours of work.
void check_can_write_atomically(const std::string& path);

}  // namespace mixgrad
