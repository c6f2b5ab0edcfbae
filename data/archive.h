// Archives of files.
#pragma once

#include <cstdint>
#include <string>

namespace mixgrad::data {

// Unpacks a tar archive, plain or compressed by gzip, into a new folder. Of an entry its name and its
// bytes count; permissions, owners and times don't. Needs libarchive, and zlib. Throws an error that names the archive,
// and the entry, when the archive is damaged, cut off (between two entries too), none, or empty; when an entry is
// something else than a file or a folder (a link, a device), appears twice or would leave the folder (an absolute name,
// ".."); when all would take more than max_bytes on the disk, or can't be written. The folder is then removed. Throws,
// too, when the folder exists.
void unpack(const std::string& archive, const std::string& folder, std::int64_t max_bytes = std::int64_t{1} << 33);

}  // namespace mixgrad::data
