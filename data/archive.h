// Archives of files.
#pragma once

#include <cstdint>
#include <string>

namespace mixgrad::data {

// Unpacks a tar archive, plain or compressed by gzip, into a new folder. Names and contents are restored; permissions,
// owners and times are not. Needs libarchive, and zlib. Throws an error that names the archive, and the entry, when it
// is not an archive, or is damaged, truncated (also between two entries) or empty; when an entry is neither a file nor
// a folder (a link, a device), appears twice or would leave the folder (an absolute name, ".."); when the contents
// would take more than max_bytes on disk, or can't be written. The folder is then removed. Also throws when the folder
// exists.
void unpack(const std::string& archive, const std::string& folder, std::int64_t max_bytes = std::int64_t{1} << 33);

}  // namespace mixgrad::data
